"""The same on an accelerator, each figure checked against the CPU in float64; skipped where there is none."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import geostat.diagnostics as gs
from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import cpu_seconds
from geostat.bench.pairs import updated_weight
from geostat.bench.refinement import refined
from geostat.bench.rotated import rotated_angles
from geostat.bench.rotation import direct_angles
from geostat.bench.settings import Found, Job, Settings
from geostat.linalg import Factored
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["ACCELERATOR_JOBS"]

_SIZE, _K = 4096, 512
_LAYERS = 36
_SHAPES = ((4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096))

_ANGLES = Bar(
    "angles followed on an accelerator, against the CPU's exact angles", "ratio", at_least=20, error_bar=4e-8
)
_EXACT = Bar(
    "exact tier on an accelerator, attention of an 8B model", "s a checkpoint", at_most=15, error_bar=1e-9
)
_FOLLOWED = Bar("angles tier on an accelerator, attention of an 8B model", "s a checkpoint", goal=2)
_REFINED = Bar(
    "all vectors refined from W_0's on an accelerator, 4096 x 4096", "s a checkpoint", error_bar=1e-12
)
_BARS = (_ANGLES, _EXACT, _FOLLOWED, _REFINED)
_ABSENT = Measured(None, note="no accelerator here")


def _accelerator(settings: Settings) -> Found:
    if not torch.cuda.is_available():
        yield from ((bar, _ABSENT) for bar in _BARS)
        return
    yield _angles()
    yield from _attention()
    yield _refinement()


def _seconds(work: Callable[[], Any]) -> float:
    """Time by the clock until the accelerator is done; the second of two calls."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def _pair(rows: int, cols: int) -> tuple[torch.Tensor, torch.Tensor]:
    before = heavy_tailed_weight(rows, cols, np.random.default_rng(0))
    return before, updated_weight(before, "RLVR", np.random.default_rng(1))


def _angles() -> tuple[Bar, Measured]:
    before, after = _pair(_SIZE, _SIZE)
    there, here = Factored(before.cuda(), wanted=_K), Factored(before, wanted=_K)
    fast = _seconds(lambda: rotated_angles(there, Factored(after.cuda()), _K))
    here.vectors(_K, "left")
    kept: list[list[torch.Tensor]] = []
    slow = cpu_seconds(lambda: kept.append(direct_angles(here, Factored(after, wanted=_K), _K)))
    found = rotated_angles(there, Factored(after.cuda()), _K)
    if found is None:
        return _ANGLES, Measured(None, note="the update lies beyond the gate")
    error = max(float((a.cpu() - b).abs().max()) for a, b in zip(found[:2], kept[0], strict=True))
    return _ANGLES, Measured(slow / fast, slow, fast, float(np.degrees(error)))


def _attention() -> Found:
    exact = followed = 0.0
    errors = []
    for shape in _SHAPES:
        before, after = (weight.cuda() for weight in _pair(*shape))
        initial = Factored(before, wanted=_K)

        def suite(initial: Factored = initial, after: torch.Tensor = after) -> float:
            updated = Factored(after, wanted=_K)
            gs.hill_tail_exponent(updated.minus(initial))
            direct_angles(initial, updated, min(_K, initial.smaller // 2))
            return gs.normalized_spectral_shift(initial, updated)

        def rotation(initial: Factored = initial, after: torch.Tensor = after) -> None:
            rotated_angles(initial, Factored(after), min(_K, initial.smaller // 2))

        exact += _LAYERS * _seconds(suite)
        followed += _LAYERS * _seconds(rotation)
        errors.append(abs(suite() - gs.normalized_spectral_shift(before.cpu(), after.cpu())))
    note = f"one layer, times {_LAYERS}; by the clock on the wall"
    yield _EXACT, Measured(exact, fast_seconds=exact, error=max(errors), note=note)
    yield _FOLLOWED, Measured(followed, fast_seconds=followed, note=note)


def _refinement() -> tuple[Bar, Measured]:
    before, after = (weight.cuda().to(torch.float64) for weight in _pair(_SIZE, _SIZE))
    left, _, right = Factored(before).svd
    fast = _seconds(lambda: refined(left, right, after))
    found = refined(left, right, after)
    truth = torch.linalg.svdvals(after.cpu())
    error = float((found.values.cpu().sort(descending=True).values - truth).abs().max() / truth[0])
    note = f"{found.sweeps} sweeps; the error is that of singular values, relative to the largest"
    return _REFINED, Measured(fast, fast_seconds=fast, error=error, note=note)


ACCELERATOR_JOBS = (
    Job("accelerator", "exact and angles tier, and refinement, on an accelerator", _BARS, _accelerator),
)
"""Rows that need an accelerator."""
