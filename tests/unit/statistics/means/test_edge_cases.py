"""Every odd input has its own outcome and sentence, and never a foreign traceback."""

import math

import numpy as np
import pytest

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics import compare, mean_ci
from geostat.statistics.means.equivalence import equivalence

RECIPES = {"opd": 3, "sft": 3}

PROCEDURES = {
    "mean_ci": mean_ci,
    "mean_ci, pooled": lambda data, **options: mean_ci(data, variance="pooled", **options),
    "mean_ci, moderated": lambda data, **options: mean_ci(data, variance="moderated", **options),
    "compare": lambda data, **options: compare(data, "opd", "sft", **options),
    "compare, moderated": lambda data, **options: compare(
        data, "opd", "sft", variance="moderated", **options
    ),
    "compare, paired": lambda data, **options: compare(data, "opd", "sft", paired=True, **options),
    "equivalence": lambda data, **options: equivalence(data, "opd", "sft", margin=0.5, **options),
    "equivalence, paired": lambda data, **options: equivalence(
        data, "opd", "sft", margin=0.5, paired=True, **options
    ),
    "equivalence, moderated": lambda data, **options: equivalence(
        data, "opd", "sft", margin=0.5, variance="moderated", **options
    ),
    "equivalence, reference": lambda data, **options: equivalence(
        data, "opd", reference=20.0, margin=0.5, **options
    ),
}


@pytest.fixture(params=list(PROCEDURES))
def procedure(request):
    return PROCEDURES[request.param]


def reasons(result):
    return {row["reason"] for row in result.rows()}


def shown(result):
    """Every form of a result can be made, and JSON brings it back."""
    for text in (result.sentence(), repr(result), result.to_latex(), result._repr_html_()):
        assert text
    assert type(result).from_json(result.to_json()).to_json() == result.to_json()
    return result


@pytest.mark.parametrize("count", [1, 2])
def test_one_checkpoint_or_two_are_enough(make_runs, procedure, count):
    data = make_runs(RECIPES).isel(step=slice(0, count))
    found = shown(procedure(data))
    assert reasons(found) == {""}
    assert found.n_steps == count
    dropped = procedure(data.isel(step=0, drop=True))
    np.testing.assert_allclose(dropped.low.values, found.low.isel(step=0).values, rtol=1e-9)


def test_one_seed_has_a_value_and_a_reason(make_runs, procedure):
    found = shown(procedure(make_runs({"opd": 1, "sft": 1})))
    assert found.ci is None
    assert all("one run" in reason and "add runs with other seeds" in reason for reason in reasons(found))
    assert all(math.isfinite(row["estimate"]) for row in found.rows())


def test_two_seeds_with_identical_values_are_warned_of_and_have_no_interval(make_runs, procedure):
    data = make_runs({"opd": 2, "sft": 2})
    data.values[1], data.values[3] = data.values[0], data.values[2]
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        found = shown(procedure(data))
    assert found.ci is None
    assert all("hold identical values" in reason for reason in reasons(found))


def test_a_constant_series_has_no_interval_and_says_why(make_runs, procedure):
    data = make_runs(RECIPES) * 0 + 20.0
    with pytest.warns(GeostatWarning):
        found = shown(procedure(data.assign_attrs(units="1")))
    assert found.ci is None
    assert all("identical values" in reason for reason in reasons(found))


def test_all_nan_is_an_answer(make_runs, procedure):
    found = shown(procedure(make_runs(RECIPES).where(False)))
    assert found.ci is None
    assert all("has a value here" in reason for reason in reasons(found))
    assert all(math.isnan(row["estimate"]) for row in found.rows())


def test_one_matrix_without_value_is_left_out_of_all_runs(make_runs, procedure):
    data = make_runs(RECIPES)
    data.values[0, :, 2] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 6 matrices"):
        found = shown(procedure(data))
    cell = {"recipe": "opd"} if "recipe" in found.low.dims else {}
    kept = procedure(data.isel(matrix=[0, 1, 3, 4, 5]))
    np.testing.assert_allclose(found.estimate.sel(cell), kept.estimate.sel(cell))
    assert set(found.quantity("n_matrices").sel(cell).values.tolist()) == {5}
    assert set(found.quantity("n_undefined").sel(cell).values.tolist()) == {1}


def test_an_infinite_value_gives_no_interval_in_its_cell_alone(make_runs, procedure):
    data = make_runs(RECIPES)
    data.values[0, 0, 0] = np.inf
    found = shown(procedure(data))
    cell = {"step": 63} | ({"recipe": "opd"} if "recipe" in found.low.dims else {})
    assert math.isnan(found.low.sel(cell))
    assert "isfinite" in found.low["reason"].sel(cell).item()
    assert int(found.low.isnull().sum()) == 1


def test_unsorted_steps_are_sorted(make_runs, procedure):
    data = make_runs(RECIPES)
    np.testing.assert_array_equal(procedure(data).low, procedure(data.isel(step=[4, 0, 3, 1, 2])).low)


def test_repeated_steps_are_refused(make_runs, procedure):
    with pytest.raises(SampleError, match="step 63 occurs more than once"):
        procedure(make_runs(RECIPES).isel(step=[0, 0, 1]))


@pytest.mark.parametrize("level", [0, 1, -0.1, 95, float("nan"), "high", None])
def test_a_level_outside_zero_and_one_is_refused(make_runs, procedure, level):
    with pytest.raises(SampleError, match="strictly between 0 and 1"):
        procedure(make_runs(RECIPES), level=level)


def test_a_metric_without_units_is_taken_with_a_warning(make_runs, procedure):
    data = make_runs(RECIPES)
    del data.attrs["units"]
    with pytest.warns(GeostatWarning, match="no `units` attribute"):
        found = shown(procedure(data))
    assert {row["units"] for row in found.rows()} == {""}


def test_a_run_without_a_checkpoint_drops_out_of_that_cell_alone(make_runs, procedure):
    data = make_runs({"opd": 4, "sft": 4})
    data.values[0, 1] = np.nan
    whole, found = procedure(make_runs({"opd": 4, "sft": 4})), shown(procedure(data))
    others = [0, 2, 3, 4]
    np.testing.assert_allclose(found.low.isel(step=others), whole.low.isel(step=others), rtol=1e-9)
    assert bool(found.low.notnull().all())


def test_runs_with_step_grids_of_their_own_are_taken_where_they_meet(make_runs, procedure):
    data = make_runs(RECIPES)
    data.values[[0, 3], 0] = data.values[[1, 4], 1] = np.nan
    found = shown(procedure(data))
    assert reasons(found) == {""}


def test_dask_backed_data_give_the_same_answer(make_runs, procedure):
    pytest.importorskip("dask.array")
    data = make_runs(RECIPES)
    np.testing.assert_allclose(procedure(data).low, procedure(data.chunk({"step": 2, "matrix": 3})).low)


def test_data_are_not_changed(make_runs, procedure):
    data = make_runs(RECIPES)
    before = data.copy(deep=True)
    procedure(data)
    assert data.identical(before)


@pytest.mark.parametrize("sample_dim", [None, 3, ["run"]])
def test_a_sample_dimension_that_is_no_name_is_refused(make_runs, procedure, sample_dim):
    with pytest.raises(SampleError, match="names no dimension"):
        procedure(make_runs(RECIPES), sample_dim=sample_dim)


def test_a_misspelt_sample_dimension_does_not_turn_runs_into_settings(make_runs, procedure):
    with pytest.raises(SampleError, match=r"sample_dim='runs' is not among .* Pass sample_dim='run'"):
        procedure(make_runs(RECIPES), sample_dim="runs")


@pytest.mark.parametrize("name", [1, None, ["opd"]])
def test_a_recipe_that_is_no_text_is_refused(make_runs, name):
    with pytest.raises(SampleError, match="Pass its name as text"):
        compare(make_runs(RECIPES), name, "sft")


def test_a_metric_without_recipes_is_named(make_runs):
    data = make_runs(RECIPES)
    both = data.to_dataset().assign(size=data.isel(run=0, drop=True))
    with pytest.raises(SampleError, match="size has no coordinate `recipe`"):
        compare(both, "opd", "sft")


@pytest.mark.parametrize("margin", ["1", True, ("-1", "1"), (False, True)])
def test_a_margin_is_a_number(make_runs, margin):
    with pytest.raises(SampleError, match="declares no margin"):
        equivalence(make_runs(RECIPES), "opd", "sft", margin=margin)


@pytest.mark.parametrize("reference", ["20", [20.0], True])
def test_a_reference_is_a_number(make_runs, reference):
    with pytest.raises(SampleError, match="no number"):
        equivalence(make_runs(RECIPES), "opd", margin=1.0, reference=reference)


def test_a_reference_of_numpy_is_written_to_json(make_runs):
    told = equivalence(make_runs(RECIPES), "opd", margin=0.5, reference=np.float32(20))
    assert type(told).from_json(told.to_json()).settings["reference"] == 20.0


def test_a_contrast_without_any_interval_does_not_speak_of_a_population(make_runs):
    data = make_runs({"opd": 1, "sft": 1})
    assert compare(data, "opd", "sft").scope == "descriptive"
    assert equivalence(data, "opd", "sft", margin=0.5).scope == "descriptive"
    assert compare(data, "opd", "sft", assumed_seed_sd=1.0).scope == "model-dependent"
    assert compare(make_runs(RECIPES), "opd", "sft").scope == "population of runs"


def test_both_sides_of_an_equivalence_are_counted_where_one_has_no_value(make_runs):
    data = make_runs(RECIPES)
    data.values[3:, 0] = np.nan
    (row, *_) = equivalence(data, "opd", "sft", margin=0.5).table().body
    assert row[-1].plain == "3 and 0"


def test_differences_too_small_to_square_give_no_interval_of_width_zero(make_runs):
    result = mean_ci(make_runs(RECIPES) * 1e-170)
    assert np.isnan(result.low).all()
    assert all("cannot be estimated" in row["reason"] for row in result.rows())
    assert np.isfinite(mean_ci(make_runs(RECIPES) * 1e-140).low).all()


def test_a_level_is_corrected_only_where_a_percentage_was_meant(make_runs):
    with pytest.raises(SampleError, match=r"Did you mean 0\.95"):
        mean_ci(make_runs(RECIPES), level=95)
    with pytest.raises(SampleError, match=r"between 0 and 1\.$"):
        mean_ci(make_runs(RECIPES), level=1.5)
