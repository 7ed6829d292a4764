import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics import mean_ci


def assert_same_interval(first, second):
    for quantity in ("estimate", "low", "high"):
        np.testing.assert_allclose(first.quantity(quantity), second.quantity(quantity), rtol=1e-12)


def test_interval_agrees_with_a_hand_calculation():
    # Run means 20, 23, 26: mean 23, s = 3, t(2, .975) = 4.302653, half-width 4.302653 * 3 / sqrt(3).
    data = xr.DataArray(
        [[19.0, 21.0], [22.0, 24.0], [25.0, 27.0]], dims=("run", "matrix"), attrs={"units": "1"}, name="x"
    )
    result = mean_ci(data)
    assert result.estimate.item() == pytest.approx(23.0)
    assert result.low.item() == pytest.approx(23 - 7.452413, abs=1e-5)
    assert result.high.item() == pytest.approx(23 + 7.452413, abs=1e-5)
    assert result.rows()[0]["df"] == 2


def test_interval_agrees_with_scipy_in_every_cell(make_runs):
    data = make_runs({"sft": 3, "opd": 5})
    result = mean_ci(data, level=0.9)
    for recipe, runs in (("sft", slice(0, 3)), ("opd", slice(3, 8))):
        for step in data["step"].values:
            sample = data.values[runs, list(data["step"].values).index(step)].mean(axis=1)
            expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
            cell = {"recipe": recipe, "step": step}
            assert result.low.sel(cell).item() == pytest.approx(expected.low)
            assert result.high.sel(cell).item() == pytest.approx(expected.high)


def test_recipes_stay_in_the_order_in_which_they_come(make_runs):
    assert list(mean_ci(make_runs({"sft": 2, "opd": 2, "ablation": 2})).estimate["recipe"].values) == [
        "sft",
        "opd",
        "ablation",
    ]


def test_permuting_layers_changes_nothing(make_runs):
    data = make_runs({"opd": 3})
    assert_same_interval(mean_ci(data), mean_ci(data.isel(matrix=[3, 1, 5, 0, 4, 2])))


def test_permuting_runs_changes_nothing(make_runs):
    data = make_runs({"opd": 4})
    assert_same_interval(mean_ci(data), mean_ci(data.isel(run=[2, 0, 3, 1])))


@pytest.mark.parametrize("weighting", ["matrix", "parameters"])
def test_duplicating_every_layer_changes_no_interval(make_runs, weighting):
    data = make_runs({"opd": 3}, weighting=weighting)
    assert_same_interval(mean_ci(data), mean_ci(xr.concat([data, data], dim="matrix")))


def test_affine_maps_carry_over(make_runs):
    data = make_runs({"opd": 3})
    plain, mapped = mean_ci(data), mean_ci((-2.0 * data + 7.0).assign_attrs(data.attrs))
    np.testing.assert_allclose(mapped.estimate, -2 * plain.estimate + 7)
    np.testing.assert_allclose(mapped.low, -2 * plain.high + 7)
    np.testing.assert_allclose(mapped.high, -2 * plain.low + 7)


def test_parameter_weighting_is_the_share_over_all_entries():
    # 10 of 10 entries in the small matrix and 0 of 90 in the large one: one tenth, not one half.
    data = xr.DataArray(
        [[1.0, 0.0]],
        dims=("run", "matrix"),
        coords={"n_params": ("matrix", [10, 90])},
        attrs={"units": "1", "weighting": "parameters"},
        name="update_sparsity",
    )
    assert mean_ci(data).estimate.item() == pytest.approx(0.1)
    assert mean_ci(data, weighting="matrix").estimate.item() == pytest.approx(0.5)


def test_a_convention_that_names_two_averages_must_be_told_which(make_runs):
    data = make_runs({"opd": 2}, weighting="both")
    with pytest.raises(SampleError, match="weighting='matrix'"):
        mean_ci(data)
    assert "weighted by number of parameters" in mean_ci(data, weighting="parameters").estimand


def test_parameter_weighting_without_sizes_is_refused(make_runs):
    with pytest.raises(SampleError, match="n_params"):
        mean_ci(make_runs({"opd": 2}, weighting="parameters").drop_vars("n_params"))


def test_one_run_has_a_value_and_no_interval_and_says_why(make_runs):
    result = mean_ci(make_runs({"opd": 1}).isel(step=-1))
    row = result.rows()[0]
    assert result.ci is None
    assert result.scope == "within-run"
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])
    assert math.isfinite(row["estimate"])
    assert row["n_runs"] == 1
    assert "seed" in row["reason"]
    assert row["reason"] in repr(result)


def test_a_missing_run_dimension_is_one_run(make_runs):
    data = make_runs({"opd": 1})
    bare = mean_ci(data.isel(run=0))
    np.testing.assert_allclose(bare.estimate, mean_ci(data).estimate.isel(recipe=0))
    assert bare.n_runs == 1
    assert bare.ci is None


def test_layer_spread_is_heterogeneity_and_never_an_interval(make_runs):
    data = make_runs({"opd": 1}).isel(step=[0])
    result = mean_ci(data)
    assert result.spread.item() == pytest.approx(np.std(data.values))
    assert "heterogeneity, no uncertainty" in repr(result)


def test_two_identical_seeds_give_a_warning_and_no_interval(make_runs):
    data = make_runs({"opd": 2})
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        result = mean_ci(data)
    assert result.ci is None
    assert all("identical" in row["reason"] for row in result.rows())
    assert "identical seeds" in result.warnings[0]


def test_a_seed_counted_twice_among_others_is_noticed(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[2] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="'opd': runs opd-0, opd-2"):
        result = mean_ci(data)
    assert len(result.warnings) == 1


def test_a_metric_that_is_constant_by_definition_accuses_no_seed(make_runs):
    data = make_runs({"opd": 2})
    rank = (data * 0 + 48).assign_attrs(data.attrs)
    result = mean_ci(xr.Dataset({"stable_rank": data, "numerical_rank": rank}))
    assert result.warnings == ()
    assert result["numerical_rank"].ci is None
    assert result["stable_rank"].ci is not None


def test_identical_values_leave_no_rounding_as_variance():
    # (.1 + .1 + .1) / 3 differs from .1 in floating point, which must not pass for a tiny interval.
    data = xr.DataArray([0.1, 0.1, 0.1], dims="run", attrs={"units": "1"}, name="x")
    with pytest.warns(SmallSampleWarning):
        assert mean_ci(data, dim=None).ci is None


def test_a_matrix_undefined_in_one_run_is_left_out_of_all_runs_and_counted(make_runs):
    data = make_runs({"opd": 3})
    data.values[0, 0, 2] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 6 matrices"):
        result = mean_ci(data)
    kept = data.values[:, 0, [0, 1, 3, 4, 5]].mean(axis=1)
    first, second = result.rows()[:2]
    assert first["estimate"] == pytest.approx(kept.mean())
    assert (first["n_matrices"], first["n_undefined"], first["n_runs"]) == (5, 1, 3)
    assert (second["n_matrices"], second["n_undefined"]) == (6, 0)


def test_a_recipe_does_not_depend_on_the_other_recipes_gaps(make_runs):
    data = make_runs({"opd": 3, "sft": 3})
    data.values[0, 0, 2] = np.nan
    with pytest.warns(UndefinedWarning, match="'opd'"):
        both = mean_ci(data)
    alone = mean_ci(data.isel(run=[3, 4, 5]))
    np.testing.assert_allclose(both.low.sel(recipe="sft"), alone.low.sel(recipe="sft"))


def test_a_run_without_a_checkpoint_drops_out_of_that_cell_only(make_runs):
    data = make_runs({"opd": 3})
    data.values[0, 1] = np.nan
    result = mean_ci(data)
    assert [row["n_runs"] for row in result.rows()] == [3, 2, 3, 3, 3]
    sample = data.values[1:, 1].mean(axis=1)
    assert result.low.isel(recipe=0, step=1).item() == pytest.approx(
        stats.ttest_1samp(sample, 0).confidence_interval().low
    )


def test_disjoint_step_grids_leave_one_run_a_cell(make_runs):
    first, second = make_runs({"opd": 1}, steps=(10, 20)), make_runs({"opd": 1}, steps=(15, 20), seed=1)
    other = second.assign_coords(run=["opd-9"])
    joined = xr.concat([first, other], dim="run", join="outer", coords="minimal", compat="override")
    result = mean_ci(joined)
    assert [row["n_runs"] for row in result.rows()] == [1, 1, 2]
    assert "only one of 2 runs" in result.rows()[0]["reason"]
    assert math.isfinite(result.rows()[2]["low"])


def test_all_nan_is_an_answer_with_a_reason(make_runs):
    data = make_runs({"opd": 2})
    result = mean_ci(data.where(False))
    assert result.ci is None
    assert {row["reason"] for row in result.rows()} == {"no run has a value here"}
    assert "--" in repr(result)


def test_runs_without_a_common_matrix_say_so(make_runs):
    data = make_runs({"opd": 2}, matrices=2, steps=(1,))
    data.values[0, 0, 0] = data.values[1, 0, 1] = np.nan
    with pytest.warns(UndefinedWarning, match="2 of 2 matrices"):
        result = mean_ci(data)
    assert "no matrix has a value in every run" in result.rows()[0]["reason"]


def test_an_infinite_value_gives_no_interval_and_names_the_remedy(make_runs):
    data = make_runs({"opd": 3})
    data.values[0, 0, 0] = np.inf
    result = mean_ci(data)
    first, second = result.rows()[:2]
    assert first["estimate"] == math.inf
    assert math.isnan(first["low"])
    assert "isfinite" in first["reason"]
    assert math.isfinite(second["low"])


def test_unsorted_steps_are_sorted(make_runs):
    data = make_runs({"opd": 3})
    assert_same_interval(mean_ci(data), mean_ci(data.isel(step=[4, 0, 3, 1, 2])))


def test_repeated_steps_are_refused(make_runs):
    with pytest.raises(SampleError, match="step 63 occurs more than once"):
        mean_ci(make_runs({"opd": 2}).isel(step=[0, 0, 1]))


@pytest.mark.parametrize("level", [0, 1, -0.1, 1.5, 95, float("nan")])
def test_a_level_outside_zero_and_one_is_refused(make_runs, level):
    with pytest.raises(SampleError, match="strictly between 0 and 1"):
        mean_ci(make_runs({"opd": 2}), level=level)


def test_a_level_in_percent_is_recognised(make_runs):
    with pytest.raises(SampleError, match=r"Did you mean 0\.95"):
        mean_ci(make_runs({"opd": 2}), level=95)


def test_a_missing_dimension_is_refused_with_the_remedy(make_runs):
    averaged = make_runs({"opd": 2}).mean("matrix", keep_attrs=True)
    with pytest.raises(SampleError, match="dim=None"):
        mean_ci(averaged)
    assert mean_ci(averaged, dim=None).ci is not None


def test_data_without_units_are_taken_with_a_warning():
    data = xr.DataArray([1.0, 2.0], dims="run", name="x")
    with pytest.warns(GeostatWarning, match="units"):
        result = mean_ci(data, dim=None)
    assert result.rows()[0]["units"] == ""


@pytest.mark.parametrize(("data", "message"), [([1.0, 2.0], "list"), ({"a": 1}, "dict")])
def test_unlabelled_data_are_refused(data, message):
    with pytest.raises(SampleError, match=message):
        mean_ci(data)


def test_log_scale_estimates_a_geometric_mean_over_runs():
    # Run means 1, 10, 100: geometric mean 10; on log10 s = 1, half-width t(2, .975) / sqrt(3) = 2.484138.
    data = xr.DataArray([1.0, 10.0, 100.0], dims="run", attrs={"units": "1"}, name="nss")
    result = mean_ci(data, dim=None, scale="log")
    assert result.estimate.item() == pytest.approx(10.0)
    assert math.log10(result.high.item()) == pytest.approx(1 + 2.484138, abs=1e-5)
    assert math.log10(result.low.item()) == pytest.approx(1 - 2.484138, abs=1e-5)
    assert "geometric mean" in result.estimand.lower()


def test_log_scale_averages_matrices_before_it_takes_logarithms():
    data = xr.DataArray([[1.0, 3.0], [2.0, 6.0]], dims=("run", "matrix"), attrs={"units": "1"}, name="nss")
    assert mean_ci(data, scale="log").estimate.item() == pytest.approx(math.sqrt(2 * 4))


def test_logit_scale_keeps_intervals_of_shares_inside_their_range():
    data = xr.DataArray([0.9, 0.99, 0.999], dims="run", attrs={"units": "1"}, name="update_sparsity")
    result = mean_ci(data, dim=None, scale="logit")
    assert mean_ci(data, dim=None).high.item() > 1
    assert 0 < result.low.item() < result.estimate.item() < result.high.item() < 1
    assert "logit mean" in result.estimand.lower()


@pytest.mark.parametrize(("scale", "end"), [("log", 0.0), ("logit", 0.0), ("logit", 1.0)])
def test_an_exact_end_falls_back_to_identity_and_says_so(scale, end):
    data = xr.DataArray([0.5, 0.6, end], dims="run", attrs={"units": "1"}, name="x")
    with pytest.warns(UndefinedWarning, match="identity scale is used"):
        result = mean_ci(data, dim=None, scale=scale)
    assert_same_interval(result, mean_ci(data, dim=None))
    assert "geometric" not in result.estimand
    assert "logit" not in result.estimand
    assert result.method == "t-interval over runs"


@pytest.mark.parametrize(("scale", "value"), [("log", -1.0), ("logit", 1.5)])
def test_values_outside_a_scale_are_refused(scale, value):
    data = xr.DataArray([0.5, value], dims="run", attrs={"units": "1"}, name="x")
    with pytest.raises(SampleError, match="scale='identity'"):
        mean_ci(data, dim=None, scale=scale)


def test_an_unknown_scale_is_refused(make_runs):
    with pytest.raises(SampleError, match="identity, log, logit"):
        mean_ci(make_runs({"opd": 2}), scale="sqrt")


def test_a_dataset_gives_one_result_with_a_metric_a_row(make_runs):
    data = make_runs({"opd": 3})
    accuracy = data.isel(matrix=0, drop=True)
    codes = xr.ones_like(data, dtype=np.int8).drop_attrs()
    dataset = xr.Dataset({"stable_rank": data, "accuracy": accuracy, "stable_rank_reason": codes})
    result = mean_ci(dataset.assign_attrs(protocol="shen2026", protocol_hash="0123"))
    assert {row["variable"] for row in result.rows()} == {"stable_rank", "accuracy"}
    assert result.settings["left_out"] == ["stable_rank_reason"]
    assert "shen2026 (0123)" in repr(result)
    assert_same_interval(result["stable_rank"], mean_ci(data))
    assert_same_interval(result["accuracy"], mean_ci(accuracy, dim=None))


def test_runs_of_unlike_dimensions_share_one_table(make_runs):
    data = make_runs({"opd": 2}).isel(step=-1)
    overlap = xr.concat([data, data + 1], dim=xr.Variable("alpha", [0.3, 0.5])).assign_attrs(data.attrs)
    rows = mean_ci(xr.Dataset({"overlap": overlap, "stable_rank": data})).rows()
    assert [(row["variable"], row["alpha"]) for row in rows] == [
        ("overlap", 0.3),
        ("overlap", 0.5),
        ("stable_rank", None),
    ]


def test_progress_is_kept_where_the_runs_of_a_recipe_agree(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    long = xr.where(data["recipe"] == "sft", 0.5, 1.0) * data["progress"]
    assert mean_ci(data).estimate["progress"].dims == ("step",)
    two = mean_ci(data.assign_coords(progress=long)).estimate
    assert two["progress"].dims == ("recipe", "step")
    assert two["progress"].sel(recipe="sft", step=299).item() == pytest.approx(0.5)
    mixed = data["progress"] * xr.DataArray([1.0, 0.5, 1.0, 1.0], dims="run")
    with pytest.warns(GeostatWarning, match="different lengths"):
        result = mean_ci(data.assign_coords(progress=mixed))
    assert "progress" not in result.estimate.coords


def test_dask_backed_data_give_the_same_answer(make_runs):
    pytest.importorskip("dask.array")
    data = make_runs({"opd": 3, "sft": 2})
    assert_same_interval(mean_ci(data), mean_ci(data.chunk({"step": 2, "matrix": 3})))


def test_data_are_not_changed(make_runs):
    data = make_runs({"opd": 3})
    before = data.copy(deep=True)
    mean_ci(data, scale="log")
    xr.testing.assert_identical(data, before)
