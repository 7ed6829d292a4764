"""The files behind a measurement, so that a store says what it was made from."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geostat.checkpoints import Checkpoint

__all__ = ["InputFile", "input_files", "sha256"]


@dataclass(frozen=True)
class InputFile:
    """One weights file.

    Attributes
    ----------
    step : int
        The step it belongs to; 0 is the base.
    path : str
        Where it was read.
    size : int
        Bytes.
    modified : int or None
        Time of last change in nanoseconds, where the file system tells.
    """

    step: int
    path: str
    size: int
    modified: int | None

    def identity(self) -> dict[str, Any]:
        """What tells this file from another, wherever it lies.

        Returns
        -------
        dict
            Step, name, size and time of change.
        """
        return {
            "step": self.step,
            "name": os.path.basename(self.path),
            "size": self.size,
            "modified": self.modified,
        }


def input_files(steps: Sequence[int], checkpoints: Sequence[Checkpoint]) -> tuple[InputFile, ...]:
    """List the files of all checkpoints; weights in memory have none.

    Parameters
    ----------
    steps : sequence of int
        0 for the base, then one per checkpoint.
    checkpoints : sequence of Checkpoint
        In the same order.

    Returns
    -------
    tuple of InputFile
        In the order of steps.
    """
    return tuple(
        InputFile(step, path, size, os.stat(path).st_mtime_ns if os.path.exists(path) else None)
        for step, checkpoint in zip(steps, checkpoints, strict=True)
        for path, size in checkpoint.files
    )


def sha256(path: str) -> str:
    """Hash a file, a megabyte at a time.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    str
        64 hex digits.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
