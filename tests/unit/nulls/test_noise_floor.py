"""Figures that storage alone gives, by simulation, by formula, and on pairs that were really stored."""

import numpy as np
import pytest
import torch
import xarray as xr

import geostat as gs
from geostat.errors import NonFiniteError, ProtocolError, SampleError, ShapeError
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.floors.errors import BOTH_ENDS, ONE_END, THIS_DENSITY, VANISHING
from geostat.nulls.floors.floor import noise_floor
from geostat.nulls.floors.prediction import prediction
from geostat.nulls.floors.result import DIAGNOSTICS_WITH_FLOOR, NoiseFloor
from geostat.nulls.published.weights import heavy_tailed_weight

WEIGHT = heavy_tailed_weight(96, 64, np.random.default_rng(0))
WITH_FORMULA = (
    "update_norm",
    "relative_update_norm",
    "normalized_spectral_shift",
    "principal_subspace_energy",
)


@pytest.fixture(scope="module")
def floor():
    return noise_floor(WEIGHT, n=16, rng=0)


@pytest.mark.parametrize("name", WITH_FORMULA)
@pytest.mark.parametrize("rounding", [ONE_END, BOTH_ENDS])
def test_the_formula_agrees_with_the_simulation(floor, name, rounding):
    cells = floor.cells[name].sel(rounding=rounding)
    tolerance = 4 * cells["sd"] / np.sqrt(16) + 0.01 * cells["estimate"]  # the formulas are of first order
    known = cells["estimate"].notnull()  # 64 directions are the whole space on the right
    assert bool((known == cells["closed_form"].notnull()).all())
    off = np.abs(cells["closed_form"] - cells["estimate"])
    assert bool((off < tolerance).where(known, True).all())


def test_the_norm_of_the_errors_is_that_of_uniform_ones_between_neighbours():
    values = WEIGHT.view(torch.int16)
    above, below = ((values + step).view(torch.bfloat16).double() for step in (1, -1))
    width = (above - below).abs() / 2  # from midpoint to midpoint
    expected = float((width**2).sum() / 12) ** 0.5
    found = noise_floor(WEIGHT, diagnostics=["update_norm"], n=2, rng=0).closed_form
    assert float(found.sel(rounding=BOTH_ENDS)) == pytest.approx(2**0.5 * expected, rel=1e-12)
    assert float(found.sel(rounding=ONE_END)) == pytest.approx(expected, rel=0.01)  # but for powers of two


def test_an_update_that_vanishes_leaves_exact_zeros_and_no_ranks(floor):
    for name, rule in DIAGNOSTICS_WITH_FLOOR.items():
        values = floor.cells[name]["estimate"].sel(rounding=VANISHING)
        if rule == "at most" and name != "top_k_energy":
            assert bool((values == 0).all())
        else:
            assert bool(values.isnull().all())
            assert "the update is zero" in str(floor.cells[name]["reason"].sel(rounding=VANISHING).values)


def test_weights_that_were_rounded_at_both_ends_differ_by_the_floor_of_both_ends():
    """Masters in high precision moved by many ulps: what storage adds is known exactly."""
    ratios = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        master, update = (size * torch.from_numpy(rng.standard_normal((96, 64))) for size in (1.0, 0.05))
        start = round_to_bf16(master)
        added = round_to_bf16(master + update).double() - start.double() - update
        floor = noise_floor(start, diagnostics=["update_norm", "stable_rank"], n=8, rng=0)
        ratios.append(
            [
                float(figure(added) / floor[name].estimate.sel(rounding=BOTH_ENDS))
                for name, figure in (("update_norm", gs.update_norm), ("stable_rank", gs.stable_rank))
            ]
        )
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1.0, atol=0.04)


def test_weights_that_were_rounded_at_one_end_differ_by_the_floor_of_one_end():
    rng = np.random.default_rng(2)
    update = 2e-3 * torch.from_numpy(rng.standard_normal(tuple(WEIGHT.shape)))
    added = round_to_bf16(WEIGHT.double() + update).double() - WEIGHT.double() - update
    floor = noise_floor(WEIGHT, diagnostics=["relative_update_norm"], n=8, rng=0)
    seen = float(added.norm() / WEIGHT.double().norm())
    assert seen == pytest.approx(float(floor.estimate.sel(rounding=ONE_END)), rel=0.04)


def test_at_a_density_storage_undoes_what_it_hides():
    rng = np.random.default_rng(3)
    update = 2e-5 * torch.from_numpy(rng.standard_normal(tuple(WEIGHT.shape)))
    end = round_to_bf16(WEIGHT.double() + update)
    added = end.double() - WEIGHT.double() - update
    floor = noise_floor(WEIGHT, updated=end, diagnostics=["update_norm", "stable_rank"], n=8, rng=0)
    norm = floor["update_norm"].estimate
    assert float(norm.sel(rounding=THIS_DENSITY)) < float(norm.sel(rounding=ONE_END))
    assert float(added.norm()) == pytest.approx(float(norm.sel(rounding=THIS_DENSITY)), rel=0.04)
    assert floor.settings["density"] == pytest.approx(float((end != WEIGHT).double().mean()))


@pytest.mark.parametrize("name", ["max_principal_angle", "normalized_spectral_shift", "stable_rank"])
def test_the_floor_covers_further_errors_as_often_as_it_says(name):
    """The largest angle, which has the widest spread and is bent to the right, among them."""
    start = heavy_tailed_weight(32, 24, np.random.default_rng(4))
    floors, draws = 12, 25
    covered = []
    for seed in range(floors):
        floor = noise_floor(start, diagnostics=[name], n=8, rng=seed)
        at = {"side": "right"} if "side" in floor.estimate.dims else {}
        rng = np.random.default_rng(2000 + seed)
        low, high = floor.cells[name]["low"], floor.cells[name]["high"]
        for _ in range(draws):
            value = _fresh(start, name, rng, at)
            assert np.isfinite(value)
            covered.append(bool(floor.covers(name, value, **at)))
        assert bool((low <= high).sel(rounding=ONE_END).all())
    assert np.mean(covered) > 0.975 - 4 * np.sqrt(0.975 * 0.025 / floors)  # draws of one floor hang together


def _fresh(start, name, rng, at):
    magnitude = start.double().abs()
    ulp = 2.0 ** (torch.floor(torch.log2(magnitude)) - 7)
    error = ulp * torch.from_numpy(rng.random(tuple(start.shape)) - 0.5)
    if name == "stable_rank":
        return gs.stable_rank(error)
    return getattr(gs, name)(start.double(), start.double() + error, **at)


def test_small_figures_and_high_ranks_are_covered_and_others_are_not(floor):
    for name in ("normalized_spectral_shift", "update_norm", "relative_update_norm", "top_k_energy"):
        high = float(floor.high[name].sel(rounding=ONE_END))
        assert floor.covers(name, 0.5 * high)
        assert not floor.covers(name, 1.01 * high)
    for name in ("stable_rank", "effective_rank"):
        low = float(floor.low[name].sel(rounding=ONE_END))
        assert floor.covers(name, 2 * low)
        assert not floor.covers(name, 0.99 * low)
    assert not floor.covers("stable_rank", float("nan"))
    assert not floor.covers("stable_rank", 1e9, rounding=VANISHING)


def test_figures_with_labels_are_judged_label_by_label(floor):
    high = floor.cells["mean_principal_angle"]["high"].sel(rounding=ONE_END, drop=True)
    values = high * xr.DataArray([0.9, 1.1], coords={"side": ["left", "right"]})
    assert floor.covers("mean_principal_angle", values).values.tolist() == [True, False]
    with pytest.raises(SampleError, match="pass side="):
        floor.covers("mean_principal_angle", 0.1)
    with pytest.raises(SampleError, match="has no side='up'"):
        floor.covers("mean_principal_angle", 0.1, side="up")
    with pytest.raises(SampleError, match="has no rounding="):
        floor.covers("update_norm", 0.1, rounding="three ends")


def test_the_result_says_what_it_rests_on_and_is_read_back(floor):
    again = NoiseFloor.from_json(floor.to_json())
    assert again.to_frame().equals(floor.to_frame())
    assert "conditions on" in str(floor)
    assert "cannot see" in str(floor)
    assert "<= " in floor.sentence()
    assert floor.seed == 0
    same = noise_floor(WEIGHT, diagnostics=["update_norm"], n=2, rng=5)
    assert noise_floor(WEIGHT, diagnostics=["update_norm"], n=2, rng=5).to_frame().equals(same.to_frame())


def test_weights_with_more_digits_are_stored_first():
    wide = WEIGHT.double() * (1 + 1e-5)
    stored = round_to_bf16(wide)
    first, second = (noise_floor(w, diagnostics=["update_norm"], n=2, rng=0) for w in (wide, stored))
    assert first.to_frame().equals(second.to_frame())
    finer = noise_floor(wide, "fp16", diagnostics=["update_norm"], n=2, rng=0)  # three more bits
    ratio = first.closed_form.sel(rounding=BOTH_ENDS) / finer.closed_form.sel(rounding=BOTH_ENDS)
    assert float(ratio) == pytest.approx(8, rel=0.1)


def test_a_prediction_interval_holds_one_more_draw_as_often_as_it_says():
    rng = np.random.default_rng(6)
    draws = np.exp(rng.standard_normal((9, 4000)))
    found = prediction(draws[:8], (0.0, np.inf), 0.9)
    inside = (draws[8] >= found.low) & (draws[8] <= found.high)
    assert abs(inside.mean() - 0.9) < 4 * np.sqrt(0.09 / 4000)


def test_bad_input_is_refused_with_what_to_do():
    with pytest.raises(SampleError, match="gate_null"):
        noise_floor(WEIGHT, diagnostics=["update_sparsity"])
    with pytest.raises(SampleError, match="no diagnostic"):
        noise_floor(WEIGHT, diagnostics=[])
    with pytest.raises(SampleError, match="no spread"):
        noise_floor(WEIGHT, n=1)
    with pytest.raises(ProtocolError, match="fp32 storage has no such floor"):
        noise_floor(WEIGHT, "fp32")
    with pytest.raises(SampleError, match="zero in every entry"):
        noise_floor(torch.zeros(4, 4))
    with pytest.raises(SampleError, match="changes nothing"):
        noise_floor(WEIGHT, updated=WEIGHT)
    with pytest.raises(SampleError, match="changes every entry"):
        noise_floor(WEIGHT, updated=2 * WEIGHT)
    with pytest.raises(ShapeError, match="transposed"):
        noise_floor(WEIGHT, updated=WEIGHT.T)
    with pytest.raises(NonFiniteError, match="NaN"):
        noise_floor(torch.full((4, 4), float("nan")))


def test_cases_that_are_not_asked_for_are_not_computed():
    whole = noise_floor(WEIGHT, diagnostics=["stable_rank"], n=2, rng=0)
    found = noise_floor(WEIGHT, diagnostics=["stable_rank"], rounding=ONE_END, n=2, rng=0)
    assert [str(kind) for kind in found.cells["stable_rank"]["rounding"].values] == [ONE_END]
    same = whole.cells["stable_rank"]["estimate"].sel(rounding=ONE_END)
    assert float(found.cells["stable_rank"]["estimate"].sel(rounding=ONE_END)) == float(same)
    with pytest.raises(SampleError, match="pass updated= for 'this density'"):
        noise_floor(WEIGHT, rounding=THIS_DENSITY)
    with pytest.raises(SampleError, match="Choose among"):
        noise_floor(WEIGHT, rounding=["none"])
