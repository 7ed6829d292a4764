"""What is read off the entries: sparsity, masks, the curve over tolerances."""

import numpy as np
import torch

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import Timing, interleaved
from geostat.bench.naive import naive_eta_curve, naive_masks, naive_sparsity
from geostat.bench.pairs import updated_weight
from geostat.bench.settings import Found, Job, Settings
from geostat.diagnostics import low_magnitude_mask_overlap, principal_mask_overlap, update_sparsity
from geostat.linalg import Factored
from geostat.linalg.elementwise import expect
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["ENTRY_JOBS"]

_SIZE = 4096
_ALPHAS = (0.3, 0.5)
_ETAS = (0.0, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 0.5)
_RANK = 64

_RATIO = Bar("elementwise sparsity, 4096 x 4096", "ratio", at_least=50, goal=100, error_bar=1e-15)
_SPEED = Bar("elementwise sparsity, 4096 x 4096, speed", "GB/s a core", at_least=10)
_MASKS = Bar("sparsity and both masks, 4096 x 4096", "ratio", at_least=20, goal=60, error_bar=1e-5)
_CURVE = Bar("curve over 8 tolerances, 4096 x 4096", "ratio")


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    initial = heavy_tailed_weight(_SIZE, _SIZE, np.random.default_rng(0))
    return initial, updated_weight(initial, "OPD", np.random.default_rng(1))


def _measured(timing: Timing, error: float | None, note: str = "") -> Measured:
    return Measured(timing.ratio, timing.naive, timing.fast, error, note)


def _sparsity(settings: Settings) -> Found:
    before, after = _pair()
    initial = Factored(before)
    timing = interleaved(
        lambda: naive_sparsity(before, after),
        lambda: update_sparsity(initial, Factored(after)),
        settings.repeats,
        inner=20,
    )
    error = abs(naive_sparsity(before, after) - update_sparsity(initial, Factored(after)))
    yield _RATIO, _measured(timing, error, "against the textbook expression in float64")
    read = 2 * before.numel() * before.element_size()
    yield _SPEED, Measured(read / timing.fast / 1e9, fast_seconds=timing.fast)


def _masks(settings: Settings) -> Found:
    before, after = _pair()
    initial = Factored(before, wanted=_RANK)
    expect(initial, alphas=_ALPHAS)
    left, right = initial.vectors(_RANK, "left"), initial.vectors(_RANK, "right")
    reconstruction = ((left * initial.leading_values(_RANK)) @ right.mT).abs()

    def fast() -> dict[str, float]:
        updated = Factored(after)
        found = {"sparsity": update_sparsity(initial, updated)}
        for alpha in _ALPHAS:
            found[f"low {alpha:g}"] = low_magnitude_mask_overlap(initial, updated, alpha=alpha)
            found[f"principal {alpha:g}"] = principal_mask_overlap(initial, updated, alpha=alpha, r=_RANK)
        return found

    def naive() -> dict[str, float]:
        masks = naive_masks(before, after, reconstruction, _ALPHAS)
        return {"sparsity": naive_sparsity(before, after), **masks}

    timing = interleaved(naive, fast, settings.repeats)
    slow, quick = naive(), fast()
    error = max(abs(slow[name] - quick[name]) for name in slow if not name.startswith("low"))
    yield (
        _MASKS,
        _measured(timing, error, "low overlaps differ by their ties, which sorting breaks by position"),
    )


def _curve(settings: Settings) -> Found:
    before, after = _pair()
    initial = Factored(before)

    def fast() -> list[float]:
        updated = Factored(after)
        expect(updated, etas=_ETAS)
        return [update_sparsity(initial, updated, eta=eta) for eta in _ETAS]

    timing = interleaved(lambda: naive_eta_curve(before, after, _ETAS), fast, settings.repeats)
    slow = naive_eta_curve(before, after, _ETAS)
    error = max(abs(a - b) for a, b in zip(slow, fast(), strict=True))
    yield _CURVE, _measured(timing, error)


ENTRY_JOBS = (
    Job("sparsity", "unchanged fraction against the textbook expression", (_RATIO, _SPEED), _sparsity),
    Job("masks", "sparsity and both masks at two shares against sorting", (_MASKS,), _masks),
    Job("curve", "sparsity at eight tolerances in one pass", (_CURVE,), _curve),
)
"""The passes over entries."""
