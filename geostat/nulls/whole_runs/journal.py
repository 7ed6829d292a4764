"""Finished matrices on disk, so that nulls of a large run that were stopped go on where they were."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geostat.errors import StoreError
from geostat.nulls.whole_runs.matrix import Numbers
from geostat.trajectories.files import local_path, write_whole

__all__ = ["NullsJournal", "digest"]


def digest(question: Mapping[str, Any]) -> str:
    """Short name of a question.

    Parameters
    ----------
    question : mapping
        Everything on which the numbers depend.

    Returns
    -------
    str
        Hexadecimal.
    """
    return hashlib.sha256(_text(question)).hexdigest()[:32]


def _text(question: Mapping[str, Any]) -> bytes:
    return json.dumps(question, sort_keys=True, default=str).encode()


def _require_own(folder: Path, head: Path) -> None:
    """Refuse a folder that holds something else; what a stopped write left aside is hidden."""
    if not folder.is_dir() or head.exists():
        return
    strangers = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if strangers:
        raise StoreError(
            f"{folder} holds {strangers[0]!r}, and no matrices of nulls: finished ones are kept there until the "
            "dataset is whole. Choose another place."
        )


class NullsJournal:
    """One file for each finished matrix, beside the dataset that they will become.

    Parameters
    ----------
    output : path
        Of the dataset.
    question : mapping
        Everything on which the numbers depend.
    resume : bool
        Whether to keep what is there; otherwise it is dropped.

    Raises
    ------
    StoreError
        If it cannot be written there, or what is there answers another question.
    """

    def __init__(self, output: Any, question: Mapping[str, Any], *, resume: bool = True) -> None:
        path = local_path(output)
        self.folder = path.with_name(f"{path.name}.nulls")
        text = _text(question)
        head = self.folder / "question.json"
        if resume and head.exists() and head.read_bytes() != text and any(self.folder.glob("*.npz")):
            raise StoreError(
                f"{self.folder} holds finished matrices of other nulls: another run, other steps, matrices or "
                "settings. Ask for the same again, choose another place, or drop them with resume=False (--no-resume)."
            )
        _require_own(self.folder, head)
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {self.folder}: {error.strerror}. Choose another place.") from error
        write_whole(head, text)

    def _file(self, matrix: str) -> Path:
        return self.folder / f"{hashlib.sha256(matrix.encode()).hexdigest()[:32]}.npz"

    def read(self, matrix: str) -> Numbers | None:
        """Numbers of a matrix that was finished.

        Parameters
        ----------
        matrix : str
            Its name.

        Returns
        -------
        dict or None
            None where it was not, or the file is damaged.
        """
        try:
            content = io.BytesIO(self._file(matrix).read_bytes())
            with np.load(content, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def write(self, matrix: str, numbers: Numbers) -> None:
        """Keep the numbers of a matrix.

        Parameters
        ----------
        matrix : str
            Its name.
        numbers : dict
            Variable -> values.
        """
        buffer = io.BytesIO()
        np.savez(buffer, **numbers)  # type: ignore[arg-type]
        write_whole(self._file(matrix), buffer.getvalue())

    def drop(self) -> None:
        """Forget everything, once the dataset is written."""
        shutil.rmtree(self.folder, ignore_errors=True)
