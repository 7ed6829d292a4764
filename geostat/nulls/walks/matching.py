"""Walks matched to a run: how far they have to move so that what is read of them has the run's norms."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from geostat.errors import SampleError
from geostat.nulls.walks.covariance import InputCovariance

__all__ = ["Matched", "latent_variances", "one_horizon_later", "scaled_through_rounding", "walked_variances"]

Floats = npt.NDArray[np.float64]
Matched = Literal["increments", "updates"]
"""Which norms a walk shares with the run: those of its increments, or of its cumulative updates."""

_HALVINGS = 40


def walked_variances(norms: npt.ArrayLike, matched: Matched) -> Floats:
    """Expected squared norms of the cumulative updates of a matched walk.

    Parameters
    ----------
    norms : array
        Shape (checkpoints,): Frobenius norms of increments, or of cumulative updates.
    matched : {"increments", "updates"}
        Which. Increments of a walk are orthogonal on average, so squares of norms add up; where the norm of a
        cumulative update falls, the walk stands still.

    Returns
    -------
    numpy.ndarray
        Shape (checkpoints,), never falling.

    Raises
    ------
    SampleError
        If the norms are not finite numbers of 0 or more, not all 0.
    """
    known = np.asarray(norms, dtype=np.float64)
    if known.ndim != 1 or not known.size or not np.isfinite(known).all() or (known < 0).any():
        raise SampleError(
            f"norms of shape {known.shape} were given with {int((~np.isfinite(known)).sum())} values that are not "
            "finite. A walk needs one Frobenius norm of 0 or more for each checkpoint: leave checkpoints without "
            "a norm out."
        )
    if not known.any():
        raise SampleError("all norms are 0: nothing changed, so there is no walk to compare with.")
    squares = known**2
    return np.cumsum(squares) if matched == "increments" else np.maximum.accumulate(squares)


def one_horizon_later(steps: Sequence[int], horizon: int | None = None) -> tuple[int, ...]:
    """Position of the checkpoint one horizon later.

    Parameters
    ----------
    steps : sequence of int
        Ascending.
    horizon : int, optional
        In steps; the next checkpoint by default.

    Returns
    -------
    tuple of int
        -1 where there is none.
    """
    if horizon is None:
        return (*range(1, len(steps)), -1)
    places = {int(step): i for i, step in enumerate(steps)}
    return tuple(places.get(int(step) + int(horizon), -1) for step in steps)


def latent_variances(
    initial: Tensor,
    norms: npt.ArrayLike,
    matched: Matched,
    covariance: InputCovariance,
    rng: np.random.Generator,
) -> Floats:
    """Expected squared norms of a walk whose *stored* norms are the run's.

    Rounding changes norms: where most entries fall into the dead zone, what is stored of a walk differs in size
    from the walk. One walk is simulated, and each increment scaled by bisection until the stored norm is met.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (rows, cols), bf16.
    norms : array
        Shape (checkpoints,): stored norms of increments, or of cumulative updates.
    matched : {"increments", "updates"}
        Which.
    covariance : InputCovariance
        Of the walk.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Shape (checkpoints,): of the walk before rounding, never falling.
    """
    basis = covariance.directions(rng)

    def increment() -> Tensor:
        noise = torch.from_numpy(rng.standard_normal(tuple(initial.shape)))
        coloured = covariance.coloured(noise, basis=basis)
        scaled: Tensor = coloured / torch.linalg.vector_norm(coloured)
        return scaled

    sizes, _ = scaled_through_rounding(initial, norms, matched, increment)
    return np.asarray(np.cumsum(sizes**2))


def scaled_through_rounding(
    initial: Tensor, norms: npt.ArrayLike, matched: Matched, increment: Callable[[], Tensor]
) -> tuple[Floats, Tensor]:
    """Lengths of increments at which stored norms are those of a run.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (rows, cols), bf16.
    norms : array
        Shape (checkpoints,).
    matched : {"increments", "updates"}
        Which stored norms these are.
    increment : callable
        Gives the direction of the next increment: shape (rows, cols), of Frobenius norm 1.

    Returns
    -------
    tuple of ndarray and torch.Tensor
        Lengths, shape (checkpoints,), and the stored weights in float64, shape (checkpoints, rows, cols).
    """
    walked_variances(norms, matched)  # refuses what nothing can be matched to
    start = initial.to(torch.float32)
    latent, before, sizes, reached = start, start, [], []
    for target in np.asarray(norms, dtype=np.float64):
        direction = increment().to(torch.float32)
        reference = before if matched == "increments" else start
        size = _size(float(target), _stored_norm(latent, direction, reference))
        latent = latent + size * direction
        before = latent.to(torch.bfloat16).to(torch.float32)
        sizes.append(size)
        reached.append(before.to(torch.float64))
    return np.array(sizes), torch.stack(reached)


def _stored_norm(latent: Tensor, increment: Tensor, reference: Tensor) -> Callable[[float], float]:
    def norm(size: float) -> float:
        reached = (latent + size * increment).to(torch.bfloat16).to(torch.float32)
        return float(torch.linalg.vector_norm(reached - reference))

    return norm


def _size(target: float, norm: Callable[[float], float]) -> float:
    """Smallest length at which the stored norm reaches the target; 0 where it is there already."""
    if norm(0.0) >= target:
        return 0.0
    low, high = 0.0, target
    while norm(high) < target:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if norm(middle) < target else (low, middle)
        if high - low <= 1e-4 * high:
            break
    return high
