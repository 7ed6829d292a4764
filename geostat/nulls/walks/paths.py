"""Random walks of a weight matrix, simulated whole: the plain way, and the only one through rounding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.diagnostics import (
    forward_capture,
    lagged_similarity,
    past_next_similarity,
    similarity_to_end,
    stable_rank,
)
from geostat.linalg import Factored, factored, round_to_bf16
from geostat.linalg.factored import Side
from geostat.nulls.walks.covariance import InputCovariance

__all__ = ["SIDES", "STATISTICS", "Draws", "WalkShape", "path_draws", "path_statistics", "walk"]

Floats = npt.NDArray[np.float64]
Draws = dict[str, Floats]
"""By statistic, shape (draws, sides, checkpoints); of the stable rank one side, that speaks of none."""

SIDES: tuple[Side, ...] = ("left", "right")
STATISTICS = (
    "similarity_to_end",
    "lagged_similarity",
    "stable_rank",
    "forward_capture",
    "past_next_similarity",
)


@dataclass(frozen=True, eq=False)
class WalkShape:
    """A walk as its null has it: what is conditioned on.

    Attributes
    ----------
    rows, cols : int
        Shape of the matrix.
    variances : numpy.ndarray
        Shape (checkpoints,): expected squared Frobenius norm of the cumulative update, never falling.
    later : tuple of int
        Position of the checkpoint one horizon later; -1 where there is none.
    covariance : InputCovariance
        Of the rows of an increment.
    K : int
        Size of a channel.
    """

    rows: int
    cols: int
    variances: Floats
    later: tuple[int, ...]
    covariance: InputCovariance
    K: int

    @property
    def steps(self) -> Floats:
        """Root mean square Frobenius norms of the increments, shape (checkpoints,)."""
        return np.sqrt(np.diff(self.variances, prepend=0.0))


def walk(shape: WalkShape, rng: np.random.Generator) -> Tensor:
    r"""One random walk, increment by increment.

    .. math:: \Delta W_t = \sum_{s \le t} r_s \frac{G_s \Lambda^{1/2}}{\|G_s \Lambda^{1/2}\|_F}

    with independent Gaussian G_s: every increment has the Frobenius norm r_s, and no increment knows of another.

    Parameters
    ----------
    shape : WalkShape
        Norms, covariance, size.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    torch.Tensor
        Shape (checkpoints, rows, cols), float64: cumulative updates.
    """
    basis = shape.covariance.directions(rng)
    total = torch.zeros((shape.rows, shape.cols), dtype=torch.float64)
    reached = []
    for norm in shape.steps:
        noise = torch.from_numpy(rng.standard_normal((shape.rows, shape.cols)))
        increment = shape.covariance.coloured(noise, basis=basis)
        total = total + float(norm) / torch.linalg.vector_norm(increment) * increment
        reached.append(total)
    return torch.stack(reached)


def stored(initial: Tensor, updates: Tensor) -> Tensor:
    """Updates as they are read back from bf16 files.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (rows, cols), a bf16 weight.
    updates : torch.Tensor
        Shape (checkpoints, rows, cols), float64.

    Returns
    -------
    torch.Tensor
        Same shape, float64.
    """
    start = initial.to(torch.float64)
    return round_to_bf16(start + updates).to(torch.float64) - start


def path_draws(
    shape: WalkShape,
    statistics: Sequence[str],
    n: int,
    rng: np.random.Generator,
    *,
    initial: Tensor | None = None,
    measured_by: Callable[[Tensor, Sequence[int], int, Sequence[str]], Draws] | None = None,
) -> Draws:
    """Statistics of n whole walks, by the functions that measure a run unless others are given.

    Parameters
    ----------
    shape : WalkShape
        What is conditioned on.
    statistics : sequence of str
        Among `STATISTICS`.
    n : int
        Walks.
    rng : numpy.random.Generator
        Source of randomness.
    initial : torch.Tensor, optional
        Shape (rows, cols): the bf16 weight that the walk starts from; every checkpoint is then rounded to bf16.
    measured_by : callable, optional
        In place of `path_statistics`, with its arguments.

    Returns
    -------
    Draws
        By statistic.
    """
    measure = measured_by or path_statistics
    found: dict[str, list[Floats]] = {name: [] for name in statistics}
    for _ in range(n):
        updates = walk(shape, rng)
        seen = updates if initial is None else stored(initial, updates)
        for name, values in measure(seen, shape.later, shape.K, statistics).items():
            found[name].append(values)
    return {name: np.stack(values) for name, values in found.items()}


def path_statistics(updates: Tensor, later: Sequence[int], K: int, statistics: Sequence[str]) -> Draws:
    """Statistics of one run of a matrix, as `geostat.measure` has them.

    Parameters
    ----------
    updates : torch.Tensor
        Shape (checkpoints, rows, cols), float64.
    later : sequence of int
        Position of the checkpoint one horizon later, -1 where there is none.
    K : int
        Size of a channel.
    statistics : sequence of str
        Among `STATISTICS`.

    Returns
    -------
    Draws
        By statistic, shape (sides, checkpoints).
    """
    made = [Factored(update, wanted=K) for update in updates]
    pairs = [(i, j) for i, j in enumerate(later) if j > i]
    ahead = {"forward_capture", "past_next_similarity"} & set(statistics)
    following = {i: factored(updates[j] - updates[i]) for i, j in pairs} if ahead else {}
    found = {name: np.full((len(SIDES), len(made)), np.nan) for name in statistics}
    if "stable_rank" in found:
        found["stable_rank"] = np.array([[stable_rank(update) for update in made]])
    for row, side in enumerate(SIDES):
        if "similarity_to_end" in found:
            values = [similarity_to_end(update, made[-1], K=K, side=side) for update in made]
            found["similarity_to_end"][row] = values
        for i, j in pairs:
            _fill_ahead(found, (row, i), side, made[i], made[j], following.get(i), K)
    return found


def _fill_ahead(
    found: Draws,
    place: tuple[int, int],
    side: Side,
    now: Factored,
    later: Factored,
    increment: Factored | None,
    K: int,
) -> None:
    if "lagged_similarity" in found:
        found["lagged_similarity"][place] = lagged_similarity(now, later, K=K, side=side)
    if increment is None:
        return
    if "forward_capture" in found:
        found["forward_capture"][place] = forward_capture(now, increment, K=K, side=side)
    if "past_next_similarity" in found:
        found["past_next_similarity"][place] = past_next_similarity(now, increment, K=K, side=side)
