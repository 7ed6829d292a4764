"""Fast spectra against plain ones: every diagnostic, whatever the shape, the spectrum and the storage."""

import importlib
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

import geostat.diagnostics  # noqa: F401 - fills the registry
from geostat.linalg import Factored, Policy, using
from geostat.spec import DIAGNOSTICS

LAYOUTS = ("plain", "transposed", "strided")
DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
SPECTRA = {
    "decaying": lambda p, rng: np.geomspace(1, 1e-3, p),
    "gaussian": lambda p, rng: None,
    "clustered": lambda p, rng: np.repeat([1.0, 0.5, 0.1], p)[rng.choice(3 * p, p, replace=False)],
    "equal": lambda p, rng: np.ones(p),
    "outlier": lambda p, rng: np.r_[1e3, np.linspace(1, 0.3, p)][:p],
    "deficient": lambda p, rng: np.where(np.arange(p) < max(1, p // 3), np.linspace(1, 0.5, p), 0.0),
    "ill-conditioned": lambda p, rng: np.geomspace(1, 1e-12, p),
}


def _matrix(rng, rows, cols, kind):
    p = min(rows, cols)
    values = SPECTRA[kind](p, rng)
    if values is None:
        return rng.standard_normal((rows, cols)) / p**0.5
    left, right = (np.linalg.qr(rng.standard_normal((n, p)))[0] for n in (rows, cols))
    return left * np.sort(values)[::-1] @ right.T


def _laid_out(tensor, layout):
    if layout == "transposed":
        return tensor.T.contiguous().T
    if layout == "strided":
        wide = torch.zeros(tensor.shape[0], 2 * tensor.shape[1], dtype=tensor.dtype)
        wide[:, ::2] = tensor
        return wide[:, ::2]
    return tensor


@st.composite
def runs(draw):
    """W_0 and three later weights: fresh objects on each call, tensors as files would store them."""
    side = st.sampled_from([1, 2, 12, 33, 40, 57, 70])
    rows, cols, seed = draw(side), draw(side), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    kind, update_kind = draw(st.sampled_from(sorted(SPECTRA))), draw(st.sampled_from(sorted(SPECTRA)))
    size, dtype = draw(st.sampled_from([1e-6, 1e-3, 0.1])), draw(st.sampled_from(DTYPES))
    layout = draw(st.sampled_from(LAYOUTS))
    start = _matrix(rng, rows, cols, kind)
    change = _matrix(rng, rows, cols, update_kind)
    more = _matrix(rng, rows, cols, "gaussian")
    weights = [start + t * size * change + (t > 1) * size * t * more for t in range(4)]
    return [_laid_out(torch.tensor(w).to(dtype), layout) for w in weights]


def _operands(weights):
    initial, *later = (Factored(w, wanted=8) for w in weights)
    first, update, final = (w.minus(initial, wanted=8) for w in later)
    return {
        "initial": initial,
        "updated": later[1],
        "update": update,
        "first": first,
        "final": final,
        "later": final,
        "increment": later[2].minus(later[1], wanted=8),
        "remaining": later[2].minus(later[1], wanted=8),
    }


SETTINGS = {
    "k": 8,
    "K": 8,
    "r": 8,
    "alpha": 0.3,
    "eta": 1e-3,
    "rule": "relative",
    "space": "raw",
    "hill_k": 0.3,
}


def _measured(weights, spectra):
    with using(Policy(spectra=spectra)):
        operands = _operands(weights)
        found = {}
        for name, spec in DIAGNOSTICS.items():
            for side in ("left", "right") if "side" in spec.settings else (None,):
                chosen = {key: SETTINGS[key] for key in spec.settings if key != "side"}
                chosen |= {"side": side} if side else {}
                value = spec.function(*(operands[o] for o in spec.operands), **chosen)
                found[name, side] = np.atleast_1d(np.asarray(value, dtype=float))
        return found, operands


def _turn(first, second=None):
    """Angle by which rounding may turn the leading eight directions, of the fast and of the plain way."""
    values = torch.linalg.svdvals(first.values)
    if not values[0] > 0:
        return 0.0
    rank = max(1, min(8, first.leading_rank(8), len(values)))
    # half of the smaller side where angles are compared, all up to the rank in channels
    worst = 0.0
    for k in {rank, min(8, max(1, len(values) // 2))}:
        gap = float(values[k - 1] - (values[k] if k < len(values) else 0))
        worst = max(worst, 100 * np.finfo(float).eps * float(values[0]) / gap if gap > 0 else math.inf)
    return worst


def _tolerance(name, plain, operands):
    spec = DIAGNOSTICS[name]
    smaller = operands["initial"].smaller
    turned = sum(_turn(operands[o]) for o in spec.operands)
    if spec.units == "degree":
        return 1e-9 + math.degrees(turned)
    if name == "mean_principal_sine":
        return math.radians(1e-9) + turned
    if name == "normalized_spectral_shift":
        return 1e-9 * abs(plain) + 1e-15 * smaller**0.5 + 4e-15
    if "side" in spec.settings or "r" in spec.settings:
        return 1e-11 * np.maximum(1, abs(plain)) + turned
    return 1e-11 * np.maximum(1, abs(plain))


CAPTURES = ("forward_capture", "future_capture")
MASKS = ("principal_mask_overlap",)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(runs())
def test_fast_and_plain_agree_on_every_diagnostic(weights):
    fast, _ = _measured(weights, "fast")
    plain, operands = _measured(weights, "plain")
    for (name, side), expected in plain.items():
        actual = fast[name, side]
        turned = sum(_turn(operands[o]) for o in DIAGNOSTICS[name].operands)
        if name in CAPTURES + MASKS and turned > 1e-13:
            continue  # they divide by what remains of a preference, or rank entries: rounding decides
        assert np.array_equal(np.isnan(actual), np.isnan(expected)), f"{name} {side}: {actual} {expected}"
        off = np.where(actual == expected, 0.0, np.abs(actual - expected))
        allowed = _tolerance(name, expected, operands)
        assert not np.any(off > allowed), f"{name} {side}: {actual} {expected}, off by {off} > {allowed}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_weight_that_did_not_change_has_not_moved_at_all(dtype):
    weight = torch.randn(50, 60, generator=torch.Generator().manual_seed(0)).to(dtype)
    found, operands = _measured([weight, weight.clone(), weight.clone(), weight.clone()], "fast")
    assert operands["update"].is_zero
    assert found["normalized_spectral_shift", None] == 0
    for side in ("left", "right"):
        assert found["max_principal_angle", side] < 1e-9
        assert np.isnan(found["forward_capture", side])


def test_a_rescaled_weight_has_not_turned():
    weight = torch.randn(50, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, _ = _measured([weight, weight * 1.1, weight * 1.3, weight * 1.7], "fast")
    assert found["normalized_spectral_shift", None] == pytest.approx(0.3, abs=1e-12)
    for side in ("left", "right"):
        assert found["max_principal_angle", side] < 1e-9


def test_one_bf16_ulp_in_one_entry_is_resolved():
    weight = torch.randn(64, 80, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    moved = weight.clone()
    moved.view(torch.int16)[3, 5] += 1
    (fast, operands), (plain, _) = (
        _measured([weight, moved, moved, moved], way) for way in ("fast", "plain")
    )
    shift = plain["normalized_spectral_shift", None]
    assert shift > 0
    assert abs(fast["normalized_spectral_shift", None] - shift) <= 1e-9 * shift + 1e-15 * 8
    assert fast["numerical_rank", None] == 1
    assert fast["stable_rank", None] == 1
    assert operands["update"].channel(8, "left").shape == (64, 1)


def test_subnormal_weights_are_measured_where_the_process_flushes_them_to_zero():
    arithmetic = importlib.import_module("geostat.linalg.arithmetic")
    weight = torch.randn(40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = [(weight * (1 + 0.1 * t)).to(torch.float32) * 2.0**-140 for t in range(4)]
    expected, _ = _measured(weights, "plain")
    assert expected["stable_rank", None] > 1
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush to zero")
    try:
        with arithmetic.own_arithmetic():
            found, _ = _measured(weights, "fast")
    finally:
        torch.set_flush_denormal(False)
    assert found["stable_rank", None] == pytest.approx(expected["stable_rank", None], rel=1e-11)
