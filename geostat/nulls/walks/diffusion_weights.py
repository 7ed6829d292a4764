"""A run's weights, opened once and read matrix by matrix."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geostat.checkpoints import (
    Checkpoint,
    MatrixRef,
    Selection,
    discover_run,
    list_matrices,
    open_checkpoint,
    pair_matrices,
    read_matrix,
    run_storage,
)

__all__ = ["WeightsOfRun", "open_run"]


@dataclass(frozen=True, eq=False)
class WeightsOfRun:
    """Base and checkpoints of a run, of which every matrix has its partners.

    Attributes
    ----------
    steps : tuple of int
        Of the checkpoints, ascending.
    refs : tuple of MatrixRef
        Matrices.
    storage : str
        "bf16", "fp32", ..., or "mixed".
    opened : tuple of Checkpoint
        The base, then one per step.
    """

    steps: tuple[int, ...]
    refs: tuple[MatrixRef, ...]
    storage: str
    opened: tuple[Checkpoint, ...]

    @property
    def sixteen_bit(self) -> bool:
        """Whether neighbouring increments share rounding errors that matter."""
        return self.storage not in ("fp32", "fp64")

    def read(self, place: int, ref: MatrixRef) -> Tensor:
        """One matrix as it is stored.

        Parameters
        ----------
        place : int
            0 for the base, then one per step.
        ref : MatrixRef
            Which.

        Returns
        -------
        torch.Tensor
            Shape (rows, cols).
        """
        return read_matrix(self.opened[place], ref)

    def increment_gram(self, ref: MatrixRef) -> Tensor:
        """Gram matrix of the columns of all increments, each of weight 1.

        Parameters
        ----------
        ref : MatrixRef
            Which matrix.

        Returns
        -------
        torch.Tensor
            Shape (cols, cols), float64; zero where nothing changed.
        """
        total = torch.zeros((ref.cols, ref.cols), dtype=torch.float64)
        before = self.read(0, ref).to(torch.float64)
        for place in range(1, len(self.opened)):
            now = self.read(place, ref).to(torch.float64)
            increment, before = now - before, now
            squares = increment.mT @ increment
            total += squares / squares.trace().clamp(min=torch.finfo(torch.float64).tiny)
        return total


def open_run(base: Any, checkpoints: Any, matrices: Selection | None = None) -> WeightsOfRun:
    """Open the weights of a run.

    Parameters
    ----------
    base, checkpoints
        As in `geostat.measure`.
    matrices : str, sequence of str or callable, optional
        Which; "attention" by default.

    Returns
    -------
    WeightsOfRun
        Every matrix present in every checkpoint.

    Raises
    ------
    CheckpointError
        If checkpoints are missing, unreadable, or do not fit together.
    """
    paths = discover_run(base, checkpoints)
    start, *others = (open_checkpoint(weights) for weights in (paths.base, *paths.steps.values()))
    refs = list_matrices(start, "attention" if matrices is None else matrices)
    for other in others:
        pair_matrices(start, other, refs)
    storage = run_storage(start, dict(zip(paths.steps, others, strict=True)))
    return WeightsOfRun(tuple(paths.steps), refs, storage, (start, *others))
