import itertools
import math

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning
from geostat.statistics.doses.dose_contrasts import dose_contrasts, sequence
from geostat.statistics.doses.dose_response import DoseResponseResult, dose_response
from geostat.statistics.doses.dose_trend import trend_p_value, trend_statistic
from geostat.statistics.doses.isotonic import monotone_fit

DOSES = (1.0, 0.75, 0.5, 0.25, 0.05, 0.01, 0.0)


def runs(means, seeds=2, sd=0.1, doses=DOSES, seed=0, matrices=3, **coords):
    rng = np.random.default_rng(seed)
    dose = np.repeat(doses, seeds)
    values = np.repeat(means, seeds) + sd * rng.normal(size=dose.size)
    layers = np.linspace(-1, 1, matrices)
    return xr.DataArray(
        values[:, None] + layers,
        dims=("run", "matrix"),
        coords={"alpha": ("run", dose)} | {name: ("run", list(v)) for name, v in coords.items()},
        attrs={"units": "1", "long_name": "Stable rank"},
        name="stable_rank",
    )


STEP = (20.0, 20.1, 19.9, 20.2, 26.0, 26.5, 27.0)


def respond(data, **options):
    settings = {"reference": 1.0, "margin": 1.0, "variance": "pooled", "rng": 0, "n_resamples": 999}
    return dose_response(data, "alpha", **(settings | options))


def by_dose(result, quantity):
    return dict(
        zip(
            result.cells["stable_rank"]["alpha"].values.tolist(),
            result.quantity(quantity).values,
            strict=True,
        )
    )


def test_fit_is_the_isotonic_regression_weighted_by_runs():
    means = np.array([[3.0, 1.0, 2.0, np.nan, 5.0, 4.0]])
    weights = np.array([[1.0, 4.0, 2.0, 0.0, 3.0, 3.0]])
    fit, rising = monotone_fit(means, weights, "increasing")
    # By hand: 3 and 1 pool to (3 + 4 * 1) / 5, 5 and 4 to 4.5.
    np.testing.assert_allclose(fit[0], [1.4, 1.4, 2.0, np.nan, 4.5, 4.5])
    assert rising[0]
    falling, _ = monotone_fit(means, weights, "decreasing")
    assert (np.diff(falling[0][~np.isnan(falling[0])]) <= 0).all()


def test_fit_takes_the_direction_that_leaves_the_smaller_sum_of_squares():
    for means, rises in (((1.0, 3.0, 2.0), True), ((3.0, 1.0, 2.0), False)):
        fit, rising = monotone_fit(np.array([means]), np.ones((1, 3)), "both")
        expected = optimize.isotonic_regression(means, increasing=rises).x
        np.testing.assert_allclose(fit[0], expected)
        assert rising[0] == rises


def test_trend_counts_pairs_that_rise():
    values, doses = np.array([[1.0, 2.0, 2.0, 0.0]]), np.array([0.0, 0.0, 1.0, 2.0])
    # Against dose 0: 2 - 1 rises, 2 - 2 ties, 0 falls from both; and 0 falls from 2: 1 - 3.
    assert trend_statistic(values, doses)[0] == -2


def test_trend_p_value_is_that_of_all_permutations():
    values, doses = np.array([[1.0, 2.0, 4.0, 3.0, 6.0]]), np.array([0.0, 0.0, 1.0, 1.0, 2.0])
    observed = trend_statistic(values, doses)[0]
    every = [trend_statistic(values, np.array(p))[0] for p in itertools.permutations(doses)]
    exact = np.mean(np.array(every) >= observed)
    for direction, expected in (("increasing", exact), ("both", 2 * exact)):
        p, _ = trend_p_value(values, doses, direction, 20000, np.random.default_rng(0))
        assert p[0] == pytest.approx(expected, abs=4 * math.sqrt(exact / 20000))


def test_trend_is_blind_to_monotone_maps_and_p_is_never_zero():
    data = runs(np.linspace(1, 7, 7), sd=0.01)
    assert (
        respond(data).p_trend.item()
        == respond(np.exp(data).assign_attrs(data.attrs), dim="matrix").p_trend.item()
    )
    assert respond(data, direction="decreasing").p_trend.item() == pytest.approx(1 / 1000)
    assert respond(data, direction="increasing").p_trend.item() > 0.99


def test_welch_contrasts_agree_with_scipy():
    data = runs(STEP, seeds=4, sd=0.5)
    result = respond(data, variance="separate", level=0.9)
    values = data.mean("matrix").values.reshape(7, 4)
    for place, dose in list(enumerate(DOSES))[1:]:
        expected = stats.ttest_ind(values[place], values[0], equal_var=False)
        interval = expected.confidence_interval(0.9)
        assert by_dose(result, "difference")[dose] == pytest.approx(values[place].mean() - values[0].mean())
        assert by_dose(result, "low")[dose] == pytest.approx(interval.low)
        assert by_dose(result, "high")[dose] == pytest.approx(interval.high)
        one_sided = [
            stats.ttest_ind(values[place] + shift, values[0], equal_var=False, alternative=way).pvalue
            for shift, way in ((1.0, "greater"), (-1.0, "less"))
        ]
        assert by_dose(result, "p_equivalent")[dose] == pytest.approx(max(one_sided))


def test_pooled_contrasts_agree_with_least_squares():
    data = runs(STEP, seeds=2, sd=0.5)
    result = respond(data)
    values = data.mean("matrix").values.reshape(7, 2)
    df = 7
    s = math.sqrt(((values - values.mean(axis=1, keepdims=True)) ** 2).sum() / df)
    half = stats.t.ppf(0.975, df) * s * math.sqrt(1 / 2 + 1 / 2)
    for place, dose in list(enumerate(DOSES))[1:]:
        difference = values[place].mean() - values[0].mean()
        assert by_dose(result, "low")[dose] == pytest.approx(difference - half)
        assert by_dose(result, "df")[dose] == df


def test_threshold_is_bracketed_with_two_seeds_a_dose():
    result = respond(runs(STEP))
    assert result.last_equivalent.item() == 0.25
    assert result.cells["stable_rank"]["first_not_shown"].item() == 0.05
    assert (result.threshold_low.item(), result.threshold_high.item()) == (0.05, 0.25)
    assert by_dose(result, "verdict") == dict.fromkeys((0.75, 0.5, 0.25), "equivalent") | {
        1.0: "reference",
        0.05: "different",
        0.01: "different",
        0.0: "different",
    }
    for part in (
        "up to 0.25",
        "not shown from 0.05 on",
        "threshold lies in [0.05, 0.25)",
        "2 runs a dose",
        "95%",
    ):
        assert part in result.sentence()


def test_the_sequence_stops_at_the_first_failure():
    """A dose beyond a failure is not called equivalent, however close its mean."""
    result = respond(runs((20.0, 20.0, 24.0, 20.0, 20.0, 20.0, 20.0)))
    assert result.last_equivalent.item() == 0.75
    assert by_dose(result, "verdict")[0.25] == "not shown"
    assert by_dose(result, "p_equivalent")[0.25] < 1e-3
    assert result.threshold_low.item() == -math.inf
    flags, present = np.array([[True, False, True]]), np.ones((1, 3), bool)
    np.testing.assert_array_equal(sequence(flags, present), [[True, False, False]])
    np.testing.assert_array_equal(sequence(flags, np.array([[True, False, True]])), [[True, False, True]])


def test_no_threshold_within_the_doses_is_said():
    result = respond(runs([20.0] * 7))
    assert result.last_equivalent.item() == 0.0
    assert math.isnan(result.cells["stable_rank"]["first_not_shown"].item())
    assert (result.threshold_low.item(), result.threshold_high.item()) == (-math.inf, 0.0)
    assert "no threshold within the doses" in result.sentence()


def test_a_margin_that_is_too_small_for_the_seeds_shows_nothing():
    result = respond(runs([20.0] * 7, sd=1.0), margin=0.1)
    assert result.last_equivalent.item() == 1.0
    assert (result.threshold_low.item(), result.threshold_high.item()) == (-math.inf, 1.0)
    assert "is shown at no dose" in result.sentence()


def test_the_interval_of_the_threshold_asks_for_more_than_the_sequence():
    """Both of its ends must hold together: a dose shown at 5% but not at 2.5% does not end it."""
    data = xr.DataArray(
        [19.0, 21.0, 19.0, 21.0],
        dims="run",
        coords={"alpha": ("run", [1.0, 1.0, 0.5, 0.5])},
        attrs={"units": "1"},
        name="stable_rank",
    )
    error = math.sqrt(2.0)  # s^2 = 2 pooled over two doses, twice over two runs
    result = respond(data, dim=None, margin=error * stats.t.isf(0.035, 2))
    assert by_dose(result, "p_equivalent")[0.5] == pytest.approx(0.035)
    assert result.last_equivalent.item() == 0.5
    assert result.threshold_high.item() == 1.0


def test_the_reference_may_be_the_smallest_dose():
    data = runs(STEP)
    mirrored = data.assign_coords(alpha=1 - data["alpha"])
    result = respond(mirrored, reference=0.0)
    assert (result.threshold_low.item(), result.threshold_high.item()) == (0.75, 0.95)
    assert "(0.75, 0.95]" in result.sentence()


def test_permuting_runs_or_layers_changes_no_verdict():
    data = runs(STEP, sd=0.4)
    shuffled = data.isel(run=np.random.default_rng(1).permutation(14), matrix=[2, 0, 1])
    one, two = respond(data), respond(shuffled)
    np.testing.assert_allclose(one.low, two.low)
    np.testing.assert_array_equal(one.verdict.values, two.verdict.values)


def test_duplicating_every_layer_changes_nothing():
    data = runs(STEP, sd=0.4)
    np.testing.assert_allclose(respond(data).high, respond(xr.concat([data, data], dim="matrix")).high)


def test_affine_maps_with_the_margin_scaled_change_no_verdict():
    data = runs(STEP, sd=0.4)
    one, two = respond(data), respond((-3 * data + 5).assign_attrs(data.attrs), margin=3.0)
    np.testing.assert_array_equal(one.verdict.values, two.verdict.values)
    np.testing.assert_allclose(two.low, -3 * one.high)
    assert one.p_trend.item() == pytest.approx(two.p_trend.item(), abs=0.01)


def test_log_scale_takes_the_margin_as_a_ratio():
    data = runs(STEP).mean("matrix", keep_attrs=True)
    result = respond(data, dim=None, scale="log", margin=1.05)
    logs = respond(np.log(data).assign_attrs(data.attrs), dim=None, margin=math.log(1.05))
    np.testing.assert_allclose(result.low, np.exp(logs.low))
    np.testing.assert_array_equal(result.verdict.values, logs.verdict.values)
    assert "factor 1.05" in result.sentence()
    with pytest.raises(SampleError, match="a ratio above 1"):
        respond(data, dim=None, scale="log", margin=0.5)
    with pytest.raises(SampleError, match="sits on its end"):
        respond(data.where(data["run"] > 0, 0.0), dim=None, scale="log", margin=1.05)


def test_one_run_a_dose_has_no_test_and_says_what_to_do():
    result = respond(runs(STEP, seeds=1), variance="separate")
    assert result.ci is None
    assert set(by_dose(result, "verdict").values()) == {"reference", "no test"}
    assert "variance='pooled'" in result.rows()[0]["reason"]
    assert "no test against alpha = 1 is possible" in result.sentence()
    pooled = respond(runs(STEP, seeds=1))
    assert "one run at every dose" in pooled.rows()[0]["reason"]


def test_pooling_lends_a_single_run_the_others_variance():
    data = runs(STEP).isel(run=[0, 1, 2, *range(4, 14)])
    result = respond(data)
    assert by_dose(result, "verdict")[0.75] == "equivalent"
    assert by_dose(result, "df")[0.75] == 6
    assert by_dose(respond(data, variance="separate"), "verdict")[0.75] == "no test"


def test_a_missing_checkpoint_is_left_out_of_its_step_alone():
    data = xr.concat([runs(STEP), runs(STEP, seed=1)], dim=xr.Variable("step", [10, 20]))
    holed = data.assign_attrs(data.attrs).copy(deep=True)
    holed.loc[{"step": 10, "run": slice(2, 4)}] = np.nan
    one, two = respond(data), respond(holed)
    np.testing.assert_allclose(one.low.sel(step=20), two.low.sel(step=20))
    rows = {(row["step"], row["alpha"]): row for row in two.rows()}
    assert rows[10, 0.75]["verdict"] == "no value"
    assert rows[10, 0.5]["verdict"] == "equivalent"
    assert rows[20, 0.75]["verdict"] == "equivalent"


def test_identical_and_infinite_values_have_their_reasons():
    same = runs(STEP, sd=0.0)
    with pytest.warns(SmallSampleWarning, match="alpha = .* look like identical seeds"):
        result = respond(same)
    assert "identical values" in result.rows()[0]["reason"]
    data = runs(STEP)
    data.values[-1] = np.inf
    rows = {row["alpha"]: row for row in respond(data, variance="separate").rows()}
    assert "infinite" in rows[0.0]["reason"]
    assert rows[0.75]["verdict"] == "equivalent"


def test_infinite_contrasts_are_not_tested():
    values = np.array([[1.0, 2.0, np.inf, 3.0]])
    found = dose_contrasts(values, np.array([0, 0, 1, 1]), 0, "pooled")
    assert np.isnan(found.error).all()


def test_what_cannot_be_a_dose_response_is_refused():
    data = runs(STEP)
    for options, message in (
        ({"reference": 0.9}, "not among the doses"),
        ({"reference": 0.5}, "lies between"),
        ({"margin": -1.0}, "no margin"),
        ({"margin": math.nan}, "no margin"),
        ({"variance": "moderated"}, "variance"),
        ({"direction": "up"}, "direction"),
        ({"n_resamples": 10}, "n_resamples"),
        ({"level": 1.0}, "confidence level"),
    ):
        with pytest.raises(SampleError, match=message):
            respond(data, **options)
    with pytest.raises(SampleError, match="no coordinate along 'run'"):
        dose_response(data, "beta", reference=1.0, margin=1.0)
    with pytest.raises(SampleError, match="all runs have alpha = 1"):
        respond(data.isel(run=[0, 1]))
    with pytest.raises(SampleError, match="recipes"):
        respond(data.assign_coords(recipe=("run", list("ab") * 7)))
    with pytest.raises(SampleError, match="Declare one for each"):
        respond(xr.Dataset({"stable_rank": data, "other": data}))


def test_a_margin_is_declared_for_every_metric():
    both = xr.Dataset({"stable_rank": runs(STEP), "shift": runs(STEP) * 1e-6})
    both["shift"].attrs = {"units": "1"}
    result = respond(both, margin={"stable_rank": 1.0, "shift": 1e-6})
    np.testing.assert_array_equal(result.verdict["stable_rank"], result.verdict["shift"])
    assert result.threshold_low["shift"].item() == 0.05
    with pytest.raises(SampleError, match="Declare it"):
        respond(both, margin={"stable_rank": 1.0})


def test_a_dose_that_starts_from_other_weights_is_warned_of():
    with pytest.warns(GeostatWarning, match="start from different weights"):
        respond(runs(STEP, base=["w0"] * 12 + ["w1"] * 2))


def test_dask_backed_data_give_the_same():
    pytest.importorskip("dask.array")
    data = runs(STEP)
    np.testing.assert_allclose(respond(data).low, respond(data.chunk({"run": 3})).low)


@pytest.mark.parametrize("means", [STEP, [20.0] * 7])
def test_result_survives_json_and_prints(means):
    data = xr.concat([runs(means), runs(means, seed=1)], dim=xr.Variable("step", [10, 20]))
    result = respond(data)
    again = DoseResponseResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    assert again.to_latex() == result.to_latex()
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert len(result.to_frame()) == 14
    assert result.ci.sizes["ci_bound"] == 2
    assert result.fit.dims == ("step", "alpha")
    assert result.p_trend.dims == ("step",)


def test_a_trend_is_told_only_where_its_test_shows_one():
    flat = respond(runs([20.0] * 7, sd=1.0), margin=5.0)
    assert flat.rows()[0]["p_trend"] > 0.05
    assert "no trend with alpha is shown (Jonckheere p = " in flat.sentence()
    assert "falls with alpha" not in flat.sentence()
    assert "falls with alpha (Jonckheere p " in respond(runs(STEP)).sentence()


def test_no_bound_of_the_threshold_is_made_up_where_the_doses_give_none():
    unclear = respond(runs([20.0] * 7, sd=3.0))
    row = unclear.rows()[0]
    assert (row["threshold_low"], row["threshold_high"]) == (-math.inf, 1.0)
    assert "where the threshold lies is open" in unclear.sentence()
    assert "below 1" not in unclear.sentence()


def test_a_single_run_a_dose_is_told_in_the_singular():
    assert "(1 run a dose)" in respond(runs(STEP, seeds=1)).sentence()


def test_an_infinite_run_takes_the_pooled_error_from_every_dose_and_is_named_as_the_reason():
    data = runs(STEP)
    data.values[2, 0] = np.inf
    reasons = by_dose(respond(data), "reason")
    assert all("infinite" in str(reasons[dose]) for dose in (0.75, 0.5, 0.01))
    assert "identical" not in str(reasons[0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "1"}, "reference='1' is a str, no number"),
        ({"reference": None}, "reference=None is a NoneType"),
        ({"scale": "sqrt"}, "scale='sqrt' is not known"),
        ({"scale": "auto", "margin": 1.1}, "scale='auto' is not known, or not for a declared margin"),
        ({"margin": (-1, 1)}, "Pass one number above 0"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(SampleError, match=message):
        respond(runs(STEP), **options)


def test_options_may_be_numbers_of_numpy():
    plain = respond(runs(STEP))
    told = respond(runs(STEP), reference=np.float32(1), margin=np.float64(1), n_resamples=np.int64(999))
    assert told.to_json() == plain.to_json()
