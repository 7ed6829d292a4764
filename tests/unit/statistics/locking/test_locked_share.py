import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import SampleError, SmallSampleWarning
from geostat.statistics import at_least
from geostat.statistics.locking.censoring import clopper_pearson
from geostat.statistics.locking.locked_share import locked_share

STEPS = np.array([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 100])


def locking_runs(onsets, recipes=None, steps=STEPS):
    """Runs that are above one half from their onset on; infinity never is."""
    onsets = np.asarray(onsets, dtype=float)
    values = (steps >= onsets[:, None]) * np.linspace(0.8, 0.9, onsets.size)[:, None]
    values = values + 0.001 * np.arange(onsets.size)[:, None]
    coords = {"step": steps} | ({} if recipes is None else {"recipe": ("run", list(recipes))})
    return xr.DataArray(values, dims=("run", "step"), coords=coords, attrs={"units": "1"}, name="capture")


def share(data, **arguments):
    return locked_share(data, reference=at_least(0.5), dim=None, **arguments)


def only(result):
    (row,) = result.rows()
    return row


@pytest.mark.parametrize(("k", "n"), [(0, 4), (2, 5), (6, 6), (13, 20)])
def test_the_interval_is_that_of_the_binomial_test(k, n):
    low, high = clopper_pearson(np.array([k]), np.array([k]), np.array([n]), 0.95)
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


def test_the_share_counts_the_runs_that_lock():
    row = only(share(locking_runs([30, 40, np.inf, 20, np.inf, 50])))
    expected = stats.binomtest(4, 6).proportion_ci(0.95, method="exact")
    assert (row["n_locked"], row["n_unknown"], row["n_runs"]) == (4, 0, 6)
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((4 / 6, expected.low, expected.high))


def test_six_runs_that_all_lock_are_the_fewest_to_show_that_most_do():
    assert only(share(locking_runs([30] * 5)))["low"] < 0.5
    assert only(share(locking_runs([30] * 6)))["low"] > 0.5


def test_a_run_whose_bracket_contains_t_counts_against_both_ends():
    # Onset in (20, 40]: by 30 it may have locked or not; by 20 not; by 40 it has.
    data = locking_runs([30, 30, 30, 50]).drop_sel(step=30)
    rows = {row["step"]: row for row in share(data, by=[20, 30, 40]).rows()}
    assert [rows[t]["n_locked"] for t in (20, 30, 40)] == [0, 0, 3]
    assert [rows[t]["n_unknown"] for t in (20, 30, 40)] == [0, 3, 0]
    wide = rows[30]
    assert wide["low"] == 0
    assert wide["high"] == pytest.approx(stats.binomtest(3, 4).proportion_ci(0.95, method="exact").high)
    assert "3 runs undecided" in wide["reason"]


def test_before_a_left_censored_onset_nothing_is_known():
    rows = share(locking_runs([10, 10, 50]), by=[5, 10]).rows()
    assert [(row["n_locked"], row["n_unknown"]) for row in rows] == [(0, 2), (2, 0)]


def test_a_run_too_short_to_tell_is_undecided():
    row = only(share(locking_runs([30, 30, 30, 90])))
    assert (row["n_locked"], row["n_unknown"]) == (3, 1)
    exact = stats.binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert row["low"] == pytest.approx(exact.low)
    assert row["high"] == 1


def test_a_run_without_value_is_undecided():
    data = locking_runs([30, 30, np.inf, np.inf])
    data.values[3] = np.nan
    row = only(share(data))
    assert (row["n_locked"], row["n_unknown"], row["n_runs"]) == (2, 1, 4)


def test_by_the_last_step_is_at_all():
    data = locking_runs([30, 40, np.inf, 20, 70, 90])
    at_all, by_end = only(share(data)), share(data, by="steps").rows()[-1]
    for key in ("estimate", "low", "high", "n_locked", "n_unknown"):
        assert at_all[key] == by_end[key]


def test_shares_never_fall_over_steps():
    found = share(locking_runs([30, 40, np.inf, 20, 70, 90]), by="steps")
    assert (np.diff(found.low.values) >= 0).all()
    assert (np.diff(found.high.values) >= 0).all()


def test_one_run_has_no_interval_and_a_reason():
    result = share(locking_runs([30]))
    row = only(result)
    assert math.isnan(row["low"])
    assert "one run" in row["reason"]
    assert result.scope == "within-run"
    assert result.ci is None
    assert "no interval" in result.sentence()


def test_recipes_are_told_apart_and_may_have_unequal_numbers_of_runs():
    data = locking_runs([30, 30, 30, np.inf, np.inf], ["opd"] * 3 + ["sft"] * 2)
    assert [(row["recipe"], row["n_locked"], row["n_runs"]) for row in share(data).rows()] == [
        ("opd", 3, 3),
        ("sft", 0, 2),
    ]


def test_the_order_of_runs_and_the_unit_of_steps_change_nothing():
    data = locking_runs([30, 40, np.inf, 20, 70, 90])
    first = only(share(data))
    assert only(share(data.isel(run=[5, 3, 1, 0, 2, 4]))) == first
    assert only(share(data.assign_coords(step=STEPS * 7)))["low"] == first["low"]


def test_doubling_every_matrix_changes_no_interval(make_runs):
    data = make_runs({"opd": 6})
    doubled = xr.concat([data, data], dim="matrix")
    first, second = (locked_share(d, reference=20.0, margin=1.5) for d in (data, doubled))
    assert [r["low"] for r in first.rows()] == [r["low"] for r in second.rows()]


def test_runs_with_different_step_grids_are_each_bracketed_by_their_own():
    data = locking_runs([30, 30, 50])
    data.values[0, 1::2] = np.nan
    data.values[1, 0:6:2] = np.nan
    # Run 0 has 10, 30, 50, ...; run 1 has 20, 40, 60, ...: brackets (10, 30], (20, 40], (40, 50].
    rows = {row["step"]: row["n_locked"] for row in share(data, by=[30, 40, 50]).rows()}
    assert rows == {30: 1, 40: 2, 50: 3}


def test_identical_seeds_are_warned_of():
    data = locking_runs([30, 40])
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        share(data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "end"}, "is not known"),
        ({"by": []}, "names no steps"),
        ({"by": [np.nan]}, "names no steps"),
        ({"level": 95}, "Did you mean 0.95"),
        ({"persistence": 0}, "no share of training"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        share(locking_runs([30, 40]), **arguments)


def test_the_result_survives_json_and_prints():
    for result in (
        share(locking_runs([30, 40, 90], ["a", "a", "b"]), by="steps"),
        share(locking_runs([30, 40])),
    ):
        again = type(result).from_json(result.to_json())
        assert again.to_json() == result.to_json()
        xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
        assert result.to_latex()
        assert "runs locked" in result.sentence()
        assert len(result.to_frame()) == len(result.rows())
        assert repr(result)


def test_a_share_without_interval_claims_no_method():
    sentence = share(locking_runs([30])).sentence()
    assert "1 of 1 run locked (share 1.00, no interval) (within-run" in sentence
    assert "Clopper" not in sentence


def test_all_nan_is_undecided_and_says_so():
    row = only(share(locking_runs([30, 40]) * np.nan))
    assert (row["low"], row["high"], row["n_unknown"]) == (0, 1, 2)
    assert row["reason"] == "no run has a value here"


def test_steps_asked_for_twice_are_told_once_and_names_are_refused():
    assert [row["step"] for row in share(locking_runs([30, 40]), by=[50, 20, 50]).rows()] == [50, 20]
    with pytest.raises(SampleError, match="names no steps"):
        share(locking_runs([30, 40]), by=["end"])


def test_dask_backed_data_give_the_same():
    pytest.importorskip("dask.array")
    data = locking_runs([30, 40, np.inf, 20, 70, 90])
    assert share(data.chunk({"step": 3})).rows() == share(data).rows()
