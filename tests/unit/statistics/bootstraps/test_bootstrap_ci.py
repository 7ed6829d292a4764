import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning
from geostat.statistics.bootstraps.bootstrap import BootstrapResult, bootstrap_ci
from geostat.statistics.bootstraps.bootstrap_intervals import METHODS, bootstrap_interval
from geostat.statistics.bootstraps.bootstrap_scope import SMALLEST
from geostat.statistics.bootstraps.resampling import MEAN, MEDIAN, draw, from_callable, jackknife


def of(values, method, estimator=MEAN, *, level=0.95, n_resamples=999, seed=0, vectors=False):
    rng = np.random.default_rng(seed)
    units = np.asarray(values, dtype=float)[None]
    found = bootstrap_interval(
        units, estimator, method, level=level, n_resamples=n_resamples, rng=rng, vectors=vectors
    )
    return found.low[0], found.high[0]


def resampled(values, n_resamples=999, seed=0):
    """The same resamples one by one."""
    places = np.random.default_rng(seed).integers(
        0, len(values), size=(n_resamples, len(values)), dtype=np.intp
    )
    return [np.asarray(values)[place] for place in places]


SAMPLE = np.random.default_rng(5).gamma(2.0, size=12)


def test_percentile_ends_are_the_25th_and_975th_of_999():
    means = sorted(sample.mean() for sample in resampled(SAMPLE))
    assert of(SAMPLE, "percentile") == (pytest.approx(means[24]), pytest.approx(means[974]))


def test_basic_mirrors_the_percentile_ends_at_the_estimate():
    low, high = of(SAMPLE, "percentile")
    expected = pytest.approx(2 * SAMPLE.mean() - high), pytest.approx(2 * SAMPLE.mean() - low)
    assert of(SAMPLE, "basic") == expected


def test_bootstrap_t_agrees_with_a_loop_over_resamples():
    def error(sample):
        return np.std(sample, ddof=1) / math.sqrt(len(sample))

    pivots = sorted((s.mean() - SAMPLE.mean()) / error(s) for s in resampled(SAMPLE))
    low, high = of(SAMPLE, "bootstrap-t")
    assert low == pytest.approx(SAMPLE.mean() - pivots[974] * error(SAMPLE))
    assert high == pytest.approx(SAMPLE.mean() - pivots[24] * error(SAMPLE))


def test_bca_corrects_as_efron_wrote_it():
    means = np.sort([sample.mean() for sample in resampled(SAMPLE)])
    bias = stats.norm.ppf(np.mean(means < SAMPLE.mean()))
    left_out = np.array([np.delete(SAMPLE, i).mean() for i in range(len(SAMPLE))])
    pulls = left_out.mean() - left_out
    acceleration = (pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        ends.append(1000 * stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))))
    low, high = of(SAMPLE, "bca")
    assert low == pytest.approx(means[math.floor(ends[0]) - 1])
    assert high == pytest.approx(means[math.ceil(ends[1]) - 1])


@pytest.mark.parametrize(
    ("method", "name"), [("percentile", "percentile"), ("basic", "basic"), ("bca", "BCa")]
)
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_ends_agree_with_scipy_within_monte_carlo_error(method, name, statistic):
    expected = stats.bootstrap(
        (SAMPLE,), statistic, n_resamples=20000, method=name, rng=np.random.default_rng(1)
    ).confidence_interval
    found = of(SAMPLE, method, MEAN if statistic is np.mean else MEDIAN, n_resamples=19999)
    np.testing.assert_allclose(found, [expected.low, expected.high], atol=0.06 * SAMPLE.std())


@pytest.mark.parametrize("method", METHODS)
def test_cells_are_answered_as_if_each_were_alone(method):
    cells = np.random.default_rng(2).normal(size=(5, 12))
    together = bootstrap_interval(
        cells, MEAN, method, level=0.9, n_resamples=199, rng=np.random.default_rng(0)
    )
    alone = np.array([of(row, method, level=0.9, n_resamples=199) for row in cells])
    np.testing.assert_allclose(np.stack([together.low, together.high], axis=1), alone)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("estimator", [MEAN, MEDIAN, from_callable(lambda v, axis: v.std(axis=axis))])
def test_chunks_of_memory_change_nothing(method, estimator, monkeypatch):
    whole = of(SAMPLE, method, estimator, n_resamples=199)
    monkeypatch.setattr("geostat.statistics.bootstraps.resampling.HELD", 100)
    monkeypatch.setattr("geostat.statistics.bootstraps.bootstrap_intervals.HELD", 100)
    assert of(SAMPLE, method, estimator, n_resamples=199) == pytest.approx(whole)


@pytest.mark.parametrize("method", METHODS)
def test_affine_maps_carry_over(method):
    low, high = of(SAMPLE, method)
    assert of(3 * SAMPLE + 7, method) == (pytest.approx(3 * low + 7), pytest.approx(3 * high + 7))


def test_jackknife_error_of_a_mean_is_the_textbook_one():
    smooth = from_callable(lambda values, axis: values.mean(axis=axis))
    expected = SAMPLE.std(ddof=1) / math.sqrt(len(SAMPLE))
    assert smooth.standard_error(SAMPLE[None], -1)[0] == pytest.approx(expected)
    assert jackknife(MEAN.statistic, SAMPLE, -1)[3] == pytest.approx(np.delete(SAMPLE, 3).mean())


@pytest.mark.parametrize("n", [9, 10])
def test_error_of_a_median_is_close_to_the_bootstraps_own(n):
    medians = [np.median(s) for s in resampled(SAMPLE[:n], 20000)]
    assert MEDIAN.standard_error(SAMPLE[None, :n], -1)[0] == pytest.approx(np.std(medians), rel=0.08)


def test_a_unit_may_be_a_vector():
    pairs = np.random.default_rng(3).gamma(4.0, size=(10, 2))
    ratio = from_callable(lambda v, axis: v[..., 1].sum(axis=axis + 1) / v[..., 0].sum(axis=axis + 1))
    ratios = sorted(s[:, 1].sum() / s[:, 0].sum() for s in resampled(pairs))
    assert of(pairs, "percentile", ratio, vectors=True) == (
        pytest.approx(ratios[24]),
        pytest.approx(ratios[974]),
    )


def test_resamples_without_spread_lie_at_infinity():
    """Of 27 equally likely resamples of 3 runs 3 hold one run three times: more than 2.5% on each side."""
    low, high = of([1.0, 2.0, 4.0], "bootstrap-t", n_resamples=9999)
    assert (low, high) == (-math.inf, math.inf)
    assert all(map(math.isfinite, of([1.0, 2.0, 4.0, 4.5, 5.0], "bootstrap-t", n_resamples=9999)))


def test_many_equal_runs_unbound_one_end_and_say_so():
    values = np.stack([np.r_[np.full(11, 1.0), 0.2, 0.4, 0.6], np.arange(14.0)], axis=1)
    data = xr.DataArray(values, dims=("run", "step"), attrs={"units": "1"}, name="share")
    row, other = bootstrap_ci(data, dim=None, rng=0).rows()
    assert other["reason"] == ""
    assert row["low"] == -math.inf
    assert math.isfinite(row["high"])
    assert "hold equal values only" in row["reason"]
    assert row["degenerate"] == pytest.approx((11 / 14) ** 14, abs=0.01)


def test_too_few_resamples_for_the_level_are_refused():
    with pytest.raises(SampleError, match="39 are the fewest"):
        of(SAMPLE, "percentile", n_resamples=38)
    assert of(SAMPLE, "percentile", n_resamples=39) == (
        pytest.approx(min(s.mean() for s in resampled(SAMPLE, 39))),
        pytest.approx(max(s.mean() for s in resampled(SAMPLE, 39))),
    )


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_refused_below_its_number_of_runs(make_runs, method):
    smallest = SMALLEST[method]
    data = make_runs({"few": smallest - 1, "enough": smallest})
    result = bootstrap_ci(data, method=method, n_resamples=199, rng=0)
    few, enough = (result.low.sel(recipe=recipe) for recipe in ("few", "enough"))
    assert few.isnull().all()
    assert enough.notnull().all()
    assert result.estimate.notnull().all()
    reason = result.rows()[0]["reason"]
    for part in (f"{smallest - 1} runs", f"from {smallest} runs on", "allow_undercoverage=True", "mean_ci"):
        assert part in reason


def test_intervals_that_undercover_are_given_on_request_and_say_what_they_are_worth(make_runs):
    data = make_runs({"opd": 3})
    with pytest.warns(SmallSampleWarning, match=r"covered 0\.75"):
        result = bootstrap_ci(data, method="percentile", rng=0, allow_undercoverage=True, n_resamples=199)
    assert result.low.notnull().all()
    assert result.settings["allow_undercoverage"]
    assert result.settings["undercovers"]
    assert "0.75" in result.warnings[0]
    assert "fewer units than the method is offered for" in result.sentence()


def test_estimates_are_means_of_runs_over_matrices(make_runs):
    data = make_runs({"opd": 6, "sft": 5})
    result = bootstrap_ci(data, rng=0, n_resamples=199)
    for recipe in ("opd", "sft"):
        expected = data.isel(run=(data["recipe"] == recipe).values).mean(("run", "matrix"))
        np.testing.assert_allclose(result.estimate.sel(recipe=recipe), expected)
    runs = data.values[:6, 0].mean(axis=1)
    low, high = of(runs, "bootstrap-t", n_resamples=199)
    cell = {"recipe": "opd", "step": 63}
    assert result.low.sel(cell).item() == pytest.approx(low)
    assert result.high.sel(cell).item() == pytest.approx(high)


def test_duplicating_every_layer_changes_no_interval(make_runs):
    data = make_runs({"opd": 6})
    one, two = (
        bootstrap_ci(d, rng=0, n_resamples=199) for d in (data, xr.concat([data, data], dim="matrix"))
    )
    np.testing.assert_allclose(one.low, two.low)
    np.testing.assert_allclose(one.high, two.high)


def test_a_run_without_checkpoint_is_left_out_of_its_cell_alone(make_runs):
    data = make_runs({"opd": 7})
    holed = data.copy(deep=True)
    holed.values[2, 1] = np.nan
    found = bootstrap_ci(holed, rng=0, n_resamples=199)
    np.testing.assert_array_equal(found.quantity("n_runs").isel(recipe=0), [7, 6, 7, 7, 7])
    without = bootstrap_ci(data.isel(run=[0, 1, 3, 4, 5, 6]), rng=0, n_resamples=199)
    whole = bootstrap_ci(data, rng=0, n_resamples=199)
    np.testing.assert_allclose(found.low.isel(step=1), without.low.isel(step=1))
    np.testing.assert_allclose(found.low.isel(step=[0, 2, 3, 4]), whole.low.isel(step=[0, 2, 3, 4]))


def test_the_seed_makes_the_answer_again(make_runs):
    data = make_runs({"opd": 6})
    first = bootstrap_ci(data, n_resamples=199)
    again = bootstrap_ci(data, n_resamples=199, rng=first.seed)
    np.testing.assert_array_equal(first.low, again.low)
    assert f"seed {first.seed}" in first.sentence()
    assert (bootstrap_ci(data, n_resamples=199, rng=first.seed + 1).low != first.low).any()


def test_clusters_are_the_units_where_they_vary(make_runs):
    data = make_runs({"opd": 15}).isel(step=0, drop=True)
    base = np.repeat(list("uvwxyz"), [1, 2, 3, 4, 3, 2])
    result = bootstrap_ci(data.assign_coords(base=("run", base)), cluster="base", rng=0, n_resamples=199)
    runs = data.values.mean(axis=1)
    clusters = [runs[base == name].mean() for name in "uvwxyz"]
    low, high = of(clusters, "bootstrap-t", n_resamples=199)
    row = result.rows()[0]
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (row["n_runs"], row["n_units"], row["unit"]) == (15, 6, "clusters")
    assert row["estimate"] == pytest.approx(np.mean(clusters))
    assert "over clusters (one per base)" in result.estimand


def test_with_one_cluster_runs_are_the_units_and_the_answer_is_of_it_alone(make_runs):
    data = make_runs({"opd": 6}).assign_coords(base=("run", ["w0"] * 6))
    with pytest.warns(GeostatWarning, match="speaks of that base alone"):
        result = bootstrap_ci(data, cluster="base", rng=0, n_resamples=199)
    assert result.rows()[0]["unit"] == "runs"
    np.testing.assert_array_equal(result.low, bootstrap_ci(data, rng=0, n_resamples=199).low)


def test_four_clusters_of_many_runs_are_too_few(make_runs):
    data = make_runs({"opd": 20}).assign_coords(base=("run", list("uvwx") * 5))
    result = bootstrap_ci(data, cluster="base", rng=0, n_resamples=199)
    assert result.ci is None
    assert "4 clusters" in result.rows()[0]["reason"]


def test_one_run_identical_runs_and_infinite_runs_have_their_reasons(make_runs):
    assert "one run" in bootstrap_ci(make_runs({"opd": 1}), rng=0).rows()[0]["reason"]
    same = make_runs({"opd": 6}).isel(step=[0])
    constant = same.copy(data=np.full(same.shape, 0.1))
    constant.values[0, 0, 0] += 1e-3
    constant = constant.mean("matrix", keep_attrs=True)
    constant.values[:] = 0.1
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        assert "identical values" in bootstrap_ci(constant, dim=None, rng=0).rows()[0]["reason"]
    same.values[0, 0, 0] = np.inf
    assert "infinite" in bootstrap_ci(same, rng=0).rows()[0]["reason"]
    assert "no run has a value" in bootstrap_ci(same.where(False), rng=0).rows()[0]["reason"]


def test_a_statistic_that_is_undefined_in_some_resamples_gives_a_reason(make_runs):
    data = make_runs({"opd": 12}).isel(step=0)

    def ratio(values, axis):
        spread = values.max(axis=axis) - values.min(axis=axis)
        return np.where(spread > 2.0, spread, np.nan)

    row = bootstrap_ci(data, statistic=ratio, method="percentile", rng=0, n_resamples=199).rows()[0]
    assert math.isnan(row["low"])
    assert "no finite value in" in row["reason"]


def test_a_statistic_of_the_wrong_shape_is_refused(make_runs):
    with pytest.raises(SampleError, match="reduce that axis"):
        bootstrap_ci(make_runs({"opd": 6}), statistic=lambda v, axis: v, rng=0)
    for option in ({"statistic": "mode"}, {"method": "BCA"}, {"cluster": "base"}, {"level": 95}, {"rng": -1}):
        with pytest.raises(SampleError):
            bootstrap_ci(make_runs({"opd": 6}), **option)


def test_dask_backed_data_give_the_same(make_runs):
    pytest.importorskip("dask.array")
    data = make_runs({"opd": 6})
    lazy, eager = (bootstrap_ci(d, rng=0, n_resamples=199) for d in (data.chunk({"matrix": 2}), data))
    np.testing.assert_allclose(lazy.low, eager.low)


@pytest.mark.parametrize("method", METHODS)
def test_result_survives_json_and_prints(make_runs, method):
    data = make_runs({"opd": 10, "sft": 4})
    result = bootstrap_ci(data, method=method, rng=0, n_resamples=199)
    again = BootstrapResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    assert again.to_latex() == result.to_latex()
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert len(result.to_frame()) == 10
    for part in ("95%", "199 resamples", "n = 10 runs", "n = 4 runs, no interval", "seed 0"):
        assert part in result.sentence()


def test_draws_hold_as_many_units_as_the_sample():
    places = draw(7, 50, np.random.default_rng(0)).places
    assert places.shape == (50, 7)
    assert set(np.unique(places)) == set(range(7))


def test_a_statistic_without_value_is_not_blamed_on_the_runs(make_runs):
    def nothing(values, axis):
        return values.mean(axis) * np.nan

    told = bootstrap_ci(make_runs({"opd": 6}), statistic=nothing, n_resamples=99, rng=0).sentence()
    assert "nothing Stable rank of an update is undefined" in told
    assert "no value in any run" not in told
