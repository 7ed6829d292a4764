import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics.sample_size.power import PowerResult, power
from geostat.statistics.sample_size.power_of_tests import (
    Contrast,
    confidence_of_median,
    power_of_comparison,
    power_of_equivalence,
    power_of_half_width,
    power_of_share,
)

DRAWS = 40000


def within_three_errors(hits, computed):
    return abs(np.mean(hits) - computed) <= 3 * math.sqrt(computed * (1 - computed) / len(hits))


def noncentral(shift, df, level):
    """Both tails; scipy gives NaN where a tail is too small for it."""
    critical = stats.t.ppf((1 + level) / 2, df)
    return np.nansum([stats.nct.sf(critical, df, sign * shift) for sign in (1, -1)], axis=0)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_power_of_t_tests_agrees_with_the_noncentral_t(n, level):
    effects = np.array([0.0, 0.3, 1.0, 3.0])
    pooled = power_of_comparison(effects, Contrast(n, "pooled"), level)
    np.testing.assert_allclose(pooled, noncentral(effects * math.sqrt(n / 2), 2 * n - 2, level), atol=1e-7)
    paired = power_of_comparison(effects, Contrast(n, "paired", 0.6), level)
    np.testing.assert_allclose(paired, noncentral(effects * math.sqrt(n / 0.8), n - 1, level), atol=1e-7)


@pytest.mark.parametrize("effect", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("n", [2, 5, 10])
def test_power_of_t_tests_agrees_with_statsmodels(n, effect):
    pooled = power_of_comparison(np.array(effect), Contrast(n, "pooled"), 0.95)
    assert pooled == pytest.approx(TTestIndPower().power(effect, n, 0.05), abs=1e-7)
    paired = power_of_comparison(np.array(effect), Contrast(n, "paired"), 0.95)
    assert paired == pytest.approx(TTestPower().power(effect / math.sqrt(2), n, 0.05), abs=1e-7)


@pytest.mark.parametrize(("n", "effect"), [(2, 4.0), (3, 2.0), (5, 1.5)])
def test_power_of_welch_agrees_with_simulation(n, effect):
    rng = np.random.default_rng(n)
    a, b = rng.normal(effect, 1, (DRAWS, n)), rng.normal(0, 1, (DRAWS, n))
    found = stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05
    assert within_three_errors(
        found, float(power_of_comparison(np.array(effect), Contrast(n, "welch"), 0.95))
    )


@pytest.mark.parametrize("design", ["welch", "pooled"])
@pytest.mark.parametrize(("n", "effect", "margin"), [(2, 0.0, 3.0), (3, 1.0, 3.0), (5, 2.0, 2.0)])
def test_power_of_equivalence_agrees_with_simulation(design, n, effect, margin):
    rng = np.random.default_rng(n)
    a, b = rng.normal(effect, 1, (DRAWS, n)), rng.normal(0, 1, (DRAWS, n))
    equal = design == "pooled"
    larger = stats.ttest_ind(a + margin, b, axis=1, equal_var=equal, alternative="greater").pvalue
    smaller = stats.ttest_ind(a - margin, b, axis=1, equal_var=equal, alternative="less").pvalue
    found = np.maximum(larger, smaller) <= 0.05
    computed = float(power_of_equivalence(np.array(effect), np.array(margin), Contrast(n, design), 0.95))
    assert within_three_errors(found, computed)


def test_equivalence_at_the_margin_is_shown_at_most_at_one_minus_level():
    for design in ("welch", "pooled", "paired"):
        for n in (2, 3, 10):
            for margin in (0.5, 2.0, 50.0):
                at = power_of_equivalence(np.array(margin), np.array(margin), Contrast(n, design), 0.95)
                assert at <= 0.05 + 1e-9


def test_power_of_a_half_width_agrees_with_simulation():
    values = np.random.default_rng(0).normal(size=(DRAWS, 4))
    half = stats.t.ppf(0.975, 3) * values.std(axis=1, ddof=1) / 2
    assert within_three_errors(half <= 1.5, float(power_of_half_width(np.array(1.5), 4, 0.95)))


def test_power_of_a_share_agrees_with_binomial_counts():
    def lower(hits, n):
        return stats.binomtest(hits, n).proportion_ci(0.95, method="exact").low

    for n in (3, 6, 12):
        enough = [k for k in range(n + 1) if lower(k, n) >= 0.5]
        expected = stats.binom.pmf(enough, n, 0.9).sum() if enough else 0.0
        assert power_of_share(0.9, 0.5, n, 0.95) == pytest.approx(expected)


def test_an_interval_for_the_median_exists_from_six_runs_on():
    assert [confidence_of_median(n) >= 0.95 for n in (4, 5, 6, 7)] == [False, False, True, True]
    result = power("median_onset", n_runs=range(2, 9))
    assert result.needed.item() == 6
    assert power("median_onset", level=0.9, n_runs=range(2, 9)).needed.item() == 5


def test_the_smallest_number_of_runs_reaches_the_target_and_the_one_before_does_not():
    result = power("compare", seed_sd=2.0, effect=5.0, design="pooled", target=0.9)
    needed = int(result.needed)
    assert TTestIndPower().power(2.5, needed, 0.05) >= 0.9 > TTestIndPower().power(2.5, needed - 1, 0.05)
    assert f"{needed} runs a recipe give a power of" in result.sentence()


def test_a_power_that_falls_again_is_not_enough_yet():
    """The bound of a share moves in jumps: 6 runs show one half better than 8 do."""
    result = power("locked_share", share=0.9, wanted_share=0.5, target=0.5, n_runs=range(2, 16))
    assert result.power.sel(runs=6) > 0.5 > result.power.sel(runs=8)
    assert result.needed.item() == 9


def test_a_target_that_no_number_reaches_is_said():
    result = power("mean_ci", seed_sd=2.0, half_width=0.1, n_runs=range(2, 6))
    assert math.isnan(result.needed.item())
    assert "no number of runs up to 5 is enough" in result.sentence()


def test_units_cancel():
    one = power("equivalence", seed_sd=1.0, margin=3.0, effect=0.5)
    other = power("equivalence", seed_sd=1e-6, margin=3e-6, effect=5e-7)
    np.testing.assert_allclose(one.power, other.power)


def pilot(make_runs, recipes):
    return make_runs(recipes).isel(step=[0, 1])


def test_a_pilots_deviation_is_pooled_within_recipes_and_its_uncertainty_is_propagated(make_runs):
    data = pilot(make_runs, {"opd": 2, "sft": 3, "rlvr": 1})
    data = data + xr.DataArray([0, 0, 50, 50, 50, 9], dims="run")  # recipes differ: that is no seed effect
    result = power(
        "compare", seed_sd=data.assign_attrs(units="1"), effect=3.0, design="pooled", n_runs=[2, 4]
    )
    values = data.values.mean(axis=2)[:, 0]
    square = sum(((group - group.mean()) ** 2).sum() for group in (values[:2], values[2:5]))
    sd = math.sqrt(square / 3)
    row = result.rows()[1]
    assert row["seed_sd"] == pytest.approx(sd)
    assert row["sd_df"] == 3
    assert row["sd_low"] == pytest.approx(sd * math.sqrt(3 / stats.chi2.ppf(0.975, 3)))
    assert row["sd_high"] == pytest.approx(sd * math.sqrt(3 / stats.chi2.ppf(0.025, 3)))
    for key, spread in (("power", sd), ("power_low", row["sd_high"]), ("power_high", row["sd_low"])):
        assert row[key] == pytest.approx(TTestIndPower().power(3 / spread, row["runs"], 0.05), abs=1e-6)
    assert result.power.dims == ("step", "runs")


def test_two_seeds_leave_the_deviation_open_by_a_factor_of_71(make_runs):
    result = power("compare", seed_sd=pilot(make_runs, {"opd": 2}), effect=3.0)
    row = result.rows()[0]
    assert row["sd_high"] / row["sd_low"] == pytest.approx(71.5, abs=0.1)
    for part in (
        "degrees of freedom leave it open",
        "95% interval",
        "at its upper end it takes more than 20 runs",
    ):
        assert part in result.sentence()


def test_a_pilot_of_one_run_a_recipe_gives_no_power(make_runs):
    result = power("compare", seed_sd=pilot(make_runs, {"opd": 1, "sft": 1}), effect=3.0)
    assert result.power.isnull().all()
    assert result.needed.isnull().all()
    assert "assumed seed_sd" in result.rows()[0]["reason"]
    assert "no power can be given" in result.sentence()


def test_an_assumed_deviation_is_called_assumed():
    result = power("equivalence", seed_sd=1.0, margin=3.0)
    assert "as assumed" in result.sentence()
    assert result.scope == "model-dependent"
    assert result.ci is None
    assert "seed SD assumed" in result.assumptions


def test_identical_and_infinite_pilots_have_their_reasons(make_runs):
    data = pilot(make_runs, {"opd": 2})
    same = data.copy(deep=True)
    same.values[1] = same.values[0]
    with pytest.warns(SmallSampleWarning, match="identical seeds"):
        told = power("mean_ci", seed_sd=same, half_width=1.0)
    assert "identical" in told.rows()[0]["reason"]
    data.values[0, 0, 0] = np.inf
    assert "infinite" in power("mean_ci", seed_sd=data, half_width=1.0).rows()[0]["reason"]


def test_what_is_wrong_with_a_pilot_is_said_as_for_a_mean(make_runs):
    data = pilot(make_runs, {"opd": 3})
    data.values[1] = data.values[0]
    with pytest.warns(SmallSampleWarning, match=r"opd-0, opd-1 look like identical seeds"):
        power("mean_ci", seed_sd=data, half_width=1.0)
    data = pilot(make_runs, {"opd": 3})
    data.values[0, ..., 0] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 6 matrices"):
        power("mean_ci", seed_sd=data, half_width=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": "2"}, "effect='2' is a str, no number"),
        ({"effect": 2.0, "target": None}, "target=None is a NoneType"),
        ({"effect": 2.0, "correlation": "0"}, "correlation='0' is a str"),
        ({"effect": 2.0, "n_runs": "23"}, "pass whole numbers"),
        ({"effect": 2.0, "margin": 1.0}, r"has no use for margin=1\.0.* It takes: effect"),
    ],
)
def test_arguments_that_are_no_numbers_or_of_no_use_are_refused(options, message):
    with pytest.raises(SampleError, match=message):
        power("compare", seed_sd=1.0, **options)


def test_equivalence_has_no_power_at_a_level_or_an_effect_that_is_none():
    with pytest.raises(SampleError, match=r"above 0\.5"):
        power("equivalence", seed_sd=1.0, margin=1.0, level=0.4)
    with pytest.raises(SampleError, match="needs effect="):
        power("equivalence", seed_sd=1.0, margin=1.0, effect=math.nan)
    with pytest.raises(SampleError, match="share='a'"):
        power("locked_share", wanted_share=0.5, share="a")


def test_numbers_may_be_numpy_s_and_one_number_of_runs_is_enough():
    plain = power("compare", seed_sd=2.0, effect=3.0, n_runs=[5])
    for runs in (5, np.int64(5), np.array([5])):
        told = power("compare", seed_sd=np.float32(2), effect=np.float64(3), n_runs=runs)
        assert told.power.item() == plain.power.item()
        assert PowerResult.from_json(told.to_json()).settings["seed_sd"] == 2.0


def test_a_pilot_without_units_is_noticed(make_runs):
    data = pilot(make_runs, {"opd": 2}).drop_attrs()
    with pytest.warns(GeostatWarning, match="units"):
        power("mean_ci", seed_sd=data, half_width=1.0)


@pytest.mark.parametrize(
    ("procedure", "options", "message"),
    [
        ("anova", {}, "not known"),
        ("compare", {"effect": 1.0}, "needs seed_sd"),
        ("compare", {"seed_sd": 1.0}, "needs effect="),
        ("compare", {"seed_sd": 1.0, "effect": 0.0}, "effect=0"),
        ("compare", {"seed_sd": -1.0, "effect": 1.0}, "no standard deviation"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "design": "anova"}, "design"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "correlation": 0.5}, "'paired' alone"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "n_runs": []}, "n_runs"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "n_runs": [2.5]}, "n_runs"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "target": 1.0}, "target"),
        ("compare", {"seed_sd": 1.0, "effect": 1.0, "level": 95}, "level"),
        ("equivalence", {"seed_sd": 1.0, "margin": -1.0}, "no margin"),
        ("mean_ci", {"seed_sd": 1.0, "half_width": 0.0}, "no width"),
        ("locked_share", {"wanted_share": 1.0}, "wanted_share"),
        ("locked_share", {"wanted_share": 0.5, "share": 0.0}, "no share"),
    ],
)
def test_what_cannot_be_planned_is_refused(procedure, options, message):
    with pytest.raises(SampleError, match=message):
        power(procedure, **options)


def test_result_survives_json_and_prints(make_runs):
    for result in (
        power("compare", seed_sd=pilot(make_runs, {"opd": 3, "sft": 2}), effect=3.0, n_runs=[2, 3]),
        power("equivalence", seed_sd=1.0, margin=2.0, n_runs=[2, 3]),
        power("locked_share", wanted_share=0.5),
        power("compare", seed_sd=pilot(make_runs, {"opd": 1}), effect=3.0),
    ):
        again = PowerResult.from_json(result.to_json())
        assert again.to_json() == result.to_json()
        assert repr(again) == repr(result)
        assert again.to_latex() == result.to_latex()
        xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
        assert len(result.to_frame()) == len(result.rows())
