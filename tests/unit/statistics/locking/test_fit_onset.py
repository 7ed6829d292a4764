import json
import math
import warnings

import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning, UndefinedWarning
from geostat.statistics.locking.fit_onset import FitOnsetResult, fit_onset

# With 15 checkpoints noise can often not be told from a random walk; the test of that warning asks for it.
pytestmark = pytest.mark.filterwarnings("ignore:.*random walk")

STEPS = np.array([10, 30, 50, 90, 130, 170, 210, 300, 400, 500, 600, 700, 800, 900, 1000])
NUMBERS = ("estimate", "low", "high", "log_spread", "rho", "amplitude_t")


def settling(runs=3, steps=STEPS, tau=150.0, noise=0.05, seed=0, recipe=None):
    rng = np.random.default_rng(seed)
    values = 2 + np.exp(-(steps - steps[0]) / tau) + noise * rng.normal(size=(runs, len(steps)))
    coords = {"run": [f"r{i}" for i in range(runs)], "step": steps}
    if recipe:
        coords["recipe"] = ("run", recipe)
    return xr.DataArray(values, dims=("run", "step"), coords=coords, attrs={"units": "1"}, name="m")


def onset_of(tau, steps=STEPS, target=0.9):
    """Where exp(-x / tau), scaled to the range from the first to the last step, is 1 - target."""
    end = math.exp(-(steps[-1] - steps[0]) / tau)
    return steps[0] - tau * math.log((1 - target) * (1 - end) + end)


def only(result):
    (row,) = result.rows()
    return row


def same(a, b, keys=NUMBERS, scale=1.0):
    for key in keys:
        factor = scale if key in ("estimate", "low", "high") else 1.0
        assert a[key] * factor == pytest.approx(b[key], rel=1e-6, nan_ok=True), key


@pytest.mark.parametrize("target", [0.5, 0.9])
def test_the_interval_holds_the_onset_and_ends_at_checkpoints(target):
    row = only(fit_onset(settling(noise=0.01), dim=None, target=target))
    assert row["low"] <= onset_of(150, target=target) <= row["high"]
    assert {row["low"], row["high"]} <= set(STEPS)
    assert row["low"] <= row["estimate"] <= row["high"]
    assert row["high"] - row["low"] <= 420
    assert row["interval"] == f"({row['low']:g}, {row['high']:g}]"


def test_without_noise_to_speak_of_the_right_family_is_recognised():
    result = fit_onset(settling(1, noise=1e-4), dim=None)
    row = only(result)
    assert row["probability_exponential"] > 0.99
    assert row["estimate"] == pytest.approx(onset_of(150), abs=8)
    assert sum(row[f"probability_{family}"] for family in result.families) == pytest.approx(1)


def test_the_more_noise_the_wider():
    widths = [float(r.high - r.low) for r in (fit_onset(settling(noise=s), dim=None) for s in (0.02, 0.2))]
    assert widths[0] < widths[1]


def test_the_higher_the_level_the_wider():
    data = settling(noise=0.1)
    half, most = (fit_onset(data, dim=None, level=level) for level in (0.5, 0.99))
    assert half.low >= most.low
    assert half.high <= most.high
    assert half.high - half.low < most.high - most.low
    assert float(half.estimate) == float(most.estimate)


@pytest.mark.parametrize(("a", "b"), [(-3.0, 2.0), (1e-9, 0.0), (1.0, 1e3), (1e200, 0.0), (1e-200, 0.0)])
def test_affine_maps_of_the_metric_change_nothing(a, b):
    data = settling()
    same(
        only(fit_onset(data, dim=None)),
        only(fit_onset((a * data + b).assign_attrs(data.attrs).rename("m"), dim=None)),
    )


def test_each_run_may_have_its_own_level_and_scale():
    data = settling()
    mapped = data * xr.DataArray([1.0, -2.0, 50.0], dims="run") + xr.DataArray([0.0, 5.0, -9.0], dims="run")
    same(only(fit_onset(data, dim=None)), only(fit_onset(mapped.assign_attrs(data.attrs), dim=None)))


def test_step_units_scale():
    data = settling()
    scaled = data.assign_coords(step=STEPS * 64)
    same(only(fit_onset(data, dim=None)), only(fit_onset(scaled, dim=None)), scale=64)


def test_the_order_of_runs_and_of_steps_changes_nothing():
    data = settling()
    shuffled = data.isel(run=[2, 0, 1], step=np.random.default_rng(0).permutation(len(STEPS)))
    same(only(fit_onset(data, dim=None)), only(fit_onset(shuffled, dim=None)))


def test_duplicating_every_layer_changes_no_interval():
    data = settling()
    layers = data.expand_dims(matrix=4, axis=-1) + xr.DataArray([0, 1, 2, 3], dims="matrix")
    layers = layers.assign_attrs(data.attrs)
    twice = xr.concat([layers, layers], dim="matrix").assign_attrs(data.attrs)
    same(only(fit_onset(layers)), only(fit_onset(twice)))
    same(only(fit_onset(layers)), only(fit_onset(data, dim=None)))


def test_recipes_are_fitted_apart():
    recipes = ["opd", "sft", "opd", "sft", "opd"]
    data = settling(5, recipe=recipes)
    result = fit_onset(data, dim=None)
    for recipe in ("opd", "sft"):
        alone = only(fit_onset(data.isel(run=[r == recipe for r in recipes]).drop_vars("recipe"), dim=None))
        row = next(row for row in result.rows() if row["recipe"] == recipe)
        same(row, alone)
        assert row["n_runs"] == recipes.count(recipe)


def test_cells_are_fitted_apart():
    data = xr.concat([settling(tau=60, seed=1), settling(tau=200, seed=2)], xr.Variable("side", ["l", "r"]))
    result = fit_onset(data.assign_attrs(units="1"), dim=None)
    for side, (tau, seed) in zip(("l", "r"), ((60, 1), (200, 2)), strict=True):
        alone = only(fit_onset(settling(tau=tau, seed=seed), dim=None))
        same(next(row for row in result.rows() if row["side"] == side), alone)


def test_one_run_speaks_of_itself_alone():
    result = fit_onset(settling(1), dim=None)
    assert result.scope == "within-run"
    assert "the one run at hand" in result.estimand
    assert math.isnan(only(result)["log_spread"])
    assert fit_onset(settling(2), dim=None).scope == "model-dependent"


def test_ends_are_rounded_outward():
    """Between two checkpoints nothing is known: an onset at 170 + 65 is enclosed by 170 and 300 at least."""
    exact = settling(1, noise=1e-6, tau=250 / math.log(10))
    row = only(fit_onset(exact, dim=None, level=0.5))
    assert onset_of(250 / math.log(10)) == pytest.approx(257, abs=3)
    assert (row["low"], row["high"]) == (210, 300)


def test_fewer_families_are_what_was_asked_for():
    result = fit_onset(settling(), dim=None, families=["step", "hinge"])
    assert result.families == ("step", "hinge")
    assert result.settings["families"] == ["step", "hinge"]


def test_runs_that_differ_widen_the_interval_and_are_seen_to_differ():
    alike = settling(4, noise=0.02)
    differing = xr.concat([settling(1, tau=t, noise=0.02, seed=i) for i, t in enumerate((70, 130, 200, 300))],
                          dim="run").assign_coords(run=alike["run"])  # fmt: skip
    first, second = only(fit_onset(alike, dim=None)), only(fit_onset(differing, dim=None))
    assert second["log_spread"] > 2 * first["log_spread"]
    assert second["high"] - second["low"] > first["high"] - first["low"]


def test_one_onset_for_all_runs_is_narrower_and_never_silent():
    differing = xr.concat([settling(1, tau=t, noise=0.02, seed=i) for i, t in enumerate((70, 130, 200, 300))],
                          dim="run").assign_coords(run=list("abcd"))  # fmt: skip
    with pytest.warns(GeostatWarning, match="gives all runs one onset"):
        together = only(fit_onset(differing, dim=None, hierarchical=False))
    apart = only(fit_onset(differing, dim=None))
    assert together["high"] - together["low"] < apart["high"] - apart["low"]


def test_missing_checkpoints_are_left_out_and_not_filled():
    data = settling(3, noise=0.02)
    thinned = data.copy()
    thinned.values[0, [2, 5, 9]] = np.nan
    thinned.values[1, 0] = np.nan
    thinned.values[2, -1] = np.nan
    row = only(fit_onset(thinned, dim=None))
    assert row["low"] <= onset_of(150) <= row["high"]
    alone = data.isel(run=[0], step=[i for i in range(len(STEPS)) if i not in (2, 5, 9)])
    same(only(fit_onset(thinned.isel(run=[0]), dim=None)), only(fit_onset(alone, dim=None)))


def test_runs_may_have_different_step_grids():
    odd, even = settling(1, STEPS[::2], seed=1), settling(1, STEPS[1::2], seed=2).assign_coords(run=["r1"])
    both = xr.concat([odd, even], dim="run", join="outer")
    row = only(fit_onset(both.assign_attrs(units="1"), dim=None))
    assert row["n_runs"] == 2
    assert row["n_checkpoints"] == 8
    assert row["low"] <= onset_of(150) <= row["high"]


def test_unequal_numbers_of_seeds_are_counted():
    result = fit_onset(settling(5, recipe=["a"] * 4 + ["b"]), dim=None)
    assert {row["recipe"]: row["n_runs"] for row in result.rows()} == {"a": 4, "b": 1}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_too_few_checkpoints_have_no_interval_and_a_reason(count):
    result = fit_onset(settling(2).isel(step=slice(count)), dim=None)
    row = only(result)
    assert math.isnan(row["low"])
    assert f"{count} checkpoint" in row["reason"]
    assert "needs 5" in row["reason"]
    assert result.ci is None
    assert "no interval" in result.sentence()


def test_a_constant_curve_has_no_onset():
    data = settling(2)
    data.values[:] = [[3.0], [4.0]]
    assert "constant" in only(fit_onset(data, dim=None))["reason"]


def test_without_values_there_is_no_interval():
    data = settling(2)
    data.values[:] = np.nan
    row = only(fit_onset(data, dim=None))
    assert (row["reason"], row["n_runs"]) == ("no run has a value here", 0)


def test_an_infinite_value_is_named():
    data = settling(2)
    data.values[0, 3] = np.inf
    assert "infinite" in only(fit_onset(data, dim=None))["reason"]


def test_a_run_that_cannot_be_fitted_is_left_out_with_a_warning():
    data = settling(3)
    data.values[1] = 7.0
    data.values[2, 4:] = np.nan
    with pytest.warns(UndefinedWarning, match="left out"):
        row = only(fit_onset(data, dim=None))
    assert row["n_runs"] == 1
    same(row, only(fit_onset(data.isel(run=[0]), dim=None)))


def test_a_matrix_with_a_nan_leaves_that_runs_curve():
    data = settling(2).expand_dims(matrix=["a", "b"], axis=-1).copy()
    data.values[0, 3, 1] = np.nan
    with pytest.warns(UndefinedWarning, match="1 of 2 matrices"):
        row = only(fit_onset(data.assign_attrs(units="1")))
    same(row, only(fit_onset(settling(2), dim=None)))


def test_flat_noise_is_said_to_hold_no_change():
    data = settling(2)
    data.values[:] = np.random.default_rng(5).normal(size=data.shape)
    with pytest.warns(SmallSampleWarning, match="onset_exists"):
        row = only(fit_onset(data, dim=None))
    assert row["high"] - row["low"] > 500


@pytest.mark.filterwarnings("ignore:.*stand out of the noise")
def test_a_random_walk_is_said_to_be_one():
    steps = np.arange(60)
    data = settling(3, steps)
    data.values[:] = np.random.default_rng(8).normal(size=data.shape).cumsum(axis=1)
    with pytest.warns(GeostatWarning, match="random walk"):
        fit_onset(data, dim=None)


def test_a_clear_change_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_onset(settling(noise=0.03), dim=None).warnings == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"families": ["cosine"]}, "cosine"),
        ({"families": []}, "pass one or several"),
        ({"target": 1.0}, "no share of the change"),
        ({"target": 0}, "no share of the change"),
        ({"level": 95}, "no confidence level"),
        ({"sample_dim": "step"}, "take"),
        ({"dim": "layer"}, "not among the dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        fit_onset(settling(), **({"dim": None} | arguments))


def test_data_without_steps_and_repeated_steps_are_refused():
    with pytest.raises(SampleError, match="no dimension step"):
        fit_onset(settling().isel(step=0), dim=None)
    with pytest.raises(SampleError, match="more than once"):
        fit_onset(settling().isel(step=[0, 0, 1, 2, 3, 4]), dim=None)


def test_several_metrics_are_answered_each():
    data = xr.Dataset({"m": settling(seed=1), "shift": (settling(seed=2) * 1e-6).assign_attrs(units="1")})
    result = fit_onset(data, dim=None)
    assert [row["variable"] for row in result.rows()] == ["m", "shift"]
    same(result["shift"].rows()[0], only(fit_onset(settling(seed=2), dim=None)))


def test_a_metric_without_units_is_warned_of():
    with pytest.warns(GeostatWarning, match="units"):
        fit_onset(settling().drop_attrs(), dim=None)


def test_dask_backed_data_are_read():
    pytest.importorskip("dask.array")
    data = settling()
    same(only(fit_onset(data, dim=None)), only(fit_onset(data.chunk({"step": 4}), dim=None)))


def test_the_result_survives_json_and_says_what_it_is():
    result = fit_onset(settling(4, recipe=["a", "a", "a", "b"]), dim=None)
    again = FitOnsetResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert json.loads(result.to_json())["metadata"]["settings"]["target"] == 0.9
    assert set(result.ci["ci_bound"].values) == {"low", "high"}
    assert len(result.to_frame()) == 2
    assert "tabular" in result.to_latex()
    for part in ("95%", "model-dependent", "n = 3 runs", "n = 1 run"):
        assert part in result.sentence()
    assert any("random" in text for text in result.assumptions)


def test_many_cells_at_once_are_what_single_calls_give():
    cells = [settling(noise=0.2, seed=i) for i in range(6)]
    together = fit_onset(xr.concat(cells, "replicate").assign_attrs(units="1"), dim=None)
    for row, data in zip(together.rows(), cells, strict=True):
        same(row, only(fit_onset(data, dim=None)))
