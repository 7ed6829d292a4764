"""What `fit_changepoint` says of runs: labels, outcomes, warnings, and laws that its answer obeys."""

import math
import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from geostat.errors import GeostatWarning, SampleError, UndefinedWarning
from geostat.statistics.changepoints.break_dates import break_interval
from geostat.statistics.changepoints.changepoint import fit_changepoint
from geostat.statistics.changepoints.sup_f import sup_f_p_value


def curve(values, steps=None, **coords):
    values = np.asarray(values, dtype=float)
    return xr.DataArray(
        values,
        dims="step",
        coords={"step": 10 * np.arange(1, len(values) + 1) if steps is None else steps} | coords,
        attrs={"units": "degree", "long_name": "Largest angle"},
        name="angle",
    )


def shifted(count=40, at=15, shift=3.0, seed=0):
    rng = np.random.default_rng(seed)
    return curve(rng.normal(size=count) + shift * (np.arange(count) >= at))


def only(result):
    (row,) = result.rows()
    return row


def test_a_break_is_the_last_observation_before_the_change():
    row = only(fit_changepoint(shifted(at=15, shift=9.0), dim=None))
    assert (row["outcome"], row["observation"]) == ("change", 15)
    assert (row["estimate"], row["first_after"]) == (150, 160)
    assert row["low"] <= row["estimate"] <= row["high"]


@pytest.mark.parametrize("equal_variance", [True, False])
def test_numbers_are_those_of_plain_numpy(equal_variance):
    data = shifted()
    row = only(fit_changepoint(data, dim=None, min_segment=6, equal_variance=equal_variance))
    x = data.values

    def rss_at(k):
        return ((x[:k] - x[:k].mean()) ** 2).sum() + ((x[k:] - x[k:].mean()) ** 2).sum()

    k = min(range(6, 35), key=rss_at)
    rss, total = rss_at(k), ((x - x.mean()) ** 2).sum()
    assert row["observation"] == k
    assert (row["mean_before"], row["mean_after"]) == pytest.approx((x[:k].mean(), x[k:].mean()))
    assert row["shift"] == pytest.approx(x[k:].mean() - x[:k].mean())
    assert (row["rss"], row["rss_without"]) == pytest.approx((rss, total))
    assert row["sup_f"] == pytest.approx((total - rss) / (rss / 38))
    assert row["p_value"] == sup_f_p_value(row["sup_f"], 0.15, 38)
    e = np.concatenate([x[:k] - x[:k].mean(), x[k:] - x[k:].mean()])
    assert row["autocorrelation"] == pytest.approx((e[1:] * e[:-1]).sum() / (e**2).sum())
    sides = (rss / 38, rss / 38) if equal_variance else ((e[:k] ** 2).mean(), (e[k:] ** 2).mean())
    expected = break_interval(k, row["shift"], *sides, 0.95, 40)
    assert (row["observation_low"], row["observation_high"]) == expected
    assert (row["low"], row["high"]) == (10 * expected[0], 10 * expected[1])


def test_uneven_steps_are_dated_by_observation():
    data = shifted()
    steps = np.round(1000 * 1.1 ** np.arange(40))
    even, uneven = (
        only(fit_changepoint(data, dim=None)),
        only(fit_changepoint(data.assign_coords(step=steps), dim=None)),
    )
    assert uneven["observation"] == even["observation"]
    for end in ("estimate", "low", "high", "first_after"):
        assert uneven[end] == steps[int(even[end] / 10) - 1]


def test_units_and_origin_change_no_date():
    data = shifted(shift=1.5)
    plain = only(fit_changepoint(data, dim=None))
    other = only(fit_changepoint(data.copy(data=1e-5 * data.values - 3e-4), dim=None))
    for name in ("estimate", "low", "high", "outcome"):
        assert other[name] == plain[name]
    assert other["shift"] == pytest.approx(1e-5 * plain["shift"])
    assert other["sup_f"] == pytest.approx(plain["sup_f"])


def test_order_of_steps_changes_nothing():
    data = shifted()
    shuffled = data.isel(step=np.random.default_rng(1).permutation(40))
    assert only(fit_changepoint(shuffled, dim=None)) == only(fit_changepoint(data, dim=None))


def test_a_repeated_step_is_refused():
    data = shifted().assign_coords(step=[1, *range(1, 40)])
    with pytest.raises(SampleError, match="step 1 occurs more than once"):
        fit_changepoint(data, dim=None)


def test_each_run_is_dated_by_itself(make_runs):
    data = make_runs({"opd": 2, "sft": 1}, steps=range(5, 105, 5))
    data = data + xr.where(data["step"] > 40, 6.0, 0.0)
    data.attrs = {"units": "1"}
    data.name = "stable_rank"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        together = fit_changepoint(data)
        alone = [only(fit_changepoint(data.isel(run=[i]))) for i in range(3)]
    for row, single in zip(together.rows(), alone, strict=True):
        assert {k: v for k, v in row.items() if k != "n_matrices"} == {
            k: v for k, v in single.items() if k != "n_matrices"
        }
        assert row["estimate"] == 40
    assert [row["recipe"] for row in together.rows()] == ["opd", "opd", "sft"]
    assert {row["n_matrices"] for row in together.rows()} == {6}


def test_matrices_are_averaged_and_permuting_them_changes_nothing(make_runs):
    data = make_runs({"opd": 1}, steps=range(5, 105, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        row = only(fit_changepoint(data))
        again = only(fit_changepoint(data.isel(matrix=[3, 1, 5, 0, 2, 4])))
        mean = only(fit_changepoint(data.mean("matrix", keep_attrs=True), dim=None))
        doubled = only(fit_changepoint(data.isel(matrix=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])))
    for other in (again, mean, doubled):
        assert (row["low"], row["estimate"], row["high"]) == (other["low"], other["estimate"], other["high"])


def test_replicates_are_the_same_as_calls_one_by_one():
    rng = np.random.default_rng(2)
    many = xr.DataArray(
        rng.normal(size=(6, 30)) + 4 * (np.arange(30) > 12),
        dims=("replicate", "step"),
        attrs={"units": "1"},
        name="m",
    )
    together = fit_changepoint(many, dim=None)
    assert together.estimate.dims == ("run", "replicate")
    for i in range(6):
        alone = only(fit_changepoint(many.isel(replicate=i), dim=None))
        assert together.low.values[0, i] == alone["low"]
        assert together.high.values[0, i] == alone["high"]


def test_observations_are_counted_where_there_are_no_steps():
    assert only(fit_changepoint(shifted(at=15, shift=9.0).drop_vars("step"), dim=None))["estimate"] == 15


def test_dask_gives_the_same():
    pytest.importorskip("dask")
    data = shifted()
    assert fit_changepoint(data.chunk(step=7), dim=None).rows() == fit_changepoint(data, dim=None).rows()


def test_several_changes_run_along_a_dimension():
    levels = np.repeat([0.0, 5.0, 1.0], 20)
    data = curve(levels + np.random.default_rng(3).normal(size=60))
    result = fit_changepoint(data, dim=None, n_breaks=2)
    assert result.estimate.dims == ("run", "change")
    assert result.estimate.values.tolist() == [[200, 400]]
    assert (np.sign(result.quantity("shift").values) == [[1, -1]]).all()


@pytest.mark.parametrize("rule", ["bic", "lwz", "sequential"])
def test_rules_find_clear_changes_and_none_in_noise(rule):
    levels = np.repeat([0.0, 5.0, 1.0], 20)
    noise = np.random.default_rng(3).normal(size=60)
    clear = fit_changepoint(curve(levels + noise), dim=None, n_breaks=rule)
    assert clear.quantity("n_changes").values.tolist() == [[2, 2]]
    assert clear.estimate.values.tolist() == [[200, 400]]
    none = fit_changepoint(curve(noise), dim=None, n_breaks=rule)
    row = only(none)
    assert (row["outcome"], row["n_changes"]) == ("no change", 0)
    assert row["reason"].startswith("no change: ")
    assert none.ci is None
    assert math.isfinite(row["sup_f"])


def test_runs_with_different_numbers_of_changes_stand_side_by_side():
    noise = np.random.default_rng(3).normal(size=(2, 60))
    levels = np.stack([np.repeat([0.0, 5.0, 1.0], 20), np.zeros(60)])
    data = xr.DataArray(
        noise + levels, dims=("run", "step"), coords={"run": ["a", "b"]}, attrs={"units": "1"}, name="m"
    )
    result = fit_changepoint(data, dim=None, n_breaks="bic")
    assert result.quantity("n_changes").values.tolist() == [[2, 2], [0, 0]]
    assert result.sentence().count("mean shifted") == 2
    assert "no date in b (no change: BIC is least without one)" in result.sentence()


def test_no_more_changes_than_allowed():
    data = curve(np.repeat([0.0, 5.0, 1.0, 7.0], 15) + np.random.default_rng(4).normal(size=60))
    with pytest.warns(GeostatWarning, match="successive residuals"):
        assert fit_changepoint(data, dim=None, n_breaks="bic", max_breaks=1).rows()[0]["n_changes"] == 1


@pytest.mark.parametrize(
    ("values", "outcome", "sentence"),
    [
        (np.full(20, 3.0), "constant", "all 20 values are equal"),
        ([1.0], "too short", "one checkpoint: a change needs checkpoints on either side"),
        ([1.0, 2.0], "too short", "2 checkpoints: 2 segments of at least 2 need 4"),
        (np.full(20, np.nan), "undefined", "no checkpoint of this run has a value"),
        ([1.0, np.inf, 2, 3, 4, 5, 6, 7], "infinite", "the value at step 20 is infinite"),
    ],
)
def test_series_in_which_no_change_can_be_sought_say_why(values, outcome, sentence):
    result = fit_changepoint(curve(values), dim=None)
    row = only(result)
    assert row["outcome"] == outcome
    assert sentence in row["reason"]
    assert sentence in repr(result)
    assert result.ci is None
    assert math.isnan(row["estimate"])


def test_too_many_breaks_for_the_series_are_too_short_and_not_fewer():
    row = fit_changepoint(shifted(count=20), dim=None, n_breaks=3, min_segment=6).rows()[0]
    assert row["outcome"] == "too short"
    assert "20 checkpoints: 4 segments of at least 6 need 24" in row["reason"]


def test_missing_checkpoints_are_left_out_and_said():
    data = shifted()
    data[[3, 20]] = np.nan
    with pytest.warns(UndefinedWarning, match="2 steps within 1 of 1 curve have no value"):
        row = only(fit_changepoint(data, dim=None))
    rest = only(fit_changepoint(data.dropna("step"), dim=None))
    assert row["n_missing"] == 2
    assert row | {"n_missing": 0} == rest


def test_checkpoints_beyond_the_ends_of_a_run_are_not_missing():
    data = shifted()
    data[[0, 39]] = np.nan
    row = only(fit_changepoint(data, dim=None))
    assert (row["n_missing"], row["n_checkpoints"]) == (0, 38)


def test_a_step_without_noise_is_dated_without_interval():
    result = fit_changepoint(curve(np.repeat([0.1, 0.7], [8, 12])), dim=None)
    row = only(result)
    assert (row["outcome"], row["estimate"], row["p_value"]) == ("change", 80, 0.0)
    assert math.isnan(row["low"])
    assert "no error is left" in row["reason"]


def test_a_flat_side_has_no_variance_of_its_own():
    values = np.concatenate([np.ones(20), 9 + np.random.default_rng(5).normal(size=20)])
    apart = only(fit_changepoint(curve(values), dim=None, equal_variance=False))
    assert "the values before this change do not vary" in apart["reason"]
    assert math.isfinite(only(fit_changepoint(curve(values), dim=None))["low"])


def autoregression(count, rho, seed):
    return lfilter([1], [1, -rho], np.random.default_rng(seed).normal(size=count + 200))[200:]


def test_autocorrelated_errors_taken_for_independent_are_warned_of():
    data = curve(autoregression(80, 0.9, 1) + 3 * (np.arange(80) > 40))
    with pytest.warns(GeostatWarning, match=r"correlated, by up to 0\.\d+ .*Pass errors='hac'") as told:
        iid = fit_changepoint(data, dim=None)
    assert str(told[0].message) in iid.warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        hac = fit_changepoint(data, dim=None, errors="hac")
    assert not any("successive residuals" in text for text in hac.warnings)
    wide, narrow = only(hac), only(iid)
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]
    assert wide["sup_f"] < narrow["sup_f"]
    assert (wide["estimate"], wide["autocorrelation"]) == (narrow["estimate"], narrow["autocorrelation"])
    assert "independent" in iid.assumptions[0]
    assert "long-run variance" in hac.assumptions[0]
    assert "assumed: errors about the segment means are independent" in repr(iid)


@pytest.mark.parametrize("asked", [{"errors": "hac"}, {"n_breaks": "bic"}])
def test_series_too_short_for_a_long_run_variance_or_bic_are_warned_of(asked):
    """In independent noise without a change they report one far more often than in 5% of series."""
    noise = np.random.default_rng(5).normal(size=(300, 12))
    data = xr.DataArray(
        noise, dims=("run", "step"), coords={"step": range(12)}, attrs={"units": "1"}, name="noise"
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = fit_changepoint(data, dim=None, **({"n_breaks": "sequential"} | asked))
    assert (found.outcome == "change").any("change" if "change" in found.outcome.dims else []).mean() > 0.1
    assert any("fewer than 40 checkpoints" in str(warning.message) for warning in told)
    with pytest.warns(GeostatWarning, match="mends that from about 40 checkpoints on, not here"):
        plain = fit_changepoint(data, dim=None, n_breaks="sequential")
    assert (plain.outcome.isel(change=0) == "change").mean() < 0.07
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit_changepoint(shifted(), dim=None, **asked)
    assert not any("fewer than 40" in str(warning.message) for warning in told)


def test_a_change_that_sup_f_does_not_find_is_warned_of():
    data = curve(np.random.default_rng(3).normal(size=60))
    with pytest.warns(GeostatWarning, match="a change is dated because n_breaks=1 asks for it"):
        fit_changepoint(data, dim=None)


def test_criteria_are_not_made_robust_by_errors():
    with pytest.warns(GeostatWarning, match="BIC takes errors for independent"):
        fit_changepoint(shifted(), dim=None, n_breaks="bic", errors="hac")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_breaks": 0}, "n_breaks=0"),
        ({"n_breaks": "aic"}, "'bic', 'lwz' or 'sequential'"),
        ({"n_breaks": True}, "n_breaks=True"),
        ({"max_breaks": 0}, "max_breaks=0"),
        ({"min_segment": 0.5}, "min_segment=0.5"),
        ({"min_segment": 1}, "min_segment=1"),
        ({"errors": "ar"}, "'iid' or 'hac'"),
        ({"level": 95}, "Did you mean 0.95"),
        ({"dim": "step"}, "would average"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        fit_changepoint(shifted(), **({"dim": None} | arguments))


def test_data_without_numeric_steps_are_refused():
    with pytest.raises(SampleError, match="no dimension step"):
        fit_changepoint(shifted().isel(step=0), dim=None)
    with pytest.raises(SampleError, match="not numbers"):
        fit_changepoint(shifted().assign_coords(step=[f"s{i:02}" for i in range(40)]), dim=None)


@pytest.mark.parametrize("n_breaks", [1, 2, "bic"])
def test_result_survives_json_and_prints(n_breaks):
    data = xr.DataArray(
        np.random.default_rng(3).normal(size=(2, 60)) + np.repeat([0.0, 5.0, 1.0], 20),
        dims=("run", "step"),
        coords={"run": ["a", "b"], "recipe": ("run", ["opd", "sft"])},
        attrs={"units": "1", "long_name": "Stable rank"},
        name="stable_rank",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        result = fit_changepoint(data, dim=None, n_breaks=n_breaks)
    again = type(result).from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    assert again.to_latex() == result.to_latex()
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert len(result.to_frame()) == len(result.rows())
    assert result.scope == "within-run"
    for part in ("95%", "Bai (1997)", "each run by itself", "n = 60 checkpoints"):
        assert part in result.sentence()


def test_several_metrics_are_kept_apart():
    data = xr.Dataset({"a": shifted(), "b": shifted(at=25, seed=1)}).map(lambda x: x.assign_attrs(units="1"))
    result = fit_changepoint(data, dim=None)
    assert set(result.estimate) == {"a", "b"}
    assert result["b"].rows()[0]["estimate"] == pytest.approx(250, abs=20)
