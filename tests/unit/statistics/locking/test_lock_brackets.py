import math

import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, UndefinedWarning
from geostat.statistics import at_least, lock_brackets, locked_share

STEPS = [63, 127, 191, 255, 299]


def curve(values, steps=STEPS, **coords):
    return xr.DataArray(
        np.asarray(values, dtype=float),
        dims="step",
        coords={"step": steps} | coords,
        attrs={"units": "1"},
        name="m",
    )


def only(result):
    (row,) = result.rows()
    return row


def test_bracket_lies_between_the_last_outside_and_the_first_inside():
    row = only(lock_brackets(curve([9, 6, 5.1, 5.0, 4.9]), reference=5.0, margin=0.5, dim=None))
    assert (row["outcome"], row["last_out"], row["first_in"]) == ("bracket", 127, 191)


def test_a_curve_that_leaves_the_band_again_starts_anew():
    row = only(
        lock_brackets(curve([5, 5, 9, 5, 5], [10, 20, 30, 40, 100]), reference=5.0, margin=0.5, dim=None)
    )
    assert row["onset"] == "(30, 40]"


def test_a_curve_inside_from_the_start_is_left_censored():
    result = lock_brackets(curve([5.2, 5, 5, 5, 5]), reference=5.0, margin=0.5, dim=None)
    row = only(result)
    assert (row["outcome"], row["first_in"], row["onset"]) == ("left-censored", 63, "<= 63")
    assert math.isnan(row["last_out"])
    assert r"$\le 63$" in result.to_latex()


def test_a_constant_curve_is_left_censored_and_no_onset_found():
    row = only(lock_brackets(curve([3] * 5), reference="final", margin=0.1, dim=None))
    assert row["outcome"] == "left-censored"
    assert "constant" in row["reason"]


def test_a_margin_wider_than_the_range_is_said():
    row = only(lock_brackets(curve([1, 2, 3, 4, 5]), reference="final", margin=10, dim=None))
    assert row["outcome"] == "left-censored"
    assert "varies by no more than the margin" in row["reason"]


def test_a_curve_outside_at_the_end_never_locks():
    row = only(lock_brackets(curve([5, 5, 5, 5, 9]), reference=5.0, margin=0.5, dim=None))
    assert (row["outcome"], row["onset"]) == ("never", "never")
    assert "299" in row["reason"]


def test_the_last_checkpoint_outside_is_known_of_runs_without_an_onset_too():
    never = only(lock_brackets(curve([5, 5, 5, 5, 9]), reference=5.0, margin=0.5, dim=None))
    short = only(lock_brackets(curve([9, 9, 9, 5, 5]), reference=5.0, margin=0.5, dim=None))
    assert (never["last_out"], short["last_out"]) == (299, 191)
    assert math.isnan(never["first_in"])
    assert math.isnan(short["first_in"])


def test_a_stay_shorter_than_the_persistence_cannot_tell():
    # From 255 to 299 are 44 steps, less than 25% of 299; from 191 they are 108, more.
    short = only(lock_brackets(curve([9, 9, 9, 5, 5]), reference=5.0, margin=0.5, dim=None))
    enough = only(lock_brackets(curve([9, 9, 5, 5, 5]), reference=5.0, margin=0.5, dim=None))
    assert short["outcome"] == "too short to tell"
    assert enough["outcome"] == "bracket"


def test_persistence_refers_to_the_declared_length_of_training():
    data = curve([9, 9, 5, 5, 5])
    assert only(lock_brackets(data, reference=5.0, margin=0.5, dim=None, training_steps=1000))["outcome"] == (
        "too short to tell"
    )
    with_progress = data.assign_coords(progress=("step", np.array(STEPS) / 1000))
    row = only(lock_brackets(with_progress, reference=5.0, margin=0.5, dim=None))
    assert row["outcome"] == "too short to tell"
    assert row["training_steps"] == pytest.approx(1000)


def test_ends_of_the_band_belong_to_it():
    row = only(lock_brackets(curve([8, 5.5, 4.5, 5.5, 4.5]), reference=5.0, margin=0.5, dim=None))
    assert row["onset"] == "(63, 127]"


def test_a_threshold_is_one_sided():
    row = only(lock_brackets(curve([0.1, 0.4, 0.5, 0.9, 5.0]), reference=at_least(0.5), dim=None))
    assert row["onset"] == "(127, 191]"


def test_final_is_the_mean_of_the_last_tenth_which_is_not_tested():
    # The last 10% of 100 steps are 95 and 100, with mean 6; 90 is tested and inside.
    data = curve([0, 5.5, 6.5, 6, 4, 8], [10, 50, 80, 90, 95, 100])
    row = only(lock_brackets(data, reference="final", margin=1.0, dim=None))
    assert row["centre"] == pytest.approx(6.0)
    assert row["n_checkpoints"] == 4
    assert row["onset"] == "(10, 50]"


def test_one_checkpoint_cannot_tell():
    assert (
        only(lock_brackets(curve([5], [100]), reference=5.0, margin=1, dim=None))["outcome"]
        == "too short to tell"
    )
    row = only(lock_brackets(curve([5], [100]), reference="final", margin=1, dim=None))
    assert (row["outcome"], row["n_checkpoints"]) == ("too short to tell", 0)


def test_two_checkpoints_can_bracket():
    row = only(lock_brackets(curve([9, 5, 5], [10, 50, 100]), reference=5.0, margin=1, dim=None))
    assert row["onset"] == "(10, 50]"
    assert (
        only(lock_brackets(curve([5, 5], [10, 100]), reference=5.0, margin=1, dim=None))["onset"] == "<= 10"
    )


def test_a_step_without_value_is_no_checkpoint():
    row = only(lock_brackets(curve([9, np.nan, 5, 5, 5]), reference=5.0, margin=0.5, dim=None))
    assert (row["onset"], row["n_checkpoints"]) == ("(63, 191]", 4)


def test_steps_without_value_before_the_first_are_not_claimed_as_inside():
    values, steps = [np.nan, np.nan, 5, 5, 5], [10, 50, 100, 200, 300]
    result = lock_brackets(curve(values, steps), reference=5.0, margin=0.5, dim=None)
    row = only(result)
    assert (row["outcome"], row["onset"], row["n_undefined_before"]) == ("left-censored", "<= 100", 2)
    assert "first checkpoint with a value (step 100); the 2 earlier steps have none" in row["reason"]
    assert "already" not in row["reason"]
    assert row["reason"] in repr(result)
    assert "no value before step 100" in result.sentence()


def test_a_first_checkpoint_inside_is_told_without_a_note():
    result = lock_brackets(curve([5.2, 5, 5, 5, 5]), reference=5.0, margin=0.5, dim=None)
    assert "first checkpoint already" in only(result)["reason"]
    assert "no value" not in result.sentence()
    assert "[a]" not in repr(result)


def test_all_nan_is_undefined():
    row = only(lock_brackets(curve([np.nan] * 5), reference=5.0, margin=0.5, dim=None))
    assert row["outcome"] == "undefined"
    assert "no checkpoint" in row["reason"]


def test_infinite_values_are_outside():
    for band in ({"reference": 5.0, "margin": 1}, {"reference": at_least(1.0)}):
        with pytest.warns(GeostatWarning, match=r"1 value is infinite \(at step 63\).*never inside"):
            found = lock_brackets(curve([np.inf, 5, 5, 5, 5]), dim=None, **band)
        assert only(found)["onset"] == "(63, 127]"


def test_a_run_that_may_still_enter_in_time_is_not_said_never_to_lock():
    data = curve([9, 9, 9, 9, 9])
    ended, half = (
        only(lock_brackets(data, reference=5.0, margin=1, dim=None, training_steps=n)) for n in (398, 600)
    )
    assert (ended["outcome"], half["outcome"]) == ("never", "too short to tell")
    assert "training goes on to 600" in half["reason"]
    assert half["last_out"] == 299
    shares = [
        locked_share(xr.concat([data, data + 1], "run"), reference=5.0, margin=1, dim=None, training_steps=n)
        for n in (398, 600)
    ]
    assert [share.rows()[0]["n_unknown"] for share in shares] == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"training_steps": 40}, "has a value at step 299"),
        ({"training_steps": "all"}, "no length of training"),
        ({"training_steps": np.inf}, "no length of training"),
        ({"persistence": "a quarter"}, "no share of training"),
        ({"margin": "wide"}, "declares no band"),
        ({"margin": True}, "declares no band"),
        ({"reference": None}, "is no number"),
        ({"reference": [5.0]}, "is no number"),
    ],
)
def test_arguments_that_are_no_numbers_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        lock_brackets(
            curve([9, 6, 5.1, 5.0, 4.9]), **({"reference": 5.0, "margin": 0.5, "dim": None} | arguments)
        )


@pytest.mark.parametrize("steps", [list("abcde"), [np.nan, 63, 127, 191, 255]])
def test_steps_that_are_no_numbers_are_refused(steps):
    data = curve([9, 6, 5.1, 5.0, 4.9]).assign_coords(step=steps)
    with pytest.raises(SampleError, match="not numbers throughout"):
        lock_brackets(data, reference=5.0, margin=0.5, dim=None)


def test_unsorted_steps_are_sorted_and_repeated_ones_refused():
    data = curve([9, 6, 5.1, 5.0, 4.9])
    assert only(lock_brackets(data[::-1], reference=5.0, margin=0.5, dim=None))["onset"] == "(127, 191]"
    with pytest.raises(SampleError, match="more than once"):
        lock_brackets(data.isel(step=[0, 0, 1]), reference=5.0, margin=0.5, dim=None)


def test_each_run_has_its_own_step_grid_and_outcome(make_runs):
    data = make_runs({"opd": 2, "sft": 1}).astype(float)
    data.values[:] = 5.0
    data.values[0, :2] = 9.0
    data.values[1, 0] = 9.0
    data.values[1, 1] = np.nan
    result = lock_brackets(data, reference=5.0, margin=0.5)
    assert [(row["run"], row["recipe"], row["onset"]) for row in result.rows()] == [
        ("opd-0", "opd", "(127, 191]"),
        ("opd-1", "opd", "(63, 191]"),
        ("sft-0", "sft", "<= 63"),
    ]
    assert result.ci is None
    assert result.level is None
    assert result.scope == "descriptive"
    assert "no inference" in result.sentence()


def test_a_run_is_averaged_over_the_matrices_it_has_throughout(make_runs):
    data = make_runs({"opd": 1}, matrices=2)
    data.values[..., 0] = 5.0
    data.values[..., 1] = 100.0
    data.values[0, 0, 1] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 2 matrices"):
        row = only(lock_brackets(data, reference=5.0, margin=0.5))
    assert (row["outcome"], row["n_matrices"]) == ("left-censored", 1)


def test_affine_maps_with_the_margin_scaled_change_nothing(make_runs):
    data = make_runs({"opd": 4})
    mapped = (-3 * data + 2).assign_attrs(data.attrs)
    first = lock_brackets(data, reference=20.0, margin=1.0)
    second = lock_brackets(mapped, reference=-58.0, margin=3.0)
    assert [row["onset"] for row in first.rows()] == [row["onset"] for row in second.rows()]


def test_step_units_scale():
    data = curve([9, 6, 5.1, 5.0, 4.9])
    scaled = data.assign_coords(step=[10 * step for step in STEPS])
    assert only(lock_brackets(scaled, reference=5.0, margin=0.5, dim=None))["onset"] == "(1270, 1910]"


def test_a_dimension_of_the_metric_is_kept(make_runs):
    data = make_runs({"opd": 1}).isel(matrix=[0])
    sides = xr.concat([data * 0 + 5, data * 0 + 9], dim=xr.Variable("side", ["left", "right"]))
    result = lock_brackets(sides.assign_attrs(data.attrs), reference=5.0, margin=1.0)
    assert {row["side"]: row["outcome"] for row in result.rows()} == {
        "left": "left-censored",
        "right": "never",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": 5.0}, "declares no band"),
        ({"reference": 5.0, "margin": -1}, "declares no band"),
        ({"reference": "end", "margin": 1}, "is not known"),
        ({"reference": math.nan, "margin": 1}, "not finite"),
        ({"reference": at_least(1.0), "margin": 1}, "has no margin"),
        ({"reference": 5.0, "margin": 1, "persistence": 1.0}, "no share of training"),
        ({"reference": 5.0, "margin": 1, "training_steps": 0}, "no length of training"),
    ],
)
def test_a_band_that_is_not_declared_is_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        lock_brackets(curve([1] * 5), dim=None, **arguments)


def test_a_threshold_must_be_finite():
    with pytest.raises(SampleError, match="finite"):
        at_least(math.inf)


def test_data_without_steps_are_refused(make_runs):
    with pytest.raises(SampleError, match="no dimension step"):
        lock_brackets(make_runs({"opd": 2}).isel(step=0), reference=5.0, margin=1.0)


def test_a_metric_that_looks_at_its_own_end_is_warned_of():
    data = curve([0.2, 0.9, 0.95, 0.99, 1.0]).assign_attrs(diagnostic="similarity_to_end")
    with pytest.warns(GeostatWarning, match="random walk"):
        lock_brackets(data, reference=at_least(0.9), dim=None)
    capture = curve([0.0] * 5).assign_attrs(diagnostic="forward_capture")
    with pytest.warns(GeostatWarning, match="capture that is 0"):
        lock_brackets(capture, reference="final", margin=0.1, dim=None)


def test_dask_backed_data_are_read(make_runs):
    pytest.importorskip("dask.array")
    data = make_runs({"opd": 3})
    plain = lock_brackets(data, reference=20.0, margin=1.0)
    lazy = lock_brackets(data.chunk({"step": 2}), reference=20.0, margin=1.0)
    assert [row["onset"] for row in plain.rows()] == [row["onset"] for row in lazy.rows()]
