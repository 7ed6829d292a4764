import cProfile
import math
import pstats
import warnings
from functools import partial

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics import at_least
from geostat.statistics.locking import verdict_beside
from geostat.statistics.locking.locking_onset import locking_onset

STEPS = np.array([63.0, 127, 191, 255, 299])
IN, OUT = 0.9, 0.1
LOCKS = [OUT, OUT, IN, IN, IN]
EARLY = [IN, IN, IN, IN, IN]
NEVER = [OUT, OUT, OUT, OUT, OUT]
LATE = [OUT, OUT, OUT, OUT, IN]


def captures(left, right, steps=STEPS, recipes=None, name="forward_capture", jitter=0.001):
    """Runs by their left and right captures, each a little different from the others."""
    values = np.stack([np.asarray(left, float), np.asarray(right, float)], axis=1)
    values = values + jitter * np.arange(len(values))[:, None, None]
    coords = {"step": steps, "side": ["left", "right"]}
    coords |= {} if recipes is None else {"recipe": ("run", list(recipes))}
    return xr.DataArray(values, dims=("run", "side", "step"), coords=coords, attrs={"units": "1"}, name=name)


def judged(left, right, **arguments):
    known = {key: arguments.pop(key) for key in ("steps", "recipes") if key in arguments}
    return locking_onset(captures(left, right, **known), **({"dim": None, "beside": ()} | arguments))


def only(result):
    (row,) = result.rows()
    return row


def test_a_run_locks_when_both_sides_stay_above_one_half():
    result = judged([LOCKS], [EARLY])
    row = only(result)
    assert (row["verdict"], row["onset"], row["last_out"], row["first_in"]) == (
        "locked",
        "(127, 191]",
        127,
        191,
    )
    assert result.scope == "within-run"
    assert row["recipe_locks"] is False
    assert "no claim on the recipe" in result.sentence()
    assert "within-run: exact brackets, nothing is inferred about other seeds" in result.sentence()


def test_the_bracket_is_the_later_of_both_sides():
    assert only(judged([[OUT, IN, IN, IN, IN]], [LOCKS]))["onset"] == "(127, 191]"


@pytest.mark.parametrize(("left", "right"), [(NEVER, EARLY), (NEVER, LOCKS), (EARLY, NEVER)])
def test_one_side_alone_is_not_told_apart_from_diffusion(left, right):
    row = only(judged([left], [right]))
    assert row["verdict"] == "not distinguishable from diffusion"
    assert row["onset"] == "--"
    assert "diffusion_capture" in row["reason"]
    assert row["n_one_side"] == 1


def test_the_right_side_alone_suffices_above_the_matched_diffusion_null():
    assert only(judged([NEVER], [LOCKS], diffusion_capture=0.8))["verdict"] == "locked"
    assert (
        only(judged([NEVER], [LOCKS], diffusion_capture=0.95))["verdict"]
        == "not distinguishable from diffusion"
    )
    null = xr.DataArray([0.8, 0.95, 0.8, 0.8, 0.8], dims="step", coords={"step": STEPS})
    assert only(judged([NEVER], [EARLY], diffusion_capture=null))["onset"] == "(127, 191]"
    assert only(judged([NEVER], [EARLY], diffusion_capture=null.values.tolist()))["onset"] == "(127, 191]"


def test_the_null_does_not_undo_a_lock_on_both_sides():
    assert only(judged([LOCKS], [LOCKS], diffusion_capture=0.99))["onset"] == "(127, 191]"


def test_a_side_that_was_not_measured_is_no_evidence():
    right = captures([LOCKS], [LOCKS]).sel(side="right")
    row = only(locking_onset(right, dim=None, beside=()))
    assert row["verdict"] == "not distinguishable from diffusion"
    assert (row["share_low"], row["n_locked"]) != (1, 1)
    assert only(locking_onset(right, dim=None, beside=(), diffusion_capture=0.8))["verdict"] == "locked"
    six = captures([LOCKS] * 6, [LOCKS] * 6).sel(side="right")
    row = only(locking_onset(six, dim=None, beside=()))
    assert (row["share_low"], row["share_high"], row["recipe_locks"]) == (0, 1, False)


def test_left_censored_is_at_most_the_first_checkpoint():
    result = judged([EARLY], [EARLY])
    row = only(result)
    assert (row["verdict"], row["onset"], row["last_out"]) == ("left-censored", "<= 63", -math.inf)
    assert r"$\le 63$" in result.to_latex()
    assert "save earlier checkpoints" in row["reason"]


def test_a_constant_series_is_no_onset_found():
    assert "1 of them constant" in only(judged([EARLY], [EARLY]))["reason"]
    assert "constant" not in only(judged([[0.8, IN, IN, IN, IN]], [EARLY]))["reason"]


def test_a_margin_larger_than_the_range_is_warned_of():
    rank = xr.DataArray(
        [[9, 6, 5.1, 5, 4.9], [8, 6, 5.1, 5, 4.9]], dims=("run", "step"), coords={"step": STEPS}
    )
    rank = rank.assign_attrs(units="1").rename("srank")
    with (
        pytest.warns(GeostatWarning, match="decaying learning rate"),
        pytest.warns(GeostatWarning, match="no curve varies by more than the margin 20"),
    ):
        locking_onset(rank, reference=5.0, margin=20, dim=None, beside=())


def test_a_metric_without_units_is_told():
    data = captures([LOCKS], [LOCKS])
    del data.attrs["units"]
    with pytest.warns(GeostatWarning, match="no `units` attribute"):
        assert only(locking_onset(data, dim=None, beside=()))["verdict"] == "locked"


def test_no_run_above_one_half_is_no_lock():
    assert only(judged([NEVER] * 2, [NEVER] * 2))["verdict"] == "no-lock"


def test_runs_that_disagree_or_are_too_short_are_undetermined():
    row = only(judged([LOCKS, NEVER], [LOCKS, NEVER]))
    assert row["verdict"] == "undetermined"
    assert "do not agree" in row["reason"]
    row = only(judged([LATE], [LATE]))
    assert row["verdict"] == "undetermined"
    assert "too short to tell" in row["reason"]


def test_a_run_that_leaves_the_band_at_the_end_is_told_and_in_bf16_left_open():
    left = [IN, IN, IN, IN, OUT]
    row = only(judged([left], [left]))
    assert row["verdict"] == "no-lock"
    assert "1 of them after staying in the band for long enough" in row["reason"]
    data = captures([left], [left]).assign_attrs(storage="bf16")
    assert only(locking_onset(data, dim=None, beside=()))["verdict"] == "undetermined"
    brief = [OUT, OUT, OUT, IN, OUT]
    row = only(locking_onset(captures([brief], [brief]).assign_attrs(storage="bf16"), dim=None, beside=()))
    assert row["verdict"] == "no-lock"
    assert "staying" not in row["reason"]
    # The steps in between have to be inside: two stays of less than a quarter are none.
    broken = [IN, IN, OUT, IN, OUT]
    assert "staying" not in only(judged([broken], [broken]))["reason"]


def test_the_hull_spans_the_brackets_of_all_runs():
    first = [OUT, IN, IN, IN, IN]
    assert only(judged([first, LOCKS], [first, LOCKS]))["onset"] == "(63, 191]"
    assert only(judged([EARLY, LOCKS], [EARLY, LOCKS]))["onset"] == "<= 191"
    assert only(judged([EARLY, LOCKS], [EARLY, LOCKS]))["verdict"] == "locked"


def test_six_runs_that_lock_make_a_claim_on_the_recipe_and_five_do_not():
    five, six = (judged([LOCKS] * n, [LOCKS] * n) for n in (5, 6))
    assert only(five)["recipe_locks"] is False
    assert only(six)["recipe_locks"] is True
    assert five.scope == "within-run"
    assert six.scope == "population of runs"
    exact = stats.binomtest(6, 6).proportion_ci(0.95, method="exact")
    assert only(six)["share_low"] == pytest.approx(exact.low)
    assert "more than half of the recipe's runs lock" in six.sentence()


def test_the_share_decides_where_single_runs_differ():
    most = [LOCKS] * 19 + [NEVER]
    row = only(judged(most, most))
    assert (row["verdict"], row["onset"], row["recipe_locks"]) == ("locked", "(127, 191]", True)
    few = [NEVER] * 19 + [LOCKS]
    assert only(judged(few, few))["verdict"] == "no-lock"


def test_the_median_onset_has_an_interval_from_six_runs():
    assert math.isnan(only(judged([LOCKS] * 5, [LOCKS] * 5))["median_low"])
    row = only(judged([LOCKS] * 6, [LOCKS] * 6))
    assert (row["median_low"], row["median_high"]) == (127, 191)


def test_recipes_have_one_row_each():
    rows = judged([LOCKS] * 2 + [NEVER], [LOCKS] * 2 + [NEVER], recipes=["opd", "opd", "sft"]).rows()
    assert [(row["recipe"], row["verdict"], row["n_runs"]) for row in rows] == [
        ("opd", "locked", 2),
        ("sft", "no-lock", 1),
    ]


def test_matrices_are_averaged_within_a_run_and_a_nan_matrix_is_left_out():
    data = xr.concat([captures([LOCKS], [LOCKS])] * 3, dim="matrix").transpose(
        "run", "step", "matrix", "side"
    )
    data = data.assign_attrs(units="1").rename("forward_capture").copy()
    assert only(locking_onset(data, beside=()))["onset"] == "(127, 191]"
    data[:, 0, 2] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 3 matrices"):
        assert only(locking_onset(data, beside=()))["n_matrices"] == 2


def test_doubling_every_matrix_changes_nothing():
    one = xr.concat([captures([LOCKS] * 6, [LOCKS] * 6)] * 2, dim="matrix")
    two = xr.concat([one, one], dim="matrix")
    first, second = (only(locking_onset(d, beside=("band_entry",))) for d in (one, two))
    assert first.pop("n_matrices") == 2
    assert second.pop("n_matrices") == 4
    assert str(first) == str(second)


def test_similarity_to_end_is_refused_unless_insisted_on():
    data = captures([LOCKS], [LOCKS]).isel(side=0, drop=True).rename("similarity_to_end")
    with pytest.raises(SampleError, match=r"random walk.*Use forward_capture"):
        locking_onset(data, reference=at_least(0.5), dim=None)
    with pytest.raises(SampleError, match="random walk"):
        locking_onset(data, dim=None)
    named = data.rename("x").assign_attrs(diagnostic="similarity_to_end")
    with pytest.raises(SampleError, match="random walk"):
        locking_onset(named, reference=at_least(0.5), dim=None)
    with pytest.warns(GeostatWarning, match="no evidence"):
        result = locking_onset(named, reference=at_least(0.5), dim=None, allow_self_reference=True, beside=())
    assert only(result)["verdict"] == "locked"
    assert result.settings["allow_self_reference"] is True
    assert any("no evidence" in text for text in result.warnings)


def test_a_capture_against_its_own_end_is_refused():
    with pytest.raises(SampleError, match="0 throughout"):
        judged([NEVER], [NEVER], reference="final", margin=0.1)


def test_another_metric_needs_a_declared_band_and_is_warned_of():
    rank = xr.DataArray(
        [9, 6, 5.1, 5, 4.9], dims="step", coords={"step": STEPS}, attrs={"units": "1"}, name="srank"
    )
    with pytest.raises(SampleError, match="has no band of its own"):
        locking_onset(rank, dim=None)
    with pytest.warns(GeostatWarning, match="decaying learning rate"):
        row = only(locking_onset(rank, reference=5.0, margin=0.5, dim=None, beside=()))
    assert (row["verdict"], row["onset"]) == ("locked", "(127, 191]")


def test_a_dataset_gives_its_forward_capture_and_the_size_of_the_update():
    capture = captures([LOCKS], [LOCKS])
    norm = xr.DataArray(
        [[1e-4, 2e-4, 3e-4, 4e-4, 5e-4]], dims=("run", "step"), coords={"step": STEPS}, attrs={"units": "1"}
    )
    data = xr.Dataset({"forward_capture": capture, "relative_update_norm": norm, "srank": norm})
    result = locking_onset(data.assign_attrs(protocol="p", protocol_hash="h"), dim=None, beside=())
    assert only(result)["update_size"] == pytest.approx(3e-4)
    assert "relative_update_norm" in repr(result)
    assert result.protocol == "p"
    with pytest.raises(SampleError, match="no forward_capture"):
        locking_onset(data.drop_vars("forward_capture"), dim=None)


def test_captures_of_a_handful_of_changed_entries_are_refused():
    capture = (
        captures([EARLY], [EARLY]).expand_dims(matrix=["W"]).assign_coords(n_params=("matrix", [10_000]))
    )
    unchanged = xr.DataArray(
        [[1 - 2e-3, 1 - 5e-3, 0.9, 0.8, 0.7]],
        dims=("run", "step"),
        coords={"step": STEPS},
        attrs={"units": "1"},
    ).expand_dims(matrix=["W"])
    data = xr.Dataset(
        {"forward_capture": capture, "update_sparsity": unchanged},
        attrs={"storage": "bf16", "protocol_settings": '{"K": 8}'},
    )
    with pytest.warns(UndefinedWarning, match="4 of 10 values rest on fewer than 10 changed entries"):
        row = only(locking_onset(data, beside=()))
    assert row["onset"] == "<= 191"
    assert only(locking_onset(data.assign_attrs(storage="fp32"), beside=()))["onset"] == "<= 63"


def test_one_checkpoint_and_two():
    row = only(judged([[IN]], [[IN]], steps=[100]))
    assert row["verdict"] == "undetermined"
    assert only(judged([[OUT, IN, IN]], [[OUT, IN, IN]], steps=[10, 50, 100]))["onset"] == "(10, 50]"
    assert only(judged([[IN, IN]], [[IN, IN]], steps=[10, 100]))["onset"] == "<= 10"


def test_all_nan_is_undetermined_and_says_so():
    row = only(judged([[np.nan] * 5], [LOCKS]))
    assert row["verdict"] == "undetermined"
    assert "without a value" in row["reason"]


def test_an_infinite_value_is_not_inside():
    for infinite in (-np.inf, np.inf):
        with pytest.warns(GeostatWarning, match="infinite is never inside"):
            row = only(judged([[infinite, IN, IN, IN, IN]], [EARLY]))
        assert row["onset"] == "(63, 127]"


def test_identical_seeds_are_warned_of():
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        locking_onset(captures([LOCKS] * 2, [LOCKS] * 2, jitter=0), dim=None, beside=())


def test_unsorted_steps_are_sorted_and_repeated_ones_refused():
    data = captures([LOCKS], [EARLY])
    assert only(locking_onset(data.isel(step=[4, 2, 0, 1, 3]), dim=None, beside=()))["onset"] == "(127, 191]"
    with pytest.raises(SampleError, match="more than once"):
        locking_onset(data.isel(step=[0, 0, 1]), dim=None)


def test_the_mean_trajectory_stands_beside_and_late_entries_are_said():
    rng = np.random.default_rng(0)
    steps = np.arange(10.0, 110, 10)
    # Runs that jump across one half now and then: no run stays, the mean does.
    values = np.where(rng.random((20, 10)) < 0.2, 0.45, 0.9)
    values[:, -1] = 0.45
    values[::2, -1] = 0.9
    data = captures(values, values, steps=steps)
    with pytest.warns(GeostatWarning, match="although the runs by themselves do not"):
        result = locking_onset(data, dim=None, beside=("band_entry",), persistence=0.2)
    row = only(result)
    assert row["verdict"] in ("no-lock", "undetermined") or not row["recipe_locks"]
    assert math.isfinite(row["entry_high"])
    assert "although the runs" in result.sentence()


def fake(monkeypatch, name, **quantities):
    """Stand in for a procedure that rests on a model."""

    class Answer:
        def __init__(self, data):
            self.cells = {str(data.name): xr.Dataset(quantities)}

    real = verdict_beside.importlib.import_module

    def imported(module):
        if module.endswith(f".{name}"):
            return type("module", (), {name: staticmethod(lambda data, **_: Answer(data))})
        if module.endswith((".fit_onset", ".onset_exists")):
            raise ImportError(module)
        return real(module)

    monkeypatch.setattr(verdict_beside.importlib, "import_module", imported)


def test_a_change_that_is_over_before_the_bracket_contradicts_it(monkeypatch):
    fake(monkeypatch, "fit_onset", estimate=100.0, low=63.0, high=127.0)
    with pytest.warns(
        GeostatWarning, match=r"is made in \(63, 127\] \(fit_onset\), before the runs' bracket"
    ):
        result = judged([LOCKS], [LOCKS], beside=("fit_onset", "onset_exists"))
    row = only(result)
    assert (row["fit_low"], row["fit_high"]) == (63, 127)
    assert math.isnan(row["existence_p"])
    assert "but 90% of the change is made in (63, 127]" in result.sentence()


@pytest.mark.parametrize("runs", [LOCKS, EARLY])
def test_a_change_that_goes_on_after_the_bracket_is_another_question(monkeypatch, runs):
    fake(monkeypatch, "fit_onset", estimate=280.0, low=255.0, high=299.0)
    sentence = judged([runs], [runs], beside=("fit_onset",)).sentence()
    assert "90% of the change is made in (255, 299] (fit_onset: a different question)" in sentence
    assert "but" not in sentence


def test_a_fit_that_agrees_is_told_without_warning(monkeypatch):
    fake(monkeypatch, "fit_onset", estimate=180.0, low=127.0, high=255.0)
    assert only(judged([LOCKS], [LOCKS], beside=("fit_onset",)))["fit_high"] == 255


def test_a_test_that_sees_no_onset_is_said(monkeypatch):
    fake(monkeypatch, "onset_exists", p_value=0.4)
    with pytest.warns(GeostatWarning, match="no change is distinguishable from noise"):
        judged([LOCKS], [LOCKS], beside=("onset_exists",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.5}, "no confidence level"),
        ({"persistence": 2}, "no share of training"),
        ({"beside": ("fit",)}, "is not known"),
        ({"beside": "fit_onset"}, "is not known"),
        ({"beside": None}, "is not known"),
        ({"windows": 1}, "no sequence of tests"),
        ({"persistence": "x"}, "no share of training"),
        ({"diffusion_capture": "x"}, "is no number"),
        ({"diffusion_capture": math.inf}, "not finite"),
        ({"diffusion_capture": [0.5, 0.6]}, "one for every step"),
        ({"diffusion_capture": math.nan}, "one for every step"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        judged([LOCKS], [LOCKS], **arguments)


def test_a_null_for_a_metric_without_sides_is_refused():
    rank = captures([LOCKS], [LOCKS], name="srank").isel(side=0, drop=True)
    with pytest.raises(SampleError, match="Leave it out"):
        locking_onset(rank, reference=0.9, margin=0.1, diffusion_capture=0.5, dim=None)


def test_a_band_around_a_capture_would_be_judged_side_by_side_and_is_refused():
    """Under anisotropic diffusion the right capture alone is near .8 throughout."""
    with pytest.raises(SampleError, match=r"on each side by itself.*at_least"):
        judged([NEVER], [[0.8] * 5], reference=0.8, margin=0.2)
    with pytest.raises(SampleError, match="would average the sides"):
        judged([NEVER], [LOCKS], dim="side")


def test_a_side_that_the_data_do_not_name_is_not_called_right():
    left = captures([LOCKS], [LOCKS]).isel(side=0, drop=True)
    result = locking_onset(left, dim=None, beside=())
    assert "do not say which" in result.sentence()
    named = locking_onset(captures([LOCKS], [LOCKS]).sel(side="left"), dim=None, beside=())
    assert "on the left side alone" in named.sentence()
    taken = locking_onset(left, dim=None, beside=(), diffusion_capture=0.8)
    assert "taken for the right one" in taken.sentence()


def test_a_mean_that_stays_above_on_one_side_contradicts_nothing():
    right = captures([LOCKS] * 5, [LOCKS] * 5).sel(side="right")
    row = only(locking_onset(right, dim=None, beside=("band_entry",)))
    assert row["n_one_side"] == 5
    assert row["entry_high"] == 191


def test_a_share_below_one_half_is_a_claim_on_the_recipe():
    result = judged([NEVER] * 6, [NEVER] * 6)
    assert "less than half of the recipe's runs lock" in result.sentence()
    assert "no claim" not in result.sentence()
    assert "no claim on the recipe: fewer than 6 runs" in judged([NEVER] * 5, [NEVER] * 5).sentence()


def test_a_change_that_is_not_shown_has_no_time(monkeypatch):
    fake(monkeypatch, "onset_exists", p_value=0.4)
    sentence = judged([EARLY], [EARLY], beside=("onset_exists",)).sentence()
    assert "no change is distinguishable from noise (onset_exists, p = 0.400)" in sentence


def test_what_is_no_labelled_array_is_refused():
    for data in ([0.5], None, 3):
        with pytest.raises(SampleError, match="Pass a measurement"):
            locking_onset(data)


def test_the_order_of_runs_changes_nothing_and_steps_scale():
    data = captures([LOCKS] * 5 + [EARLY], [LOCKS] * 5 + [EARLY])
    first = only(locking_onset(data, dim=None, beside=("band_entry",)))
    again = only(locking_onset(data.isel(run=[5, 1, 0, 3, 2, 4]), dim=None, beside=("band_entry",)))
    assert str(first) == str(again)
    scaled = only(locking_onset(data.assign_coords(step=10 * STEPS), dim=None, beside=("band_entry",)))
    assert scaled["first_in"] == 10 * first["first_in"]
    assert scaled["entry_high"] == 10 * first["entry_high"]


def test_every_procedure_answers_beside_the_verdict():
    rng = np.random.default_rng(0)
    steps = np.arange(1, 17) * 20.0
    curves = np.clip((steps - 100) / 40, 0, 1) * 0.8 + 0.02 * rng.standard_normal((6, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = locking_onset(captures(curves, curves, steps=steps), dim=None)
    row = only(result)
    assert row["onset"] == "(120, 140]"
    assert row["entry_low"] < 140 <= row["entry_high"]
    assert row["fit_low"] < 140 < row["fit_high"]
    assert row["existence_p"] < 0.01
    assert type(result).from_json(result.to_json()).to_json() == result.to_json()


def test_the_result_survives_json_and_prints():
    made = [
        judged([LOCKS] * 6, [LOCKS] * 6, beside=("band_entry",)),
        judged([EARLY, NEVER], [EARLY, EARLY], recipes=["opd", "sft"]),
        judged([[np.nan] * 5], [LOCKS]),
    ]
    for result in made:
        again = type(result).from_json(result.to_json())
        assert again.to_json() == result.to_json()
        xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
        assert result.to_latex()
        assert repr(result)
        assert result.sentence().endswith(".")
        assert len(result.to_frame()) == len(result.rows())


def test_dask_backed_data_give_the_same():
    pytest.importorskip("dask.array")
    data = captures([LOCKS] * 3, [LOCKS] * 3)
    lazy = locking_onset(data.chunk({"step": 2}), dim=None, beside=())
    assert str(lazy.rows()) == str(locking_onset(data, dim=None, beside=()).rows())


def test_work_grows_with_arrays_and_not_with_python_calls():
    """Five runs of 144 matrices and 300 checkpoints need as many calls as 12 matrices and 20 checkpoints."""
    rng = np.random.default_rng(0)
    steps = np.arange(1.0, 301)
    curve = 0.9 / (1 + np.exp(-(steps - 100) / 10))
    values = curve[:, None, None] + rng.normal(0, 0.02, (5, 300, 144, 2))
    data = xr.DataArray(
        values,
        dims=("run", "step", "matrix", "side"),
        coords={"step": steps, "side": ["left", "right"]},
        attrs={"units": "1"},
        name="forward_capture",
    )
    small = data.isel(step=slice(0, 20), matrix=slice(0, 12))
    locking_onset(small, beside=("band_entry",))
    few, many = (_calls(partial(locking_onset, each, beside=("band_entry",))) for each in (small, data))
    assert many < 1.5 * few


def _calls(work):
    profile = cProfile.Profile()
    profile.runcall(work)
    return pstats.Stats(profile).total_calls
