"""The truth of each scenario, found again without its own code."""

import math

import numpy as np
import pytest
from scipy import stats

from geostat.errors import SampleError
from geostat.statistics.calibration.catalogue import SCENARIOS, find_scenario
from geostat.statistics.calibration.curves import SHAPES
from geostat.statistics.calibration.noise import (
    DISTRIBUTIONS,
    checkpoints,
    evenly_spread,
    ornstein_uhlenbeck,
    shaped,
)
from geostat.statistics.calibration.scenario import Simulated, as_scenario

CURVES = [name for name, scenario in SCENARIOS.items() if scenario.kind == "curves"]


def simulated(name, n_rep=4000, seed=1, **cell):
    return SCENARIOS[name].simulate(np.random.default_rng(seed), n_rep, **cell)


@pytest.mark.parametrize("steps", [(1.0, 2.0, 3.0, 4.0), (10.0, 11.0, 60.0, 63.0)])
def test_noise_is_correlated_by_rho_at_the_mean_gap(steps):
    at = np.array(steps)
    noise = ornstein_uhlenbeck(np.random.default_rng(0), (40_000,), at, 0.6)
    expected = 0.6 ** (np.abs(at[:, None] - at) / np.diff(at).mean())
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.03)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_shapes_have_mean_0_and_variance_1(distribution):
    """Integrated over the normal density on a fine grid."""
    z = np.linspace(-9, 9, 200_001)
    weights = stats.norm.pdf(z) * (z[1] - z[0])
    x = shaped(z, distribution)
    assert (weights * x).sum() == pytest.approx(0, abs=1e-6)
    assert (weights * x**2).sum() == pytest.approx(1, rel=1e-3)


def test_skewed_values_have_the_skewness_of_an_exponential():
    z = np.linspace(-9, 9, 200_001)
    assert (stats.norm.pdf(z) * (z[1] - z[0]) * shaped(z, "skewed") ** 3).sum() == pytest.approx(2, rel=1e-4)


def test_layers_are_a_fixed_list_of_mean_0():
    assert evenly_spread(1).tolist() == [0.0]
    assert evenly_spread(7).mean() == pytest.approx(0, abs=1e-12)
    assert (np.diff(evenly_spread(7)) > 0).all()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_the_average_of_a_run_varies_by_the_declared_sd(distribution, correlation):
    made = simulated(
        "fixed_layers", S=5, L=6, sd=2.0, mean=7.0, layer_correlation=correlation, distribution=distribution
    )
    runs = made.data.mean("matrix").values.ravel()
    assert runs.mean() == pytest.approx(7.0, abs=0.06)
    assert runs.std() == pytest.approx(2.0, rel=0.05)
    assert made.truth_of("mean") == 7.0


def test_layers_of_a_run_are_correlated_as_declared():
    made = simulated("fixed_layers", S=1, L=4, layer_correlation=0.3)
    found = np.corrcoef(made.data.isel(run=0).values.T)
    np.testing.assert_allclose(found[~np.eye(4, dtype=bool)], 0.3, atol=0.06)


def test_recipes_differ_by_the_declared_amount_and_spread():
    made = simulated("two_recipes", S=4, S_b=6, difference=1.5, sd=2.0, sd_ratio=0.5, L=3)
    runs = made.data.mean("matrix")
    a, b = (runs.isel(run=runs.recipe.values == name).values for name in "ab")
    assert (a.shape[1], b.shape[1]) == (4, 6)
    assert a.mean() - b.mean() == pytest.approx(1.5, abs=0.08)
    assert a.std() == pytest.approx(2.0, rel=0.05)
    assert b.std() == pytest.approx(1.0, rel=0.05)


def test_the_nulls_of_difference_and_equivalence_exclude_each_other():
    none, large = simulated("two_recipes", 5), simulated("two_recipes", 5, difference=1.0, margin=1.0)
    assert (none.null_of("difference"), none.null_of("equivalence")) == (True, False)
    assert (large.null_of("difference"), large.null_of("equivalence")) == (False, True)


@pytest.mark.parametrize("name", ["hinge", "exponential", "step", "sigmoid"])
def test_the_average_curve_enters_the_band_at_the_stated_onset_and_stays(name):
    made = simulated(name, 3000, S=2, T=200, sd=0.0, margin=0.1)
    average = made.data.mean(("replicate", "run"))
    end = average.sel(step=slice(181, 200)).mean()
    outside = average.step.values[np.abs(average - end).values > 0.1]
    assert made.truth_of("mean_onset") == pytest.approx(outside.max() + 1, abs=3)
    assert made.null_of("onset") is False


@pytest.mark.parametrize("tau", [0.2, 0.5])
@pytest.mark.parametrize("name", ["hinge", "exponential", "sigmoid", "creep"])
def test_ninety_percent_of_the_middle_run_is_done_at_the_typical_onset(name, tau):
    made = simulated(name, 1, S=1, T=400, sd=0.0, spread=0.0, tau=tau)
    curve = made.data.values.ravel()
    done = (curve[0] - curve) / (curve[0] - curve[-1])
    assert made.truth_of("typical_onset") == pytest.approx(np.argmax(done >= 0.9) + 1, abs=1.2)


def test_a_hinge_of_one_run_settles_where_its_line_enters_the_band():
    made = simulated("hinge", 1, S=1, T=100, spread=0.0, tau=0.4, margin=0.25)
    assert made.truth_of("mean_onset") == pytest.approx(0.75 * 40, abs=0.1)


@pytest.mark.parametrize("name", ["linear", "random_walk", "margin_boundary"])
def test_what_never_settles_has_no_onset(name):
    made = simulated(name, 3)
    assert math.isnan(made.truth_of("mean_onset"))
    assert made.null_of("onset") is True


def test_only_what_does_not_move_has_no_change():
    null = {name: simulated(name, 2).null_of("change") for name in CURVES}
    assert {name for name, nothing in null.items() if nothing} == {"flat", "random_walk"}


def test_a_random_walk_ends_one_sd_from_its_start():
    ends = simulated("random_walk", 5000, S=1, sd=3.0).data.isel(step=-1)
    assert float(ends.std()) == pytest.approx(3.0, rel=0.05)


def test_runs_at_the_margin_stay_there_until_the_last_tenth():
    curve = simulated("margin_boundary", 1, S=1, T=20, sd=0.0, margin=0.2).data.values.ravel()
    assert curve.tolist() == [0.2] * 18 + [0.0] * 2


@pytest.mark.parametrize("name", CURVES)
def test_curves_follow_the_steps_of_the_user(name):
    steps = (63.0, 127.0, 191.0, 299.0)
    made = simulated(name, 2, S=3, L=4, steps=steps)
    assert dict(made.data.sizes) == {"replicate": 2, "run": 3, "step": 4, "matrix": 4}
    assert made.data.step.values.tolist() == list(steps)
    assert made.settings["training_steps"] == 299


@pytest.mark.parametrize("name", CURVES)
def test_averaging_over_layers_gives_back_the_curve(name):
    one, several = (simulated(name, 2, L=layers) for layers in (1, 5))
    np.testing.assert_allclose(several.data.mean("matrix").values, one.data.values, atol=1e-12)


def test_onsets_of_seeds_spread_on_the_log_scale():
    made = simulated("step", 4000, S=1, T=1000, sd=0.0, tau=0.3, spread=0.2)
    onsets = (made.data.values > 0.5).sum(axis=-1).ravel() + 1
    assert np.log(onsets).std() == pytest.approx(0.2, rel=0.05)
    assert np.median(onsets) == pytest.approx(300, rel=0.02)


def test_every_shape_starts_at_its_change_and_ends_near_0():
    for name, follow in SHAPES.items():
        curve = follow(np.linspace(0, 1, 101), np.array(0.3))
        assert 0 <= curve[-1] < 0.04, name
        assert name == "flat" or curve[0] >= 0.89


@pytest.mark.parametrize("steps", [(), (3.0, 2.0), (1.0, 1.0), (1.0, math.nan)])
def test_checkpoints_have_to_increase(steps):
    with pytest.raises(SampleError, match="increasing order"):
        checkpoints(5, steps)


@pytest.mark.parametrize(
    ("name", "cell", "words"),
    [
        ("hinge", {"rho": 1.5}, "rho=1.5"),
        ("hinge", {"tau": 0.0}, "tau=0.0"),
        ("hinge", {"S": 0}, "S=0"),
        ("fixed_layers", {"layer_correlation": 2}, "layer_correlation=2"),
        ("fixed_layers", {"distribution": "cauchy"}, "cauchy"),
        ("fixed_layers", {"L": 2.5}, "L=2.5"),
        ("published_regimes", {"place": 4.0}, "place=4.0"),
    ],
)
def test_impossible_settings_are_refused(name, cell, words):
    with pytest.raises(SampleError, match=words):
        simulated(name, 2, **cell)


def test_an_unknown_scenario_is_told_what_there_is():
    with pytest.raises(SampleError, match="fixed_layers, two_recipes, hinge"):
        find_scenario("hinges")


def test_several_truths_need_an_estimand():
    made = Simulated(simulated("hinge", 1).data, {"a": 1.0, "b": 2.0})
    assert made.truth_of("b") == 2.0
    assert math.isnan(made.truth_of("c"))
    with pytest.raises(SampleError, match="several truths"):
        made.truth_of("")


def test_what_is_no_scenario_is_refused():
    with pytest.raises(SampleError, match="no scenario"):
        as_scenario(3)


@pytest.mark.parametrize(("place", "sides"), [(0.0, (-1, -1)), (0.5, (0, -1)), (1.0, (1, -1)), (2.0, (1, 1))])
def test_runs_lie_on_the_stated_side_of_every_published_boundary(place, sides):
    from geostat.statistics.regimes.boundaries import load_boundaries

    file = load_boundaries()
    made = simulated("published_regimes", 1, S=1, place=place, sd=0.0)
    for name in file.default_set:
        facts = file.metrics[name]
        value = float(made.data[name].values[0, 0])
        for cut, side in zip(facts.cuts, sides, strict=True):
            assert (
                facts.direction * (value - cut) == pytest.approx(0)
                if side == 0
                else np.sign(value - cut) == side * facts.direction
            )
    assert made.settings["regime"] == ("" if place == 0.5 else file.regimes[int(place)])


@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.parametrize("sd", [-1.0, math.nan, math.inf, "a", True])
def test_a_standard_deviation_is_none_below_zero_or_without_number(name, sd):
    if "sd" not in SCENARIOS[name].parameters:
        pytest.skip("has no standard deviation")
    with pytest.raises(SampleError, match="sd="):
        simulated(name, n_rep=2, sd=sd)


@pytest.mark.parametrize("size", [True, 0, 2.0, "3"])
def test_a_number_of_runs_is_whole(size):
    with pytest.raises(SampleError, match="no number of things"):
        simulated("fixed_layers", n_rep=2, S=size)


def test_steps_are_numbers():
    with pytest.raises(SampleError, match="no numbers"):
        simulated("fixed_layers", n_rep=2, steps=("a", "b"))
