import math

import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from geostat.errors import SampleError, SmallSampleWarning
from geostat.statistics import ComparisonResult, MeanResult, compare, mean_ci
from geostat.statistics.means import sampling_error
from geostat.statistics.means.variances import (
    PRIOR_DF,
    difference_scale,
    mixture_quantile,
    mixture_tail,
    moderated_posterior,
)


def averages(data, recipe, step=-1):
    return data.isel(run=data["recipe"].values == recipe, step=step).mean("matrix").values


def pooled(samples):
    df = sum(len(sample) - 1 for sample in samples)
    return sum((len(sample) - 1) * sample.var(ddof=1) for sample in samples) / df, df


def test_pooled_variance_is_that_of_a_one_way_analysis(make_runs):
    data = make_runs({"opd": 3, "sft": 2, "rlvr": 5})
    samples = [averages(data, recipe) for recipe in ("opd", "sft", "rlvr")]
    variance, df = pooled(samples)
    rows = mean_ci(data.isel(step=-1), variance="pooled").rows()
    for sample, row in zip(samples, rows, strict=True):
        half = stats.t.ppf(0.975, df) * math.sqrt(variance / len(sample))
        assert (row["low"], row["high"]) == pytest.approx((sample.mean() - half, sample.mean() + half))
        assert row["df"] == df == 7
        assert row["seed_sd"] == pytest.approx(math.sqrt(variance))


def test_pooled_comparison_of_two_recipes_is_student(make_runs):
    data = make_runs({"opd": 3, "sft": 4}).isel(step=-1)
    run_means = data.values.mean(axis=1)
    expected = stats.ttest_ind(run_means[:3], run_means[3:])
    row = compare(data, "opd", "sft", variance="pooled").rows()[0]
    assert (row["p_value"], row["df"]) == pytest.approx((expected.pvalue, 5))
    assert row["low"] == pytest.approx(expected.confidence_interval().low)


def test_a_third_recipe_lends_its_variance_to_a_comparison(make_runs):
    data = make_runs({"opd": 3, "sft": 4, "rlvr": 6})
    samples = [averages(data, recipe) for recipe in ("opd", "sft", "rlvr")]
    variance, df = pooled(samples)
    error = math.sqrt(variance * (1 / 3 + 1 / 4))
    row = compare(data.isel(step=-1), "opd", "sft", variance="pooled").rows()[0]
    assert row["df"] == df
    assert row["high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.975, df) * error)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["estimate"]) / error, df))


@pytest.mark.parametrize("variance", ["pooled", "moderated"])
def test_earlier_runs_lend_their_variance_and_not_their_mean(make_runs, variance):
    now = make_runs({"opd": 2, "sft": 2})
    before = (make_runs({"opd": 6}, seed=5) + 100).assign_attrs(now.attrs)
    shared = mean_ci(now, variance=variance, earlier=before)
    np.testing.assert_allclose(shared.estimate, mean_ci(now).estimate)
    together = xr.concat([now, before.assign_coords(recipe=("run", ["before"] * 6))], dim="run")
    lent = mean_ci(together.assign_attrs(now.attrs), variance=variance)
    np.testing.assert_allclose(shared.low, lent.low.sel(recipe=["opd", "sft"]), rtol=1e-9)
    assert "earlier runs" in shared.method


def test_earlier_runs_count_only_where_they_have_the_cell(make_runs):
    now = make_runs({"opd": 2, "sft": 2})
    before = make_runs({"old": 4}, seed=5).isel(step=[2, 4])
    df = mean_ci(now, variance="pooled", earlier=before).quantity("df").sel(recipe="opd")
    assert df.values.tolist() == [2, 2, 5, 2, 5]


def test_one_recipe_shares_with_earlier_runs_alone(make_runs):
    now, before = make_runs({"opd": 2}), make_runs({"old": 4}, seed=5)
    assert mean_ci(now, variance="pooled", earlier=before).quantity("df").values.tolist() == [[4] * 5]


def test_a_single_run_borrows_nothing(make_runs):
    data = make_runs({"opd": 4, "rlvr": 1})
    for variance in ("pooled", "moderated"):
        found = mean_ci(data, variance=variance)
        assert bool(found.low.sel(recipe="rlvr").isnull().all())
        assert bool(found.low.sel(recipe="opd").notnull().all())
        assert compare(data, "opd", "rlvr", variance=variance).ci is None


@pytest.mark.parametrize("variance", ["pooled", "moderated"])
def test_identical_seeds_lend_nothing_and_get_nothing(make_runs, variance):
    data = make_runs({"opd": 2, "sft": 2, "rlvr": 2})
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match="identical"):
        found = mean_ci(data, variance=variance)
    alone = mean_ci(data.isel(run=slice(2, None)), variance=variance)
    assert bool(found.low.sel(recipe="opd").isnull().all())
    np.testing.assert_allclose(found.low.sel(recipe="sft"), alone.low.sel(recipe="sft"))


def test_what_is_declared_is_told(make_runs):
    data = make_runs({"opd": 2, "sft": 2})
    found = mean_ci(data, variance="pooled")
    assert found.method == "t-interval over runs with one seed variance pooled over opd, sft"
    assert any("share one seed variance" in text and "not tested" in text for text in found.assumptions)
    assert found.scope == "population of runs"
    assert found.settings["variance"] == "pooled"
    moderated = compare(data, "opd", "sft", variance="moderated")
    assert moderated.method == "t-interval over runs with seed variances moderated over opd, sft"
    assert any("on average over recipes" in text for text in moderated.assumptions)
    assert "pooled over opd, sft" in found.sentence()
    assert mean_ci(data).method == "t-interval over runs"
    assert "Welch" in compare(data, "opd", "sft").method


def test_sharing_that_cannot_be_is_refused(make_runs):
    data = make_runs({"opd": 3})
    two = make_runs({"opd": 2, "sft": 2})
    other = make_runs({"old": 2}).rename("entropy")
    for arguments, message in (
        ({"data": data, "variance": "pooled"}, "recipe 'opd' alone"),
        ({"data": data.drop_vars("recipe"), "variance": "moderated"}, "no coordinate `recipe`"),
        ({"data": two, "variance": "shared"}, "'own', 'pooled' or 'moderated'"),
        ({"data": two, "earlier": data}, "shares none"),
        ({"data": two, "variance": "pooled", "assumed_seed_sd": 1.0}, "nothing is left to share"),
        ({"data": two.isel(step=-1), "variance": "pooled", "earlier": data}, "Select one step"),
        (
            {"data": two, "variance": "pooled", "earlier": data.assign_coords(step=[1, 2, 3, 4, 5])},
            "steps or labels differ",
        ),
        (
            {"data": two.to_dataset(), "variance": "pooled", "earlier": other.to_dataset()},
            "hold no stable_rank",
        ),
    ):
        with pytest.raises(SampleError, match=message):
            mean_ci(**arguments)
    with pytest.raises(SampleError, match="differences by seed"):
        compare(two, "opd", "sft", paired=True, variance="pooled")


def test_an_assumed_standard_deviation_gives_one_run_a_normal_interval(make_runs):
    data = make_runs({"opd": 1, "sft": 4}).isel(step=-1)
    found = mean_ci(data, assumed_seed_sd=1.5, level=0.9)
    for row, runs in zip(found.rows(), (1, 4), strict=True):
        assert row["high"] - row["estimate"] == pytest.approx(stats.norm.ppf(0.95) * 1.5 / math.sqrt(runs))
        assert (row["df"], row["reason"]) == (math.inf, "")
    assert found.scope == "model-dependent"
    assert "normal interval over runs with an assumed standard deviation over seeds of 1.5" in found.method
    assert any("the data do not support it" in text for text in found.assumptions)
    row = compare(data, "sft", "opd", assumed_seed_sd=1.5).rows()[0]
    error = 1.5 * math.sqrt(1 + 1 / 4)
    assert row["high"] - row["low"] == pytest.approx(2 * stats.norm.ppf(0.975) * error)
    assert row["p_value"] == pytest.approx(2 * stats.norm.sf(abs(row["estimate"]) / error))


def test_an_assumed_standard_deviation_is_in_units_unless_a_scale_is_named(make_runs):
    data = make_runs({"opd": 1}, valid_min=1.0).isel(step=-1)
    plain = mean_ci(data, assumed_seed_sd=1.5).rows()[0]
    assert plain["high"] - plain["estimate"] == pytest.approx(1.5 * stats.norm.ppf(0.975))
    ratio = mean_ci(data, assumed_seed_sd=0.1, scale="log").rows()[0]
    assert ratio["high"] / ratio["estimate"] == pytest.approx(math.exp(0.1 * stats.norm.ppf(0.975)))


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, "1"])
def test_no_standard_deviation_is_refused(make_runs, wrong):
    with pytest.raises(SampleError, match="positive number"):
        mean_ci(make_runs({"opd": 1}), assumed_seed_sd=wrong)


def test_several_metrics_need_a_standard_deviation_each(make_runs):
    data = make_runs({"opd": 1})
    both = xr.Dataset({"x": data, "y": data})
    with pytest.raises(SampleError, match="own units"):
        mean_ci(both, assumed_seed_sd=1.0)
    with pytest.raises(SampleError, match="for y"):
        mean_ci(both, assumed_seed_sd={"x": 1.0})
    found = mean_ci(both, assumed_seed_sd={"x": 1.0, "y": 2.0})
    width = {name: float((found[name].high - found[name].low)[0, 0]) for name in ("x", "y")}
    assert width["y"] == pytest.approx(2 * width["x"])


@pytest.mark.parametrize("arguments", [{"variance": "moderated"}, {"assumed_seed_sd": 1.0}])
def test_results_survive_json(make_runs, arguments):
    data = make_runs({"opd": 2, "sft": 3})
    for result in (mean_ci(data, **arguments), compare(data, "opd", "sft", **arguments)):
        kind = MeanResult if isinstance(result, MeanResult) else ComparisonResult
        assert kind.from_json(result.to_json()).to_json() == result.to_json()
        assert "declared" in repr(result) or "assumed" in repr(result)


def joint(s2, df, prior_df, log_scale, sigma2):
    """Density of sigma_1^2 and of all sample variances given the prior, up to constants in s2."""
    scale = math.exp(log_scale)
    prior = stats.invgamma(prior_df / 2, scale=prior_df * scale / 2) if prior_df < math.inf else None

    def likelihood(value, degrees, variance):
        return stats.chi2.pdf(degrees * value / variance, degrees) * degrees / variance

    def marginal(value, degrees):
        if prior is None:
            return likelihood(value, degrees, scale)
        return stats.f.pdf(value / scale, degrees, prior_df) / scale

    rest = math.prod(marginal(v, d) for v, d in zip(s2[1:], df[1:], strict=True))
    if prior is None:
        return rest * marginal(s2[0], df[0])
    return rest * likelihood(s2[0], df[0], sigma2) * prior.pdf(sigma2)


def test_moderated_tail_is_the_integral_over_the_model():
    """Bayes' rule integrated by quadrature, with nothing of the implementation's algebra or grid."""
    s2, df, distance = np.array([0.4, 1.5, 3.0]), np.array([2.0, 1.0, 3.0]), 1.3
    above = whole = 0.0
    for prior_df in PRIOR_DF:
        for log_scale in np.linspace(-9, 9, 181):
            if prior_df == math.inf:
                mass = joint(s2, df, prior_df, log_scale, None)
                whole, above = whole + mass, above + mass * stats.norm.sf(distance / math.exp(log_scale / 2))
                continue
            grid = np.exp(np.linspace(-14, 14, 561))
            density = joint(s2, df, prior_df, log_scale, grid) * grid
            whole += integrate.trapezoid(density, np.log(grid))
            above += integrate.trapezoid(density * stats.norm.sf(distance / np.sqrt(grid)), np.log(grid))
    found = moderated_posterior(s2[:, None], df[:, None])
    parts = found.weight, np.sqrt(found.variance[:, 0]), found.df[:, 0]
    assert mixture_tail(np.array([distance]), *parts)[0] == pytest.approx(above / whole, rel=5e-3)
    half = mixture_quantile(0.95, *parts)
    assert mixture_tail(half, *parts)[0] == pytest.approx(0.025, rel=1e-9)


@pytest.mark.parametrize("df", [(2, 2), (3, 9), (5, 5), (9, 3)])
def test_a_difference_of_two_moderated_means_has_the_tails_of_two_t_variables(df):
    """Given a prior that says nothing: quantiles of the difference of two t variables, simulated."""
    rng = np.random.default_rng(0)
    both = [stats.t.rvs(d, size=400_000, random_state=rng) for d in df]
    simulated = np.quantile(np.abs(both[0] - both[1]), 0.95)
    found = _difference(np.array([1.0, 1.0]), np.array(df, dtype=np.float64))
    assert found == pytest.approx(simulated, rel=0.08)


def _difference(shares, df):
    scale, degrees = difference_scale(shares[None, :, None], df[None, :, None])
    one = np.ones((1, 1))
    return float(mixture_quantile(0.95, one, np.sqrt(scale), degrees)[0])


def test_one_variance_alone_gives_student_back():
    found = moderated_posterior(np.array([[2.0]]), np.array([[4.0]]))
    half = mixture_quantile(0.95, found.weight, np.sqrt(found.variance[:, 0]), found.df[:, 0])
    assert half[0] == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(2.0), rel=0.01)


def test_moderation_pulls_a_small_variance_up_and_a_large_one_down(make_runs):
    data = make_runs({"opd": 2, "sft": 2, "rlvr": 2}).isel(step=-1)
    own = mean_ci(data).quantity("seed_sd").values
    moderated = mean_ci(data, variance="moderated").quantity("seed_sd").values
    smallest, largest = own.argmin(), own.argmax()
    assert moderated[smallest] > own[smallest]
    assert own[largest] / own[smallest] > moderated[largest] / moderated[smallest]


def test_moderation_keeps_what_many_runs_say():
    """A recipe of 40 runs that varies ten times as much as the others is not pooled with them."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 10, 40), *(rng.normal(0, 1, 40) for _ in range(4))])
    labels = [recipe for recipe in "abcde" for _ in range(40)]
    data = xr.DataArray(
        values, dims="run", coords={"recipe": ("run", labels)}, attrs={"units": "1"}, name="x"
    )
    own, moderated = (mean_ci(data, dim=None, variance=v).quantity("seed_sd") for v in ("own", "moderated"))
    np.testing.assert_allclose(moderated, own, rtol=0.1)


def test_the_many_cells_of_a_curve_are_worked_through_in_parts(make_runs, monkeypatch):
    data = make_runs({"opd": 2, "sft": 3})
    whole = compare(data, "opd", "sft", variance="moderated")
    monkeypatch.setattr(sampling_error, "_CHUNK", 2)
    np.testing.assert_allclose(compare(data, "opd", "sft", variance="moderated").low, whole.low)
