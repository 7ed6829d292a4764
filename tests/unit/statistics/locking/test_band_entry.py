import math

import numpy as np
import pytest
import xarray as xr
from statsmodels.stats.weightstats import DescrStatsW

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning
from geostat.statistics import at_least
from geostat.statistics.locking.band_entry import band_entry
from geostat.statistics.locking.band_entry_core import contrasts_with, shown, window_means, windows_of

STEPS = np.array([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 100])
MEAN = np.array([9.0, 8, 7, 6, 5, 5, 5, 5, 5, 5])


def noisy(mean=MEAN, runs=5, sd=0.1, steps=STEPS, seed=0, **coords):
    noise = sd * np.random.default_rng(seed).standard_normal((runs, len(mean)))
    return xr.DataArray(
        mean + noise, dims=("run", "step"), coords={"step": steps} | coords, attrs={"units": "1"}, name="m"
    )


def entry(data, **arguments):
    return band_entry(data, **({"reference": 5.0, "margin": 0.5, "dim": None} | arguments))


def only(result):
    (row,) = result.rows()
    return row


def test_the_mean_is_shown_inside_where_two_one_sided_tests_say_so():
    values = np.random.default_rng(3).normal(0.2, 0.3, (7, 40))
    inside, outside, _, _ = shown(values, 0.5, 0.95)
    for column, is_in, is_out in zip(values.T, inside, outside, strict=True):
        described = DescrStatsW(column)
        p, _, _ = described.ttost_mean(-0.5, 0.5)
        assert is_in == (p <= 0.025)
        above = described.ttest_mean(0.5, alternative="larger")[1] < 0.025
        below = described.ttest_mean(-0.5, alternative="smaller")[1] < 0.025
        assert is_out == (above or below)


def test_a_threshold_is_tested_on_one_side():
    values = np.random.default_rng(4).normal(0.1, 0.3, (6, 60))
    inside, outside, _, _ = shown(values, None, 0.9)
    described = DescrStatsW(values)
    np.testing.assert_array_equal(inside, described.ttest_mean(0, alternative="larger")[1] <= 0.05)
    np.testing.assert_array_equal(outside, described.ttest_mean(0, alternative="smaller")[1] < 0.05)


def test_the_interval_reaches_from_the_last_shown_out_to_the_first_shown_in():
    row = only(entry(noisy()))
    assert (row["low"], row["high"], row["interval"]) == (40, 50, "(40, 50]")
    assert row["estimate"] == 50


def test_the_sequence_stops_at_the_first_failure():
    mean = MEAN.copy()
    mean[7] = 5.45  # inside, but not shown to be
    row = only(entry(noisy(mean, sd=0.2), persistence=0.05))
    assert row["high"] == 90
    assert row["low"] == 40


def test_leading_checkpoints_alone_bound_from_below():
    mean = MEAN.copy()
    mean[1] = 5.0  # the second is inside, so what is shown out later does not count
    row = only(entry(noisy(mean)))
    assert row["low"] == 10


def test_a_mean_inside_from_the_start_is_left_censored():
    with pytest.warns(GeostatWarning, match="no curve varies by more than the margin 0.5"):
        result = entry(noisy(np.full(10, 5.0)))
    row = only(result)
    assert (row["low"], row["high"]) == (-math.inf, 10)
    assert r"$\le 10$" in result.to_latex()


def test_staying_has_to_be_shown_for_the_persistence():
    row = only(entry(noisy(np.array([9.0] * 8 + [5, 5]))))
    assert row["high"] == math.inf
    assert "less than the persistence" in row["reason"]
    assert only(entry(noisy(np.array([9.0] * 8 + [5, 5])), persistence=0.05))["high"] == 90


def test_a_linear_trend_does_not_enter_the_band_of_its_own_end():
    row = only(entry(noisy(np.linspace(9, 1, 10)), reference="final", margin=0.8))
    assert row["high"] == math.inf


def test_final_compares_every_run_with_its_own_end():
    offsets = xr.DataArray([-30.0, -10, 0, 10, 30], dims="run")
    data = noisy()
    moved = (data + offsets).assign_attrs(data.attrs)
    first, second = (only(entry(d, reference="final")) for d in (data, moved))
    assert first["interval"] == second["interval"] == "(40, 50]"
    assert math.isinf(only(entry(moved))["high"])


def test_many_checkpoints_are_averaged_into_windows_and_rounded_outward():
    steps = np.arange(1.0, 101)
    mean = np.maximum(5.0, 9 - 0.1 * (steps - 1))  # reaches 5 at step 41, the band at step 36
    row = only(entry(noisy(mean, steps=steps)))
    assert row["n_windows"] == 10
    assert row["low"] <= 35 < row["high"]
    assert row["low"] in range(1, 101, 10)
    assert row["high"] in range(10, 101, 10)
    assert only(entry(noisy(mean, steps=steps), windows=5))["n_windows"] == 5


def test_windows_take_consecutive_checkpoints_that_two_runs_have():
    present = np.array([[1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 0]], dtype=bool)
    assert [w.tolist() for w in windows_of(present, 10)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert windows_of(present[:1], 10) == []


def test_a_run_that_has_ended_is_not_waited_for():
    present = np.ones((3, 6), dtype=bool)
    present[0, 3:] = False
    assert [w.tolist() for w in windows_of(present, 10)] == [[0], [1], [2], [3], [4], [5]]
    present[0, 1] = False
    assert [w.tolist() for w in windows_of(present, 10)] == [[0], [1, 2], [3], [4], [5]]
    present[0, 3:5] = True
    assert [w.tolist() for w in windows_of(present, 10)] == [[0], [1, 2], [3], [4, 5]]


def test_windows_average_what_a_run_has():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 5.0]])
    means = window_means(values, [np.array([0, 1]), np.array([2])])
    np.testing.assert_array_equal(means, [[1, 3], [np.nan, 5]])


def test_runs_with_different_step_grids_are_compared_window_by_window():
    data = noisy(np.where(STEPS < 50, 9.0, 5.0), runs=4)
    data.values[:2, 1::2] = np.nan
    data.values[2:, 0::2] = np.nan
    row = only(entry(data))
    assert row["low"] <= 40 < 50 <= row["high"]
    assert row["n_windows"] == 5
    assert row["high"] <= 60


def test_a_missing_checkpoint_leaves_its_run_out_there():
    data = noisy()
    data.values[0, 6] = np.nan
    assert only(entry(data))["interval"] == "(40, 50]"


def test_one_run_has_no_interval_and_a_reason():
    result = entry(noisy(runs=1))
    assert math.isnan(only(result)["low"])
    assert "one run" in only(result)["reason"]
    assert result.scope == "within-run"
    assert only(entry(noisy().isel(run=0)))["reason"] == only(result)["reason"]


def test_identical_seeds_are_warned_of_and_leave_no_interval():
    data = noisy(runs=2)
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        row = only(entry(data))
    assert math.isnan(row["high"])
    assert "identical values" in row["reason"]


def test_all_nan_is_no_value():
    row = only(entry(noisy() * np.nan))
    assert math.isnan(row["low"])
    assert row["reason"] == "no run has a value here"


def test_an_infinite_value_stops_the_sequence():
    data = noisy()
    data.values[0, -1] = np.inf
    with pytest.warns(GeostatWarning, match="infinite is never inside"):
        row = only(entry(data))
    assert row["high"] == math.inf
    assert "no test at the last window" in row["reason"]


def test_one_checkpoint_and_two():
    assert only(entry(noisy(np.array([5.0]), steps=[100])))["high"] == math.inf
    assert only(entry(noisy(np.array([9.0, 5.0]), steps=[20, 100]), persistence=0.01))["low"] == 20
    final = only(entry(noisy(np.array([5.0]), steps=[100]), reference="final"))
    assert "last 10%" in final["reason"]


def test_affine_maps_with_the_margin_scaled_change_nothing():
    data = noisy()
    mapped = (-3 * data + 2).assign_attrs(data.attrs)
    assert only(entry(mapped, reference=-13.0, margin=1.5))["interval"] == only(entry(data))["interval"]


def test_permuting_runs_and_doubling_matrices_changes_nothing(make_runs):
    data = make_runs({"opd": 5})
    data.values[:] = 0.1 * data.values + 3.0
    first = band_entry(data, reference=5.2, margin=0.2)
    again = band_entry(data.isel(run=[2, 0, 4, 1, 3]), reference=5.2, margin=0.2)
    doubled = band_entry(xr.concat([data, data], dim="matrix"), reference=5.2, margin=0.2)
    assert first.rows()[0]["interval"] == again.rows()[0]["interval"] == doubled.rows()[0]["interval"]


def test_recipes_have_their_own_entries_and_numbers_of_runs():
    data = xr.concat([noisy(runs=3), noisy(np.full(10, 9.0), runs=2, seed=1)], dim="run")
    rows = entry(data.assign_coords(recipe=("run", ["opd"] * 3 + ["sft"] * 2))).rows()
    assert [(row["recipe"], row["n_runs"], math.isfinite(row["high"])) for row in rows] == [
        ("opd", 3, True),
        ("sft", 2, False),
    ]


def test_further_dimensions_are_answered_at_once_as_one_by_one():
    data = xr.concat([noisy(seed=i) for i in range(4)], dim="replicate")
    together = entry(data).cells["m"]
    for i in range(4):
        alone = entry(data.isel(replicate=i)).cells["m"]
        assert together["low"][i] == alone["low"]
        assert together["high"][i] == alone["high"]


def test_it_never_speaks_of_runs_that_lock():
    result = entry(noisy())
    assert "not to be read as saying that the runs lock" in result.sentence()
    assert "no statement about single runs" in result.estimand
    assert any("may never be read" in text for text in result.assumptions)


def test_contrasts_leave_the_last_tenth_out():
    values = np.arange(20.0).reshape(1, 2, 10)
    contrasts, tested = contrasts_with(values, STEPS, np.array([100.0, 100.0]), None)
    assert tested.sum(axis=1).tolist() == [9, 9]
    np.testing.assert_allclose(contrasts[0, 0, :9], np.arange(9) - 9.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"windows": 1}, "no sequence of tests"),
        ({"windows": 2.5}, "no sequence of tests"),
        ({"level": 0}, "no confidence level"),
        ({"margin": None}, "declares no band"),
        ({"persistence": 1}, "no share of training"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        entry(noisy(), **arguments)


def test_a_metric_that_looks_at_its_own_end_is_warned_of():
    with pytest.warns(GeostatWarning, match="random walk"):
        entry(noisy().assign_attrs(diagnostic="similarity_to_end"), reference=at_least(4.0), margin=None)


def test_the_result_survives_json_and_prints():
    for data in (noisy(), noisy(runs=1), noisy(np.full(10, 9.0))):
        result = entry(data)
        again = type(result).from_json(result.to_json())
        assert again.to_json() == result.to_json()
        xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
        assert result.to_latex()
        assert repr(result)
        assert len(result.to_frame()) == 1


def test_dask_backed_data_give_the_same():
    pytest.importorskip("dask.array")
    assert entry(noisy().chunk({"step": 3})).rows() == entry(noisy()).rows()
