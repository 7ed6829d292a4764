import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics import compare
from geostat.statistics.means.equivalence import EquivalenceResult, equivalence


def one_value_a_run(recipes, units="1", name="stable_rank"):
    values = [value for own in recipes.values() for value in own]
    labels = [recipe for recipe, own in recipes.items() for _ in own]
    seeds = [i for own in recipes.values() for i in range(len(own))]
    return xr.DataArray(
        values,
        dims="run",
        coords={"recipe": ("run", labels), "seed": ("run", seeds)},
        attrs={"units": units},
        name=name,
    )


def with_a_far_run(data):
    """A recipe that nobody asks for, so that the margin is no wider than all there is."""
    far = data.isel(run=[0]) + 1000.0
    return xr.concat([data, far.assign_coords(recipe=("run", ["far"]))], dim="run").assign_attrs(data.attrs)


A, B = [20.0, 21.5, 19.0, 20.6], [20.4, 19.8, 22.0, 21.0]
DATA = one_value_a_run({"a": A, "b": B})
WIDE = with_a_far_run(DATA)


@pytest.mark.parametrize("variance", ["own", "pooled"])
def test_two_samples_agree_with_statsmodels(variance):
    p, lower, upper = ttost_ind(A, B, -2.5, 2.0, usevar="unequal" if variance == "own" else "pooled")
    row = equivalence(DATA, "a", "b", margin=(-2.5, 2.0), variance=variance, dim=None).rows()[0]
    assert row["p_value"] == pytest.approx(p)
    assert (row["t_lower"], row["p_lower"], row["df"]) == pytest.approx(lower)
    assert (row["t_upper"], row["p_upper"]) == pytest.approx(upper[:2])


def test_paired_runs_agree_with_statsmodels_and_are_matched_by_seed():
    p, lower, upper = ttost_paired(np.array(A), np.array(B), -2.5, 2.0)
    shuffled = DATA.isel(run=[2, 7, 0, 5, 3, 4, 1, 6])
    row = equivalence(shuffled, "a", "b", margin=(-2.5, 2.0), paired=True, dim=None).rows()[0]
    assert row["p_value"] == pytest.approx(p)
    assert (row["t_lower"], row["t_upper"]) == pytest.approx((lower[0], upper[0]))
    assert row["df"] == 3


def test_one_recipe_against_a_number_agrees_with_scipy():
    row = equivalence(DATA, "a", reference=20.0, margin=2.0, dim=None).rows()[0]
    assert row["p_lower"] == pytest.approx(stats.ttest_1samp(A, 18.0, alternative="greater").pvalue)
    assert row["p_upper"] == pytest.approx(stats.ttest_1samp(A, 22.0, alternative="less").pvalue)
    assert (row["mean_b"], row["n_b"]) == (20.0, 0)
    alone = DATA.isel(run=slice(0, 4)).drop_vars("recipe")
    assert equivalence(alone, reference=20.0, margin=2.0, dim=None).rows()[0]["p_value"] == row["p_value"]


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_the_interval_and_the_p_value_decide_alike(level):
    for margin in np.linspace(0.3, 6.0, 15):
        row = equivalence(WIDE, "a", "b", margin=float(margin), level=level, dim=None).rows()[0]
        inside = row["margin_low"] < row["low"] and row["high"] < row["margin_high"]
        assert (row["outcome"] == "equivalent") == inside == (row["p_value"] <= 1 - level)
        assert row["equivalent"] == inside


def test_the_interval_is_that_of_compare_at_twice_the_level_minus_one():
    found = equivalence(DATA, "a", "b", margin=1.0, level=0.95, dim=None)
    plain = compare(DATA, "a", "b", level=0.9, dim=None)
    np.testing.assert_allclose([found.low, found.high], [plain.low, plain.high])
    assert "90% interval" in repr(found)
    assert "two one-sided t-tests at 5% each, by the 90% Welch t-interval over runs" in found.sentence()


def test_every_outcome_is_reached():
    far = one_value_a_run({"a": [10.0, 10.1, 10.2], "b": [20.0, 20.1, 20.2]})
    outcomes = {
        margin: equivalence(WIDE, "a", "b", margin=margin, dim=None).outcome.item() for margin in (0.5, 4.0)
    }
    assert outcomes == {0.5: "undetermined", 4.0: "equivalent"}
    different = equivalence(far, "a", "b", margin=1.0, dim=None).rows()[0]
    assert (different["outcome"], different["equivalent"]) == ("different", False)
    assert different["high"] < different["margin_low"]
    assert equivalence(far * np.nan, "a", "b", margin=1.0, dim=None).outcome.item() == "undefined"


def test_a_difference_is_judged_against_the_interval_on_either_side():
    for shift, expected in ((3.0, "different"), (-3.0, "different"), (0.0, "equivalent")):
        data = one_value_a_run({"a": [10.0, 10.1, 10.2], "b": [10.0 + shift, 10.1 + shift, 10.2 + shift]})
        found = equivalence(with_a_far_run(data), "a", "b", margin=1.0, dim=None)
        assert found.outcome.item() == expected


def test_on_the_log_scale_the_margin_is_a_ratio():
    found = equivalence(WIDE, "a", "b", margin=1.25, scale="log", dim=None)
    row = found.rows()[0]
    p = ttost_ind(np.log(A), np.log(B), -math.log(1.25), math.log(1.25), usevar="unequal")[0]
    assert row["p_value"] == pytest.approx(p)
    assert (row["margin_low"], row["margin_high"]) == pytest.approx((0.8, 1.25))
    assert row["estimate"] == pytest.approx(stats.gmean(A) / stats.gmean(B))
    assert "ratios in (0.8, 1.25)" in found.estimand
    assert "ratio of geometric means" in found.estimand.lower()
    reference = equivalence(DATA, "a", reference=20.0, margin=(0.9, 1.3), scale="log", dim=None).rows()[0]
    assert reference["estimate"] == pytest.approx(stats.gmean(A) / 20)


@pytest.mark.parametrize(
    ("margin", "scale", "message"),
    [
        (0.0, "identity", "above 0"),
        (-1.0, "identity", "above 0"),
        ((0.5, 1.0), "identity", "around 0"),
        (math.nan, "identity", "no margin"),
        ((1.0, 2.0, 3.0), "identity", "no margin"),
        ("wide", "identity", "no margin"),
        (0.9, "log", "above 1"),
        ((1.05, 1.2), "log", "around 1"),
        ((-0.5, 1.2), "log", "around 1"),
        (1.0, "logit", "ratio"),
        ({"entropy": 1.0}, "identity", "no margin for stable_rank"),
    ],
)
def test_what_declares_no_margin_is_refused(margin, scale, message):
    data = DATA / 100 if scale == "logit" else DATA
    with pytest.raises(SampleError, match=message):
        equivalence(data.assign_attrs(DATA.attrs), "a", "b", margin=margin, scale=scale, dim=None)


def test_several_metrics_need_a_margin_each():
    both = xr.Dataset({"stable_rank": DATA, "shift": (DATA * 1e-6).assign_attrs(units="1")})
    with pytest.raises(SampleError, match="Pass {metric: margin}"):
        equivalence(both, "a", "b", margin=1.0, dim=None)
    found = equivalence(both, "a", "b", margin={"stable_rank": 2.8, "shift": (-1e-7, 1e-7)}, dim=None)
    assert [row["outcome"] for row in found.rows()] == ["equivalent", "undetermined"]


def test_a_margin_larger_than_the_range_is_warned_of():
    with pytest.warns(GeostatWarning, match="larger than the whole range of the data, 3:"):
        equivalence(DATA, "a", "b", margin=3.01, dim=None)
    assert equivalence(DATA, "a", "b", margin=2.99, dim=None).warnings == ()
    with pytest.warns(GeostatWarning, match="ratio of largest to smallest value"):
        equivalence(DATA, "a", "b", margin=1.2, scale="log", dim=None)
    assert equivalence(DATA, "a", "b", margin=1.1, scale="log", dim=None).warnings == ()
    assert equivalence(DATA, "a", reference=30.0, margin=5.0, dim=None).warnings == ()


def test_one_run_on_a_side_is_undetermined_and_says_why(make_runs):
    found = equivalence(make_runs({"opd": 3, "rlvr": 1}), "opd", "rlvr", margin=1.0)
    assert found.ci is None
    for row in found.rows():
        assert (row["outcome"], row["equivalent"]) == ("undetermined", False)
        assert "one run of recipe 'rlvr'" in row["reason"]
        assert math.isnan(row["p_value"])
        assert math.isnan(row["runs_to_decide"])
    assert "no interval (n = 3 and 1 runs)" in found.sentence()


def test_runs_to_decide_reach_the_power_they_promise():
    """Simulated with the estimate and the spread taken as true, at the number that is told."""
    data = one_value_a_run({"a": [10.0, 11.0, 12.0], "b": [10.4, 11.4, 12.4]})
    row = equivalence(data, "a", "b", margin=1.9, variance="pooled", dim=None).rows()[0]
    assert row["outcome"] == "undetermined"
    n = int(row["runs_to_decide"])
    rng = np.random.default_rng(0)
    powers = []
    for size in (n - 1, n):
        a, b = rng.normal(11.0, 1.0, (20000, size)), rng.normal(11.4, 1.0, (20000, size))
        gap, pooled = a.mean(1) - b.mean(1), (a.var(1, ddof=1) + b.var(1, ddof=1)) / 2
        half = stats.t.ppf(0.95, 2 * size - 2) * np.sqrt(2 * pooled / size)
        powers.append(float(((gap - half > -1.9) & (gap + half < 1.9)).mean()))
    assert powers[0] < 0.82
    assert powers[1] > 0.77


def test_the_question_must_name_two_sides():
    for arguments, message in (
        ({}, "Pass two recipes"),
        ({"a": "a", "b": "b", "reference": 1.0}, "Pass two recipes"),
        ({"a": "a", "b": "a"}, "Name two recipes"),
        ({"b": "b"}, "Name two recipes"),
        ({"reference": 20.0}, "2 recipes"),
        ({"a": "c", "reference": 20.0}, "'c' is not among"),
        ({"a": "a", "reference": 20.0, "paired": True}, "nothing to pair"),
    ):
        with pytest.raises(SampleError, match=message):
            equivalence(DATA, margin=1.0, dim=None, **arguments)


def test_a_level_that_leaves_no_interval_is_refused():
    with pytest.raises(SampleError, match="above 0.5"):
        equivalence(DATA, "a", "b", margin=1.0, level=0.5, dim=None)


def test_a_reference_off_the_scale_is_refused():
    with pytest.raises(SampleError, match="no place on the log scale"):
        equivalence(DATA, "a", reference=0.0, margin=1.2, scale="log", dim=None)


def test_pairing_and_sharing_exclude_each_other():
    with pytest.raises(SampleError, match="differences by seed"):
        equivalence(DATA, "a", "b", margin=1.0, paired=True, variance="pooled", dim=None)


MADE = {
    "curve": lambda make: equivalence(make({"opd": 3, "sft": 3}), "opd", "sft", margin=2.0),
    "scalar": lambda make: equivalence(DATA, "a", reference=20.0, margin=1.0, dim=None),
    "none": lambda make: equivalence(make({"opd": 1, "sft": 3}), "opd", "sft", margin=2.0),
    "several": lambda make: equivalence(
        xr.Dataset({"x": DATA, "y": DATA}), "a", "b", margin={"x": 2.0, "y": 1.1}, dim=None
    ),
}


@pytest.mark.parametrize("name", list(MADE))
def test_results_survive_json_and_are_shown_everywhere(make_runs, name):
    result = MADE[name](make_runs)
    again = EquivalenceResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert len(result.to_frame()) == len(result.rows())
    assert result.rows()[0]["outcome"] in result._repr_html_()
    latex = result.to_latex()
    assert "95\\% two one-sided" not in latex
    assert "two one-sided t-tests at 5\\% each, by the 90\\%" in latex


def test_dask_backed_data_give_the_same_answer(make_runs):
    pytest.importorskip("dask.array")
    data = make_runs({"opd": 3, "sft": 2})
    lazy = equivalence(data.chunk({"matrix": 2}), "opd", "sft", margin=1.0)
    np.testing.assert_allclose(equivalence(data, "opd", "sft", margin=1.0).p_value, lazy.p_value)
