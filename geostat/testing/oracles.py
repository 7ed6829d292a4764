"""Every diagnostic once more, in numpy and scipy, straight from its definition: slow, plain, separate."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

__all__ = ["ORACLES", "bf16"]

Array = npt.NDArray[np.float64]


def bf16(values: Array) -> Array:
    """Round to bfloat16: 8 significant bits, ties to even, gradual underflow at 2**-133.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape.

    Returns
    -------
    numpy.ndarray
        The rounded values in float64.
    """
    exponent = np.frexp(values)[1]
    quantum = np.ldexp(1.0, np.maximum(exponent - 8, -133))
    return np.asarray(np.rint(values / quantum) * quantum)


def _svd(matrix: Array) -> tuple[Array, Array, Array]:
    left, values, right = linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, values, right.T


def _rank(matrix: Array) -> int:
    values = _svd(matrix)[1]
    floor = max(matrix.shape) * np.finfo(float).eps * float(values[0])
    return int(np.count_nonzero(values > floor))


def _basis(matrix: Array, k: int, side: str) -> Array:
    left, _, right = _svd(matrix)
    return (left if side == "left" else right)[:, :k]


def _cap(matrix: Array, k: int | float) -> int:
    p = int(min(matrix.shape))
    return min(max(1, round(k * p)) if isinstance(k, float) else k, p // 2)


def update_sparsity(initial: Array, updated: Array, *, eta: float, rule: str, space: str) -> float:
    """Count entry by entry."""
    return float(1 - np.mean(_changed(initial, updated, eta, rule, space)))


def update_density(initial: Array, updated: Array, *, eta: float, rule: str, space: str) -> float:
    """Count entry by entry."""
    return float(np.mean(_changed(initial, updated, eta, rule, space)))


def _changed(initial: Array, updated: Array, eta: float, rule: str, space: str) -> npt.NDArray[np.bool_]:
    a, b = (bf16(initial), bf16(updated)) if space == "bf16" else (initial, updated)
    tolerance = eta * np.maximum(np.abs(a), np.abs(b)) if rule == "relative" else eta
    return np.asarray(np.abs(b - a) > tolerance)


def principal_angles(initial: Array, updated: Array, *, k: int | float, side: str) -> Array:
    """Use scipy's subspace angles."""
    used = _cap(initial, k)
    found = linalg.subspace_angles(_basis(initial, used, side), _basis(updated, used, side))
    return np.asarray(np.degrees(np.sort(found)))


def max_principal_angle(initial: Array, updated: Array, *, k: int | float, side: str) -> float:
    """Take the largest."""
    return float(principal_angles(initial, updated, k=k, side=side).max())


def mean_principal_angle(initial: Array, updated: Array, *, k: int | float, side: str) -> float:
    """Take the mean."""
    return float(principal_angles(initial, updated, k=k, side=side).mean())


def mean_principal_sine(initial: Array, updated: Array, *, k: int | float, side: str) -> float:
    """Take the mean of the sines."""
    return float(np.sin(np.radians(principal_angles(initial, updated, k=k, side=side))).mean())


def principal_gap(initial: Array, updated: Array, *, k: int | float) -> float:
    """Subtract two singular values."""
    used = _cap(initial, k)
    return float(_svd(initial)[1][used - 1] - _svd(updated)[1][used])


def gap_limited(initial: Array, updated: Array, update: Array, *, k: int | float) -> float:
    """Compare the gap with the spectral norm."""
    return float(np.linalg.norm(update, 2) >= principal_gap(initial, updated, k=k))


def normalized_spectral_shift(initial: Array, updated: Array) -> float:
    """Divide two norms of singular values."""
    before, after = _svd(initial)[1], _svd(updated)[1]
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def _inclusion(sizes: Array, alpha: float, margin: float = 0.0) -> Array:
    """Probability of each entry to be among the first when ties at the edge are broken at random."""
    wanted = round(alpha * sizes.size)
    if wanted == 0:
        return np.zeros(sizes.shape)
    threshold = np.sort(sizes, axis=None)[wanted - 1]
    ahead, tied = sizes < threshold - margin, np.abs(sizes - threshold) <= margin
    return np.asarray(np.where(tied, (wanted - ahead.sum()) / tied.sum(), ahead), dtype=np.float64)


def principal_mask_overlap(
    initial: Array,
    updated: Array,
    *,
    alpha: float,
    r: int | float,
    eta: float,
    rule: str,
    space: str,
) -> float:
    """Average inclusion probabilities over changed entries."""
    left, values, right = _svd(initial)
    used = _cap(initial, r)
    reconstruction = left[:, :used] @ np.diag(values[:used]) @ right[:, :used].T
    changed = _changed(initial, updated, eta, rule, space)
    sizes = np.abs(reconstruction)
    inclusion = _inclusion(-sizes, alpha, margin=1e-12 * float(sizes.max()))
    return float(inclusion[changed].mean()) if changed.any() else math.nan


def low_magnitude_mask_overlap(
    initial: Array, updated: Array, *, alpha: float, eta: float, rule: str, space: str
) -> float:
    """Average inclusion probabilities over changed entries."""
    changed = _changed(initial, updated, eta, rule, space)
    sizes = np.abs(bf16(initial) if space == "bf16" else initial)
    return float(_inclusion(sizes, alpha)[changed].mean()) if changed.any() else math.nan


def stable_rank(update: Array) -> float:
    """Divide two squared norms."""
    return float(np.linalg.norm(update) ** 2 / np.linalg.norm(update, 2) ** 2)


def stable_rank_trend(update: Array, first: Array) -> float:
    """Take the log of a ratio."""
    return math.log(stable_rank(update)) - math.log(stable_rank(first))


def numerical_rank(update: Array) -> float:
    """Count singular values."""
    return float(_rank(update))


def update_norm(update: Array) -> float:
    """Sum squares."""
    return math.sqrt(float(np.sum(update**2)))


def relative_update_norm(initial: Array, update: Array) -> float:
    """Divide two norms."""
    return update_norm(update) / update_norm(initial)


def hill_tail_exponent(update: Array, *, hill_k: int | float) -> float:
    """Sum logarithms one by one."""
    values = _svd(update)[1]
    k = int(hill_k * len(values)) if isinstance(hill_k, float) else min(hill_k, len(values))
    if k < 2 or k > _rank(update):
        return math.nan
    return (k - 1) / sum(math.log(values[i] / values[k - 1]) for i in range(k - 1))


def effective_rank(update: Array) -> float:
    """Exponentiate the entropy."""
    values = _svd(update)[1]
    shares = [value / values.sum() for value in values if value > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def top_k_energy(update: Array, *, K: int) -> float:
    """Sum squares of the first K."""
    values = _svd(update)[1]
    return float(np.sum(values[:K] ** 2) / np.sum(values**2))


def principal_subspace_energy(initial: Array, update: Array, *, k: int, side: str) -> float:
    """Project with the full projector."""
    basis = _basis(initial, k, side)
    projector = basis @ basis.T
    inside = projector @ update if side == "left" else update @ projector
    return float(np.sum(inside**2) / np.sum(update**2))


def _similarity(first: Array, second: Array, K: int, side: str) -> float:
    """Mean squared cosine by way of scipy's angles."""
    j, k = min(K, _rank(first)), min(K, _rank(second))
    a, b = _basis(first, j, side), _basis(second, k, side)
    return float(np.sum(np.cos(linalg.subspace_angles(a, b)) ** 2) / min(j, k))


def similarity_to_end(update: Array, final: Array, *, K: int, side: str) -> float:
    """Compare two channels."""
    return _similarity(update, final, K, side)


def lagged_similarity(update: Array, later: Array, *, K: int, side: str) -> float:
    """Compare two channels."""
    return _similarity(update, later, K, side)


def past_next_similarity(update: Array, increment: Array, *, K: int, side: str) -> float:
    """Compare two channels."""
    return _similarity(update, increment, K, side)


def forward_capture(update: Array, increment: Array, *, K: int, side: str) -> float:
    """Project the increment, and find the best projection from its own decomposition."""
    used = min(K, _rank(update))
    target = increment.T if side == "left" else increment
    basis = _basis(update, used, side)
    share = np.sum((target @ basis @ basis.T) ** 2) / np.sum(target**2)
    best = np.sum((target @ _svd(target)[2][:, :used]) ** 2) / np.sum(target**2)
    chance = used / target.shape[1]
    return float((share - chance) / (best - chance))


def future_capture(update: Array, remaining: Array, *, K: int, side: str) -> float:
    """Project what is still to come."""
    return forward_capture(update, remaining, K=K, side=side)


ORACLES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            effective_rank,
            forward_capture,
            future_capture,
            gap_limited,
            hill_tail_exponent,
            lagged_similarity,
            low_magnitude_mask_overlap,
            max_principal_angle,
            mean_principal_angle,
            mean_principal_sine,
            normalized_spectral_shift,
            numerical_rank,
            past_next_similarity,
            principal_angles,
            principal_gap,
            principal_mask_overlap,
            principal_subspace_energy,
            relative_update_norm,
            similarity_to_end,
            stable_rank,
            stable_rank_trend,
            top_k_energy,
            update_density,
            update_norm,
            update_sparsity,
        )
    }
)
"""Oracles by the name of the diagnostic."""
