"""Finished matrices on disk, so that nulls of a large run that were stopped go on where they were."""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from geostat.errors import StoreError
from geostat.nulls.whole_runs.matrix import Numbers
from geostat.trajectories.files import local_path, write_whole

__all__ = ["NullsJournal"]


class NullsJournal:
    """One file for each finished matrix, beside the dataset that they will become.

    Parameters
    ----------
    output : path
        Of the dataset.
    question : mapping
        Everything on which the numbers depend; files that answer another question are dropped.
    resume : bool
        Whether to keep those that answer this one.

    Raises
    ------
    StoreError
        If it cannot be written there.
    """

    def __init__(self, output: Any, question: Mapping[str, Any], *, resume: bool = True) -> None:
        path = local_path(output)
        self.folder = path.with_name(f"{path.name}.nulls")
        text = json.dumps(question, sort_keys=True, default=str).encode()
        head = self.folder / "question.json"
        if not resume or not head.exists() or head.read_bytes() != text:
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
            with np.load(self._file(matrix), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError):
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
