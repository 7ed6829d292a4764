"""Errors against decompositions in float64 and angles from sines."""

import math

import numpy as np
import numpy.typing as npt
import torch

import geostat.diagnostics as gs
from geostat.bench.bars import Bar, Measured
from geostat.bench.pairs import SPARSITY, updated_weight
from geostat.bench.settings import Found, Job, Settings
from geostat.linalg import Factored
from geostat.linalg.factored import Side
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["ACCURACY_JOBS"]

Array = npt.NDArray[np.float64]

_SHAPES = ((384, 384), (256, 512), (512, 256))
_RANKS = (2, 4, 8, 16, 64, 128)

_ANGLES = Bar("angles, where not gap-limited", "degree", at_most=1e-9)
_STILL = Bar("angles of W_0 against itself", "degree", at_most=1e-9)
_SHIFT = Bar("spectral shift, over 1e-9 NSS + 1e-15 sqrt(n)", "share of the bound", at_most=1.0)
_SCALARS = Bar("other scalars", "relative", at_most=1e-11)
_COUNTS = Bar("counts of changed entries and ranks", "entries", at_most=0.0)
_TIES = Bar("low-magnitude overlap against all ways to break ties", "share", at_most=1e-14)


class _Truth:
    """One pair, decomposed by the plainest float64 driver."""

    def __init__(self, before: torch.Tensor, after: torch.Tensor) -> None:
        self.initial, self.updated = Factored(before), Factored(after)
        self.update = self.updated.minus(self.initial)
        triplets = [
            np.linalg.svd(w.values.numpy(), full_matrices=False) for w in (self.initial, self.updated)
        ]
        (u0, self.before, v0), (u, self.after, v) = triplets
        self.bases: dict[Side, tuple[Array, Array]] = {"left": (u0, u), "right": (v0.T, v.T)}
        self.values = np.linalg.svd(self.update.values.numpy(), compute_uv=False)

    def angles(self, k: int, side: Side) -> Array:
        first, second = (basis[:, :k] for basis in self.bases[side])
        overlap = first.T @ second
        cosines = np.linalg.svd(overlap, compute_uv=False).clip(max=1)
        sines = np.sort(np.linalg.svd(second - first @ overlap, compute_uv=False)).clip(max=1)
        return np.asarray(np.degrees(np.where(cosines**2 > 0.5, np.arcsin(sines), np.arccos(cosines))))


def _pairs() -> list[_Truth]:
    found = []
    for shape in _SHAPES:
        initial = heavy_tailed_weight(*shape, np.random.default_rng(0))
        for kind in SPARSITY:
            found.append(_Truth(initial, updated_weight(initial, kind, np.random.default_rng(1))))
    return found


def _accuracy(settings: Settings) -> Found:
    pairs = _pairs()
    errors = [error for pair in pairs for error in _angle_errors(pair)]
    yield _ANGLES, Measured(max(errors), note=f"{len(errors)} subspaces of {len(pairs)} pairs")
    yield _STILL, Measured(max(_unmoved(pair) for pair in pairs))
    yield _SHIFT, Measured(max(_shift_error(pair) for pair in pairs))
    yield _SCALARS, Measured(max(error for pair in pairs for error in _scalar_errors(pair)))
    yield _COUNTS, Measured(float(max(_count_errors(pair) for pair in pairs)))
    yield _TIES, Measured(max(_tie_error(pair) for pair in pairs))


def _angle_errors(pair: _Truth) -> list[float]:
    found = []
    for k in _RANKS:
        if gs.gap_limited(pair.initial, pair.updated, pair.update, k=k) == 1.0:
            continue
        for side in pair.bases:
            angles = gs.principal_angles(pair.initial, pair.updated, k=k, side=side)
            found.append(float(np.abs(angles - pair.angles(k, side)).max()))
    return found


def _unmoved(pair: _Truth) -> float:
    again = Factored(pair.initial.stored.clone())
    k = pair.initial.smaller // 2
    return max(gs.max_principal_angle(pair.initial, again, k=k, side=side) for side in pair.bases)


def _shift_error(pair: _Truth) -> float:
    truth = float(np.linalg.norm(pair.after - pair.before) / np.linalg.norm(pair.before))
    error = abs(gs.normalized_spectral_shift(pair.initial, pair.updated) - truth)
    return error / (1e-9 * truth + 1e-15 * math.sqrt(pair.initial.smaller))


def _scalar_errors(pair: _Truth) -> list[float]:
    s = pair.values
    shares, count = s / s.sum(), int(0.1 * len(s))
    truth = {
        gs.stable_rank(pair.update): float(np.sum(s**2) / s[0] ** 2),
        gs.effective_rank(pair.update): float(np.exp(-np.sum(shares * np.log(shares)))),
        gs.hill_tail_exponent(pair.update, hill_k=0.1): (count - 1)
        / np.log(s[: count - 1] / s[count - 1]).sum(),
        gs.top_k_energy(pair.update, K=16): float(np.sum(s[:16] ** 2) / np.sum(s**2)),
    }
    return [abs(ours / plain - 1) for ours, plain in truth.items()]


def _count_errors(pair: _Truth) -> int:
    changed = int((pair.initial.stored != pair.updated.stored).sum())
    ours = round(gs.update_density(pair.initial, pair.updated) * pair.initial.stored.numel())
    floor = max(pair.initial.stored.shape) * np.finfo(float).eps * pair.values[0]
    ranks = int(gs.numerical_rank(pair.update)) - int((pair.values > floor).sum())
    return max(abs(ours - changed), abs(ranks))


def _tie_error(pair: _Truth, alpha: float = 0.3) -> float:
    """Against the probability of every entry to be chosen, found by ranking all of them."""
    sizes = pair.initial.stored.to(torch.float64).abs().numpy().ravel()
    changed = (pair.initial.stored != pair.updated.stored).numpy().ravel()
    _, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    ahead = np.cumsum(counts) - counts
    chance = np.clip((round(alpha * sizes.size) - ahead) / counts, 0, 1)[place]
    found = gs.low_magnitude_mask_overlap(pair.initial, pair.updated, alpha=alpha)
    return abs(found - float(chance[changed].mean()))


ACCURACY_JOBS = (
    Job(
        "accuracy",
        "errors of every kind of figure on pairs like SFT, OPD and RLVR",
        (_ANGLES, _STILL, _SHIFT, _SCALARS, _COUNTS, _TIES),
        _accuracy,
    ),
)
"""Errors."""
