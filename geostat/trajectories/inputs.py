"""What a measurement was made from, so that a store says so and is never taken for another."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from geostat.checkpoints import Checkpoint, MatrixRef

__all__ = ["InputFile", "fingerprint", "inputs_of", "sha256"]


@dataclass(frozen=True)
class InputFile:
    """One weights file, or weights in memory.

    Attributes
    ----------
    step : int
        The step it belongs to; 0 is the base.
    path : str
        Where it was read; "memory" where there is no file.
    size : int
        Bytes.
    version : str or None
        What changes when the file does: time of change or ETag, where the file system tells.
    content : str or None
        Fingerprint of the measured matrices, for weights in memory only.
    """

    step: int
    path: str
    size: int
    version: str | None
    content: str | None = None

    def identity(self) -> dict[str, Any]:
        """What tells this file from another, wherever it lies.

        Returns
        -------
        dict
            Step, name, size, and version or fingerprint.
        """
        return {
            "step": self.step,
            "name": os.path.basename(self.path),
            "size": self.size,
            "version": self.version,
            **({"content": self.content} if self.content else {}),
        }


def inputs_of(
    steps: Sequence[int], checkpoints: Sequence[Checkpoint], refs: Sequence[MatrixRef]
) -> tuple[InputFile, ...]:
    """List what all checkpoints were read from.

    Parameters
    ----------
    steps : sequence of int
        0 for the base, then one per checkpoint.
    checkpoints : sequence of Checkpoint
        In the same order.
    refs : sequence of MatrixRef
        What is measured: weights in memory are told apart by these.

    Returns
    -------
    tuple of InputFile
        In the order of steps.
    """
    found: list[InputFile] = []
    for step, checkpoint in zip(steps, checkpoints, strict=True):
        if checkpoint.files:
            found += [
                InputFile(step, path, size, checkpoint.version_of(path)) for path, size in checkpoint.files
            ]
        else:
            found.append(_in_memory(step, checkpoint, refs))
    return tuple(found)


def _in_memory(step: int, checkpoint: Checkpoint, refs: Sequence[MatrixRef]) -> InputFile:
    weights = [ref.read(checkpoint) for ref in refs]
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    content = hashlib.sha256("".join(fingerprint(weight) for weight in weights).encode()).hexdigest()[:16]
    return InputFile(step, "memory", size, None, content)


def fingerprint(weight: torch.Tensor) -> str:
    """Hash a weight's shape, dtype and bytes.

    Parameters
    ----------
    weight : torch.Tensor
        Any shape.

    Returns
    -------
    str
        16 hex digits.
    """
    stored = weight.detach().cpu().contiguous()
    head = f"{tuple(stored.shape)} {stored.dtype}".encode()
    digest = hashlib.sha256(head)
    digest.update(stored.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


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
