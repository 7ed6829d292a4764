import itertools
import math

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics import at_least
from geostat.statistics.locking.censoring import runs_for_median
from geostat.statistics.locking.median_onset import median_onset, order_statistic

STEPS = np.array([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 100])


def locking_runs(onsets, steps=STEPS):
    onsets = np.asarray(onsets, dtype=float)
    values = (steps >= onsets[:, None]) * np.linspace(0.8, 0.9, onsets.size)[:, None]
    values = values + 0.001 * np.arange(onsets.size)[:, None]
    return xr.DataArray(
        values, dims=("run", "step"), coords={"step": steps}, attrs={"units": "1"}, name="capture"
    )


def median(data, **arguments):
    return median_onset(data, reference=at_least(0.5), dim=None, **arguments)


def only(result):
    (row,) = result.rows()
    return row


@pytest.mark.parametrize("n", range(2, 14))
def test_the_confidence_is_that_of_counting_runs_below_the_median(n):
    """Every run lies below the median with probability one half: count the 2^n equally likely signs."""
    rank, confidence = order_statistic(n, 0.95)
    below = np.array([sum(signs) for signs in itertools.product((0, 1), repeat=n)])
    attained = [np.mean((below >= r) & (below <= n - r)) for r in range(1, n // 2 + 1)]
    good = [r for r, value in enumerate(attained, 1) if value >= 0.95]
    assert rank == (max(good) if good else 0)
    if rank:
        assert confidence == pytest.approx(attained[rank - 1])


def test_a_95_percent_interval_exists_from_six_runs():
    assert [order_statistic(n, 0.95)[0] for n in (2, 5, 6, 8, 9)] == [0, 0, 1, 1, 2]
    assert [runs_for_median(level) for level in (0.9, 0.95, 0.99)] == [5, 6, 8]


def test_ends_are_rounded_outward_to_checkpoints():
    row = only(median(locking_runs([25, 35, 45, 55, 65, 74])))
    # Runs lock between checkpoints: brackets (20, 30], (30, 40], ... (70, 80]; the stay of the last is 20% only.
    assert row["n_unknown"] == 1
    row = only(median(locking_runs([25, 35, 45, 55, 65, 68])))
    assert (row["low"], row["high"], row["interval"]) == (20, 70, "(20, 70]")
    assert row["onset"] == "(40, 60]"
    assert row["confidence"] == pytest.approx(1 - 2 / 64)


def test_below_six_runs_there_is_no_interval_but_a_reason():
    result = median(locking_runs([20, 30, 40, 50, 60]))
    row = only(result)
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])
    assert "5 runs" in row["reason"]
    assert "6 runs are needed" in row["reason"]
    assert row["onset"] == "(30, 40]"
    assert result.scope == "within-run"
    assert "no interval" in result.sentence()
    assert only(median(locking_runs([20, 30, 40, 50, 60]), level=0.9))["interval"] == "(10, 60]"


def test_a_left_censored_lower_end_is_no_bound():
    result = median(locking_runs([10, 10, 30, 30, 40, 50]))
    row = only(result)
    assert row["low"] == -math.inf
    assert row["interval"] == "<= 50"
    assert r"$\le 50$" in result.to_latex()


def test_a_run_that_never_locks_is_infinitely_late():
    row = only(median(locking_runs([20, 30, 40, 50, 60, np.inf])))
    assert row["high"] == math.inf
    assert row["interval"] == "> 10"
    assert "no upper end" in row["reason"]
    # With nine runs the extremes are not used, so one that never locks does no harm.
    assert only(median(locking_runs([20, 30, 30, 40, 40, 50, 50, 60, np.inf])))["interval"] == "(20, 60]"


def test_runs_that_never_lock_leave_a_lower_bound():
    row = only(median(locking_runs([np.inf] * 6)))
    assert (row["low"], row["high"], row["onset"]) == (100, math.inf, "> 100")


def test_undecided_runs_widen_both_ends():
    clear = only(median(locking_runs([20, 30, 40, 50, 60, 60])))
    data = locking_runs([20, 30, 40, 50, 60, 60])
    data.values[2] = np.nan
    row = only(median(data))
    assert (clear["low"], clear["high"]) == (10, 60)
    assert (row["low"], row["high"], row["n_unknown"]) == (-math.inf, math.inf, 1)


def test_the_order_of_runs_changes_nothing_and_steps_scale():
    data = locking_runs([20, 30, 40, 50, 60, 70])
    first = only(median(data))
    assert only(median(data.isel(run=[3, 1, 5, 0, 2, 4]))) == first
    scaled = only(median(data.assign_coords(step=STEPS * 3)))
    assert (scaled["low"], scaled["high"]) == (3 * first["low"], 3 * first["high"])


def test_every_further_dimension_has_its_own_median():
    data = xr.concat(
        [locking_runs([20] * 3 + [30] * 3), locking_runs([40] * 3 + [50] * 3)], dim=xr.Variable("k", [1, 2])
    )
    assert [row["interval"] for row in median(data).rows()] == ["(10, 30]", "(30, 50]"]


def test_one_run_and_bad_levels():
    assert "one run" in only(median(locking_runs([30])))["reason"]
    with pytest.raises(SampleError, match="no confidence level"):
        median(locking_runs([30, 40]), level=1.0)


def test_the_result_survives_json_and_prints():
    for onsets in ([20, 30, 40, 50, 60, np.inf], [10] * 7, [30]):
        result = median(locking_runs(onsets))
        again = type(result).from_json(result.to_json())
        assert again.to_json() == result.to_json()
        xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
        assert result.to_latex()
        assert "Median onset" in result.sentence()
        assert repr(result)
        assert len(result.to_frame()) == 1


def test_a_median_without_interval_claims_no_method():
    sentence = median(locking_runs([25])).sentence()
    assert "(n = 1 run; no interval) (within-run" in sentence
    assert "order-statistic" not in sentence
    assert "6 runs are needed" in median(locking_runs([25, 35])).sentence()


def test_all_nan_has_no_median_and_says_so():
    result = median(locking_runs([25] * 6) * np.nan)
    assert only(result)["reason"] == "no run has a value here"
    assert "not bounded by these checkpoints" in result.sentence()
