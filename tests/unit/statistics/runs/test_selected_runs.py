"""Runs taken out of a combined dataset by their labels, which may leave no dimension of runs."""

import numpy as np
import pytest

from geostat.errors import SampleError
from geostat.statistics import compare, lock_brackets, mean_ci

SELECTIONS = {"recipe": "sft", "run": "sft-0", "seed": 7}


@pytest.fixture
def combined(make_runs):
    data = make_runs({"opd": 2, "sft": 1}).assign_coords(seed=("run", [0, 1, 7]))
    return data.set_xindex("recipe").set_xindex("seed")


@pytest.fixture(params=list(SELECTIONS))
def single(request, combined):
    selected = combined.sel({request.param: SELECTIONS[request.param]})
    return selected.squeeze("run") if "run" in selected.dims else selected


def test_a_run_that_was_selected_is_one_run_and_says_why(single, combined):
    assert single["recipe"].dims == single["seed"].dims == single["run"].dims == ()
    result = mean_ci(single)
    assert result.ci is None
    assert (result.n_runs, result.scope) == (1, "within-run")
    assert all(row["reason"].startswith("one run: variation from seed to seed") for row in result.rows())
    assert {(row["recipe"], row["seed"], row["n_runs"]) for row in result.rows()} == {("sft", 7, 1)}
    np.testing.assert_allclose(result.estimate, combined.values[2].mean(axis=-1))


def test_results_of_a_run_that_was_selected_are_written_and_read(single):
    for result in (mean_ci(single), lock_brackets(single, reference=20.0, margin=1.0)):
        again = type(result).from_json(result.to_json())
        assert repr(again) == repr(result)
        assert "sft" in result.sentence()
        assert "sft" in result.to_latex()


def test_a_run_that_was_selected_has_its_own_onset(single, combined):
    rows = lock_brackets(combined, reference=20.0, margin=1.0).rows()
    (row,) = lock_brackets(single, reference=20.0, margin=1.0).rows()
    assert row["onset"] == next(r["onset"] for r in rows if r["recipe"] == "sft")
    assert row["recipe"] == "sft"


def test_several_runs_under_one_scalar_recipe_keep_their_interval(combined):
    selected = combined.sel(recipe="opd")
    scalar = selected.drop_vars("recipe").assign_coords(recipe="opd")
    np.testing.assert_allclose(mean_ci(scalar).low, mean_ci(selected).low.isel(recipe=0))
    assert {row["recipe"] for row in mean_ci(scalar).rows()} == {"opd"}


def test_runs_of_one_seed_stay_apart_by_recipe(make_runs):
    data = make_runs({"opd": 2, "sft": 2}).set_xindex("seed").sel(seed=1)
    result = mean_ci(data)
    assert list(result.estimate["recipe"].values) == ["opd", "sft"]
    assert result.ci is None


def test_a_comparison_after_one_recipe_was_selected_says_so(single):
    with pytest.raises(SampleError, match="recipe 'sft' alone was selected"):
        compare(single, "opd", "sft")
