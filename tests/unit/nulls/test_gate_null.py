"""The gate null on stored pairs: what it finds, what it refuses, and what it says of itself."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import geostat as gs
from geostat.errors import NonFiniteError, ProtocolError, SampleError, ShapeError
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.null_result import NullResult
from geostat.nulls.published.weights import heavy_tailed_weight

_LOW, _PRINCIPAL = "low_magnitude_mask_overlap", "principal_mask_overlap"
_SHARES = ("update_sparsity", "update_density")
_STATISTICS = (*_SHARES, _LOW, _PRINCIPAL)


def _weights(kind="gaussian", size=1e-4, rows=384, cols=384, seed=0):
    """A start in bf16 and where unrounded training would have ended, in float64."""
    rng = np.random.default_rng(seed)
    start = heavy_tailed_weight(rows, cols, rng)
    weight = np.abs(start.double().numpy())
    update = rng.standard_normal(start.shape)
    if kind == "selective":
        update *= (weight / weight.mean()) ** 0.3
    if kind == "low-rank":
        update = rng.standard_normal((rows, 8)) @ rng.standard_normal((8, cols)) / np.sqrt(8)
    if kind == "row-scaled":
        update *= np.exp(0.5 * rng.standard_normal((rows, 1)))
    return start, start.double() + size * torch.from_numpy(update)


def _stored(*args, **options):
    start, end = _weights(*args, **options)
    return start, round_to_bf16(end)


@pytest.mark.parametrize("method", ["law-free", "law"])
@pytest.mark.parametrize("statistic", _STATISTICS)
def test_rounding_explains_the_figures_of_an_update_that_ignores_the_weights(statistic, method):
    found = gate_null(*_stored(), statistic=statistic, method=method, alpha=0.3, r=32, n=199)
    cell = found.cells[statistic]
    cell = cell.sel(law="gaussian") if method == "law" else cell
    assert abs(float(cell["excess"])) < 4 * float(cell["null_sd"]) < 0.04
    assert float(cell["p_value"]) > 0.01


@pytest.mark.parametrize("kind", ["gaussian", "low-rank", "row-scaled"])
def test_the_observed_figure_is_that_of_the_diagnostic(kind):
    start, end = _stored(kind)
    for statistic in _STATISTICS:
        settings = {"alpha": 0.3} | ({"r": 32} if statistic == _PRINCIPAL else {})
        settings = settings if statistic not in _SHARES else {}
        expected = getattr(gs, statistic)(start, end, **settings)
        found = gate_null(start, end, statistic=statistic, alpha=0.3, r=32, n=19)
        assert float(found.observed) == pytest.approx(expected, abs=1e-12)


def test_low_magnitude_overlap_far_above_alpha_can_be_rounding_alone():
    found = gate_null(*_stored(size=5e-5), statistic=_LOW, alpha=0.3)
    assert float(found.observed) > 0.45
    assert float(found.null_mean) == pytest.approx(float(found.observed), abs=0.01)


def test_an_update_that_grows_with_the_weight_is_found_without_a_law():
    found = gate_null(*_stored("selective"), statistic=_LOW, alpha=0.3)
    assert float(found.p_value) < 0.01
    assert float(found.observed) < float(found.low)


def test_several_masks_share_one_pass_and_give_what_each_gives_alone():
    start, end = _stored()
    both = gate_null(start, end, statistic=_LOW, alpha=(0.3, 0.5), n=19)
    assert both.null_mean.dims == ("alpha",)
    for alpha in (0.3, 0.5):
        alone = gate_null(start, end, statistic=_LOW, alpha=alpha, n=19)
        assert float(both.null_mean.sel(alpha=alpha)) == pytest.approx(float(alone.null_mean), abs=1e-12)


def test_bf16_files_and_the_same_numbers_in_fp32_give_one_answer(tmp_path):
    start, end = _stored()
    for name, tensor in (("start", start), ("end", end)):
        save_file({"w": tensor}, tmp_path / f"{name}.safetensors")
    read = [load_file(tmp_path / f"{name}.safetensors")["w"] for name in ("start", "end")]
    once = gate_null(*read, statistic=_LOW)
    again = gate_null(start.float(), end.double().numpy(), statistic=_LOW)
    assert once.to_json() == again.to_json()


def test_fp16_has_a_gate_of_its_own():
    start, end = _weights(size=8e-6)
    start = start.to(torch.float16)
    found = gate_null(
        start, end.to(torch.float16), statistic=_LOW, alpha=0.3, protocol=gs.Protocol(eta=0.0), n=199
    )
    assert float(found.observed) > 0.4
    assert abs(float(found.excess)) < 0.02


def test_the_permutation_of_unrounded_weights_agrees_with_the_law():
    start, end = _weights(rows=128, cols=128)
    begin = start.double() * (1 + 1e-4)  # not bf16 numbers
    shifted = begin + (end - start.double())
    permuted = gate_null(begin, shifted, statistic=_LOW, method="permutation", alpha=0.3, n=49)
    law = gate_null(round_to_bf16(begin), round_to_bf16(shifted), statistic=_LOW, method="law", alpha=0.3)
    assert float(permuted.null_mean) == pytest.approx(float(law.null_mean.sel(law="gaussian")), abs=0.02)
    expected = gs.low_magnitude_mask_overlap(begin, shifted, alpha=0.3)
    assert float(permuted.observed) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("statistic", ["row_dispersion", "column_dispersion"])
@pytest.mark.parametrize("method", ["permutation", "strata"])
def test_rows_of_unequal_scale_are_overdispersed_but_those_of_an_even_update_are_not(statistic, method):
    """A permutation keeps the scales of the update's rows, so only strata can see them."""
    p_values = {}
    for kind in ("gaussian", "row-scaled"):
        start, end = _weights(kind, rows=128, cols=128)
        if method == "permutation":
            begin = start.double() * (1 + 1e-4)
            pair = begin, begin + (end - start.double())
        else:
            pair = start, round_to_bf16(end)
        p_values[kind] = float(gate_null(*pair, statistic=statistic, method=method, n=99).p_value)
    assert p_values["gaussian"] > 0.01
    seen = method == "strata" and statistic == "row_dispersion"
    assert (p_values["row-scaled"] <= 0.01) == seen


def test_strata_give_the_mean_of_a_brute_force_permutation_within_magnitudes():
    start, end = _stored(rows=96, cols=96)
    found = gate_null(start, end, statistic=_PRINCIPAL, method="strata", alpha=0.3, r=16)
    rng = np.random.default_rng(0)
    magnitude = (start.view(torch.int16) & 0x7FFF).numpy().ravel()
    visible, drawn = (start != end).numpy().ravel(), np.zeros(96 * 96, dtype=bool)
    groups = [np.flatnonzero(magnitude == code) for code in np.unique(magnitude)]
    overlaps = []
    for _ in range(60):
        for group in groups:
            drawn[group] = visible[rng.permutation(group)]
        moved = torch.where(torch.from_numpy(drawn.reshape(96, 96)), 2 * start, start)
        overlaps.append(gs.principal_mask_overlap(start, moved, alpha=0.3, r=16))
    error = np.std(overlaps) / np.sqrt(len(overlaps))
    assert float(found.null_mean) == pytest.approx(np.mean(overlaps), abs=4 * error)


def test_the_range_over_laws_holds_the_interval_of_each():
    found = gate_null(*_stored(), statistic=_LOW, method="law", alpha=0.3).cells[_LOW]
    whole, each = found.sel(law="range over laws"), found.isel(law=slice(0, 3))
    assert float(whole["low"]) == float(each["low"].min())
    assert float(whole["high"]) == float(each["high"].max())
    assert float(whole["p_value"]) == float(each["p_value"].max())


def test_every_method_says_what_it_conditions_on_and_what_it_cannot_see():
    start, end = _stored(rows=128, cols=128)
    for method, statistic in (("law-free", _LOW), ("law", _LOW), ("strata", _PRINCIPAL)):
        found = gate_null(start, end, statistic=statistic, method=method, n=19, r=16)
        assert isinstance(found, NullResult)
        assert "W_0" in found.conditions_on
        assert found.cannot_see in found.table().to_text(40).replace("\n", " ") or found.cannot_see
        assert found.conditions_on in found.sentence()
        assert NullResult.from_json(found.to_json()).to_json() == found.to_json()


def test_one_seed_gives_one_answer_and_the_result_names_it():
    start, end = _stored(rows=128, cols=128)
    once, again = (gate_null(start, end, statistic=_LOW, n=99, rng=5) for _ in range(2))
    assert once.to_json() == again.to_json()
    assert once.seed == 5


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s, e: (s, s), SampleError, "None of the"),
        (lambda s, e: (s, 2 * s + (s == 0)), SampleError, "All"),
        (lambda s, e: (s, e[:-1]), ShapeError, "differ"),
        (lambda s, e: (s, e.float() * (1 + 1e-5)), ProtocolError, "mixes two roundings"),
        (lambda s, e: (s.float() + 1e-6, e.float() + 1e-6), ProtocolError, "no gate"),
        (lambda s, e: (s, torch.full_like(e, torch.nan)), NonFiniteError, "NaN"),
    ],
)
def test_pairs_without_a_gate_are_refused_with_the_reason(change, error, words):
    start, end = _stored(rows=64, cols=64)
    with pytest.raises(error, match=words):
        gate_null(*change(start, end), statistic=_LOW)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"statistic": "stable_rank"}, "has no gate null"),
        ({"statistic": _LOW, "method": "magic"}, "is not known"),
        ({"statistic": "row_dispersion", "method": "law"}, "not in which rows"),
        ({"statistic": "update_sparsity", "method": "strata"}, "the excess would be 0"),
        ({"statistic": _LOW, "method": "strata"}, "the excess would be 0"),
        ({"statistic": _LOW, "method": "permutation"}, "wrong by 10 to 19 points"),
        ({"statistic": _LOW, "alpha": 1.5}, "share in"),
        ({"statistic": _LOW, "protocol": gs.Protocol(eta=0.1)}, "speaks of storage"),
    ],
)
def test_questions_that_a_method_cannot_answer_are_refused_with_the_reason(options, words):
    start, end = _stored(rows=64, cols=64)
    with pytest.raises(ProtocolError, match=words):
        gate_null(start, end, **options)


def test_too_few_draws_and_no_level_are_refused():
    start, end = _stored(rows=64, cols=64)
    for options in ({"n": 5}, {"level": 1.0}):
        with pytest.raises(SampleError):
            gate_null(start, end, statistic=_LOW, **options)
