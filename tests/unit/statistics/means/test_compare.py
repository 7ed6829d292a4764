import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics import compare


def test_welch_agrees_with_scipy(make_runs):
    data = make_runs({"opd": 3, "sft": 5}).isel(step=-1)
    run_means = data.values.mean(axis=1)
    expected = stats.ttest_ind(run_means[:3], run_means[3:], equal_var=False)
    interval = expected.confidence_interval(0.9)
    row = compare(data, "opd", "sft", level=0.9).rows()[0]
    assert row["estimate"] == pytest.approx(run_means[:3].mean() - run_means[3:].mean())
    assert (row["low"], row["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["df"] == pytest.approx(expected.df)
    assert (row["n_a"], row["n_b"]) == (3, 5)


def test_paired_agrees_with_scipy_and_matches_by_seed(make_runs):
    data = make_runs({"opd": 4, "sft": 4}).isel(step=-1)
    run_means = data.values.mean(axis=1)
    expected = stats.ttest_rel(run_means[:4], run_means[4:])
    shuffled = data.isel(run=[3, 1, 0, 2, 6, 5, 7, 4])
    row = compare(shuffled, "opd", "sft", paired=True).rows()[0]
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["low"] == pytest.approx(expected.confidence_interval().low)
    assert row["df"] == 3


def test_exchanging_the_recipes_changes_the_sign(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    one, other = compare(data, "opd", "sft"), compare(data, "sft", "opd")
    np.testing.assert_allclose(one.low, -other.high)
    np.testing.assert_allclose(one.p_value, other.p_value)


def test_pairing_refuses_seeds_that_do_not_match(make_runs):
    data = make_runs({"opd": 2, "sft": 3})
    with pytest.raises(SampleError, match=r"seeds \[0, 1\].*\[0, 1, 2\]"):
        compare(data, "opd", "sft", paired=True)
    with pytest.raises(SampleError, match="coordinate `seed`"):
        compare(data.drop_vars("seed"), "opd", "sft", paired=True)


def test_one_run_on_a_side_gives_no_interval_and_names_the_side(make_runs):
    result = compare(make_runs({"opd": 3, "rlvr": 1}), "opd", "rlvr")
    assert result.ci is None
    assert all("one run of recipe 'rlvr'" in row["reason"] for row in result.rows())
    assert all(math.isnan(row["p_value"]) for row in result.rows())
    assert all(math.isfinite(row["estimate"]) for row in result.rows())


def test_log_scale_gives_a_ratio():
    data = xr.DataArray(
        [1.0, 10.0, 100.0, 10.0, 100.0, 1000.0],
        dims="run",
        coords={"recipe": ("run", ["a"] * 3 + ["b"] * 3)},
        attrs={"units": "degree"},
        name="angle",
    )
    result = compare(data, "b", "a", dim=None, scale="log")
    logs = np.log(data.values)
    expected = stats.ttest_ind(logs[3:], logs[:3], equal_var=False).confidence_interval()
    assert result.estimate.item() == pytest.approx(10.0)
    assert result.high.item() == pytest.approx(math.exp(expected.high))
    assert result.rows()[0]["units"] == "1"
    assert result.rows()[0]["mean_b"] == pytest.approx(10.0)


def test_matrices_are_those_that_every_run_of_both_has(make_runs):
    data = make_runs({"opd": 2, "sft": 2}).isel(step=-1)
    data.values[0, 0] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 6 matrices"):
        row = compare(data, "opd", "sft").rows()[0]
    assert row["estimate"] == pytest.approx(data.values[:2, 1:].mean() - data.values[2:, 1:].mean())
    assert row["n_matrices"] == 5


@pytest.mark.parametrize("coord", ["base", "storage"])
def test_recipes_that_differ_in_more_than_the_recipe_are_warned_of(make_runs, coord):
    data = make_runs({"opd": 2, "sft": 2})
    with pytest.warns(GeostatWarning, match="not the recipe's alone"):
        result = compare(data.assign_coords({coord: ("run", ["x", "x", "y", "y"])}), "opd", "sft")
    assert "not the recipe's alone" in result.warnings[0]
    assert compare(data.assign_coords({coord: ("run", ["x"] * 4)}), "opd", "sft").warnings == ()


def test_recipes_of_unlike_length_are_warned_of(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    progress = data["progress"] * xr.DataArray([1.0, 1.0, 0.5, 0.5], dims="run")
    with pytest.warns(GeostatWarning, match="299 steps and 'sft' for 598"):
        compare(data.assign_coords(progress=progress), "opd", "sft")


def test_identical_seeds_give_no_interval(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="identical"):
        assert compare(data, "opd", "sft").ci is None


def test_an_unknown_recipe_is_refused_with_those_that_exist(make_runs):
    with pytest.raises(SampleError, match=r"'rlvr' is not among \['opd', 'sft'\]"):
        compare(make_runs({"opd": 2, "sft": 2}), "opd", "rlvr")
    with pytest.raises(SampleError, match="with itself"):
        compare(make_runs({"opd": 2, "sft": 2}), "opd", "opd")
    with pytest.raises(SampleError, match="coordinate `recipe`"):
        compare(make_runs({"opd": 2}).drop_vars("recipe"), "opd", "sft")


def test_cells_that_one_recipe_lacks_say_which(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    data.values[2:, 0] = np.nan
    assert compare(data, "opd", "sft").rows()[0]["reason"] == "no run of recipe 'sft' has a value here"


def test_sentence_says_level_method_unit_and_n(make_runs):
    sentence = compare(make_runs({"opd": 2, "sft": 3}), "opd", "sft", level=0.9).sentence()
    for part in ("90%", "Welch", "n = 2 and 3 runs", "run being the unit of sampling", "step 299", "p "):
        assert part in sentence


def test_dask_backed_data_are_compared(make_runs):
    pytest.importorskip("dask.array")
    data = make_runs({"opd": 3, "sft": 2})
    np.testing.assert_allclose(
        compare(data, "opd", "sft").low, compare(data.chunk({"matrix": 2}), "opd", "sft").low
    )
