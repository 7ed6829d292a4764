"""What a watch has so far, in a folder beside the store: each piece written whole or not at all."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from geostat.errors import JournalError, StoreError
from geostat.trajectories.files import write_whole
from geostat.trajectories.locks import cannot_lock
from geostat.trajectories.record import Record
from geostat.trajectories.schema import labelled

__all__ = ["WatchFolder", "joined", "watch_path", "watched"]

_ABOUT = "watch.json"
_SO_FAR = "description.json"
_DONE = "step.json"
_OURS = re.compile(r"\.?(watch|description)\.json(\.[\w.-]+)?|\.lock|initial|step-\d+")


def watch_path(store: Path) -> Path:
    """Return the folder in which a watch keeps what it has until it is sealed.

    Parameters
    ----------
    store : Path
        The store.

    Returns
    -------
    Path
        Beside it, with ``.watch`` appended.
    """
    return store.with_name(store.name + ".watch")


class WatchFolder:
    """Records, kept decompositions and copies of weights, one file for each matrix and step.

    Parameters
    ----------
    folder : Path
        Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out.

        Raises
        ------
        JournalError
            If one watches here now, or the folder holds something else.
        StoreError
            If it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {self.folder}: {error.strerror}. Choose another place.") from error
        foreign = [entry.name for entry in self.folder.iterdir() if not _OURS.fullmatch(entry.name)]
        if foreign:
            raise JournalError(
                f"{self.folder} is needed for the watch, but holds {foreign[0]!r}, which is none of geostat's. "
                "Choose another place for the store."
            )
        lock = FileLock(self.folder / ".lock", timeout=1.0)
        try:
            lock.acquire()
        except Timeout as error:
            raise JournalError(
                f"another process watches into {self.folder} at this moment. Stop it, or give this watch "
                "another store."
            ) from error
        except OSError as error:
            raise StoreError(cannot_lock(self.folder / ".lock", error)) from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, manifest: dict[str, Any]) -> None:
        """Note what is measured, or check that it is the same as before.

        Parameters
        ----------
        manifest : dict
            Serialisable; what every step's figures depend on.

        Raises
        ------
        JournalError
            If the folder belongs to another measurement.
        """
        path = self.folder / _ABOUT
        (self.folder / "initial").mkdir(exist_ok=True)
        if not path.exists():
            write_whole(path, json.dumps(manifest, indent=1).encode())
            return
        known = self._json(path)
        differing = sorted(key for key in {*known, *manifest} if known.get(key) != manifest.get(key))
        if differing:
            raise JournalError(
                f"{self.folder} belongs to another measurement: {', '.join(differing)} other than asked "
                "now. Give this watch another store, or remove the folder."
            )

    def _json(self, path: Path) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise JournalError(
                f"{path} cannot be read: {error}. Remove {self.folder} to begin anew."
            ) from error
        return found

    def step(self, step: int) -> Path:
        """Make the folder of a step, if it is not there.

        Parameters
        ----------
        step : int
            The step.

        Returns
        -------
        Path
            An existing folder.
        """
        found = self.folder / f"step-{step}"
        found.mkdir(exist_ok=True)
        return found

    def finish(self, step: int, told: dict[str, Any], description: dict[str, Any]) -> None:
        """Note that a step is measured, and how all steps so far are labelled.

        Parameters
        ----------
        step : int
            The step.
        told : dict
            What is needed of it when the store is sealed.
        description : dict
            See `geostat.trajectories.schema.describe`.
        """
        write_whole(self.step(step) / _DONE, json.dumps(told).encode())
        write_whole(self.folder / _SO_FAR, json.dumps(description).encode())

    def finished(self) -> dict[int, dict[str, Any]]:
        """Steps that are measured, ascending, with what was told of them.

        Returns
        -------
        dict
            Step -> what `finish` was given.
        """
        found = {int(path.parent.name[5:]): path for path in self.folder.glob(f"step-*/{_DONE}")}
        return {step: self._json(found[step]) for step in sorted(found)}

    def drop(self, step: int) -> None:
        """Forget a step that could not be measured to its end.

        Parameters
        ----------
        step : int
            The step.
        """
        shutil.rmtree(self.folder / f"step-{step}", ignore_errors=True)

    def place(self, step: int | None, matrix: str, kind: str) -> Path:
        """File of one matrix.

        Parameters
        ----------
        step : int or None
            The step; None for W_0.
        matrix : str
            Its name.
        kind : {"record", "kept", "copy"}
            Figures, decomposition, or the weights themselves.

        Returns
        -------
        Path
            Whether it is there or not.
        """
        home = self.folder / ("initial" if step is None else f"step-{step}")
        return home / f"{hashlib.sha256(matrix.encode()).hexdigest()[:24]}.{kind}"

    def kept(self, step: int | None, matrix: str) -> bytes | None:
        """Read a kept decomposition.

        Parameters
        ----------
        step : int or None
            Of the update at a step; None for W_0's own.
        matrix : str
            The matrix.

        Returns
        -------
        bytes or None
            None where there is none.
        """
        path = self.place(step, matrix, "kept")
        return path.read_bytes() if path.exists() else None

    def record(self, step: int, matrix: str) -> Record | None:
        """Read the figures of one matrix at one step.

        Parameters
        ----------
        step : int
            The step.
        matrix : str
            The matrix.

        Returns
        -------
        Record or None
            Of one step; None where there is none that can be read.
        """
        try:
            return Record.from_bytes(self.place(step, matrix, "record").read_bytes())
        except (OSError, JournalError):
            return None

    def keep_copy(self, step: int, matrix: str, weight: torch.Tensor) -> None:
        """Keep a weight until the checkpoint one horizon later is measured.

        Parameters
        ----------
        step : int
            The step.
        matrix : str
            The matrix.
        weight : torch.Tensor
            Shape (m, n), as stored.
        """
        write_whole(self.place(step, matrix, "copy"), save({"weight": weight.cpu().contiguous()}))

    def copied(self, step: int, matrix: str) -> torch.Tensor | None:
        """Read a kept weight.

        Parameters
        ----------
        step : int
            The step.
        matrix : str
            The matrix.

        Returns
        -------
        torch.Tensor or None
            None where there is none.
        """
        try:
            return load(self.place(step, matrix, "copy").read_bytes())["weight"]
        except (OSError, SafetensorError):
            return None

    def drop_copies(self, step: int) -> None:
        """Remove the kept weights of a step that no later one needs.

        Parameters
        ----------
        step : int
            The step.
        """
        for path in self.folder.glob(f"step-{step}/*.copy"):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything; the store is sealed."""
        shutil.rmtree(self.folder, ignore_errors=True)


def joined(records: Sequence[Record]) -> Record:
    """Put the records of one matrix at single steps one after the other.

    Parameters
    ----------
    records : sequence of Record
        In the order of steps.

    Returns
    -------
    Record
        Over all steps, without singular vectors.
    """
    first = records[0]
    return replace(
        first,
        values={name: np.concatenate([each.values[name] for each in records]) for name in first.values},
        reasons={name: np.concatenate([each.reasons[name] for each in records]) for name in first.reasons},
        audit=np.concatenate([each.audit for each in records]),
        methods=np.concatenate([each.methods for each in records]),
        residuals=np.concatenate([each.residuals for each in records]),
        vectors=None,
    )


def watched(folder: Path) -> xr.Dataset:
    """Label what a watch has measured so far.

    Parameters
    ----------
    folder : Path
        What `watch_path` returned.

    Returns
    -------
    xarray.Dataset
        Attributes `complete` is 0, `watched` 1.

    Raises
    ------
    StoreError
        If no checkpoint is measured yet.
    """
    if not (folder / _SO_FAR).exists():
        raise StoreError(f"{folder} is watched, but no checkpoint is measured yet. Look again later.")
    room = WatchFolder(folder)
    description = room._json(folder / _SO_FAR)
    records = []
    for row in description["matrices"]:
        found = [room.record(step, row["matrix"]) for step in description["steps"]]
        whole = [record for record in found if record is not None]
        if len(whole) == len(found):
            records.append(joined(whole))
    dataset = labelled(description, records)
    dataset.attrs |= {"complete": 0, "watched": 1}
    return dataset
