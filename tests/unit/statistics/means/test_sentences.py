import numpy as np
import pytest
import xarray as xr

from geostat.statistics import compare, lock_brackets, mean_ci


def test_a_metric_that_looks_ahead_is_told_at_its_last_step_with_a_value(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[:, -1] = np.nan
    mean, contrast = mean_ci(data), compare(data, "opd", "sft")
    for sentence in (mean.sentence(), contrast.sentence()):
        assert "at step 255" in sentence
        assert "299" not in sentence
        assert "--" not in sentence
    assert f"{mean.estimate.sel(recipe='opd', step=255).item():.0f}" in mean.sentence()


def test_recipes_that_end_at_unlike_steps_are_told_each_at_its_own(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[3:, 3:] = np.nan
    sentence = mean_ci(data).sentence()
    assert " for opd at step 299 (n = 3 runs)" in sentence
    assert " for sft at step 191 (n = 3 runs)" in sentence


def test_dimensions_of_a_metric_are_told_each_at_its_own_step(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    sides = xr.concat([data, data + 5], dim=xr.Variable("side", ["left", "right"])).assign_attrs(data.attrs)
    sides = sides.where((sides["side"] == "left") | (sides["step"] < 200))
    result = mean_ci(sides)
    right = result.estimate.sel(side="right", recipe="sft", step=191).item()
    told = result.sentence().split("for sft, side right at step 191")[0].rsplit(", ", 2)
    assert f"{right:.0f}" in "".join(told[1:])
    assert "(side left) at step 299" in compare(sides, "opd", "sft").sentence()
    assert "(side right) at step 191" in compare(sides, "opd", "sft").sentence()


def test_a_recipe_without_value_is_told_to_be_without(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[3:] = np.nan
    sentence = mean_ci(data).sentence()
    assert "at step 299 was" in sentence
    assert "without value for sft" in sentence


def test_a_metric_without_any_value_is_told_to_have_none(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    empty = data.where(False)
    assert "had no value in any run" in mean_ci(empty).sentence()
    assert "no cell with a value on both sides" in compare(empty, "opd", "sft").sentence()


def test_a_selected_step_is_told(make_runs):
    assert "at step 127 was" in mean_ci(make_runs({"opd": 3}).sel(step=127)).sentence()


def test_steps_without_value_before_an_onset_are_told(make_runs):
    data = make_runs({"opd": 3}) * 0 + 5
    data.values[0, :2] = np.nan
    sentence = lock_brackets(data.assign_attrs(units="1"), reference=5.0, margin=1.0).sentence()
    assert "<= 191 (1 run; no value before step 191)" in sentence
    assert "<= 63 (2 runs)" in sentence


@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_values_are_never_printed_as_json_writes_them(make_runs, sign):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[0, :, 0] = sign * np.inf
    for result in (mean_ci(data), compare(data, "opd", "sft")):
        for text in (repr(result), result.sentence(), result.to_latex(), result._repr_html_()):
            assert "Infinity" not in text
        assert type(result).from_json(result.to_json()).rows()[0]["estimate"] == sign * np.inf
