import math

import numpy as np
import pytest
import xarray as xr

from geostat.errors import SampleError, UndefinedWarning
from geostat.statistics.locking.critical import NULL_RHOS, _table, critical_table
from geostat.statistics.locking.noise import correlation_grid, noise_curves
from geostat.statistics.locking.onset_exists import ExistenceResult, onset_exists
from geostat.statistics.locking.onset_exists_core import CORRELATIONS, scan_of

STEPS = np.array([10, 30, 50, 90, 130, 170, 210, 300, 400, 500, 600, 700])
NULL = 400


def runs(count=3, change=1.0, noise=0.17, seed=0, steps=STEPS, recipe=None):
    rng = np.random.default_rng(seed)
    values = change * np.exp(-(steps - steps[0]) / 120) + noise * rng.normal(size=(count, len(steps)))
    coords = {"run": [f"r{i}" for i in range(count)], "step": steps}
    if recipe:
        coords["recipe"] = ("run", recipe)
    return xr.DataArray(values, dims=("run", "step"), coords=coords, attrs={"units": "1"}, name="m")


def existence(data, **arguments):
    return onset_exists(data, **({"dim": None, "n_null": NULL} | arguments))


def only(result):
    (row,) = result.rows()
    return row


def dense_statistic(values, x):
    """Largest sum over runs of profile log likelihood ratios, with dense matrices and no vectorised step."""
    scan = scan_of([x] * len(values))
    time_ = x / np.diff(x).mean()
    curves = scan.grid.curves(x)[scan.grid.prior > 0]
    ones = np.ones((len(x), 1))

    def best(y, X):
        found = []
        for rho in correlation_grid(len(x), CORRELATIONS)[:-3]:
            R = rho ** np.abs(time_[:, None] - time_) if rho else np.eye(len(x))
            P = np.linalg.inv(R)
            residual = y - X @ np.linalg.solve(X.T @ P @ X, X.T @ P @ y)
            found.append(-np.linalg.slogdet(R)[1] / 2 - len(y) / 2 * np.log(residual @ P @ residual))
        return max(found)

    sums = [sum(best(y, np.column_stack([ones, c])) - best(y, ones) for y in values) for c in curves]
    return max(sums)


def test_the_statistic_is_the_largest_sum_of_profile_likelihood_ratios(monkeypatch):
    # The three longest correlations are too close to singular for dense matrices: both sides leave them out.
    grid = correlation_grid(len(STEPS), CORRELATIONS)[:-3]
    monkeypatch.setattr("geostat.statistics.locking.onset_exists_core.correlation_grid", lambda *_: grid)
    data = runs(2)
    x = (STEPS - STEPS[0]) / (STEPS[-1] - STEPS[0])
    assert only(existence(data, rng=98765))["statistic"] == pytest.approx(
        dense_statistic(data.values, x), rel=1e-6
    )


def test_a_change_is_found_and_noise_is_not():
    assert only(existence(runs()))["verdict"] == "change"
    flat = only(existence(runs(change=0.0)))
    assert flat["verdict"] == "not distinguishable from noise"
    assert flat["p_value"] > 0.05


def test_verdict_and_p_value_agree():
    cells = xr.concat([runs(change=c, seed=i) for i, c in enumerate(np.linspace(0, 1, 12))], "replicate")
    for row in existence(cells.assign_attrs(units="1"), rng=3).rows():
        assert (row["verdict"] == "change") == (row["statistic"] > row["critical"])
        assert (row["verdict"] == "change") == (row["p_value"] <= 0.05)


def test_p_is_the_share_of_null_statistics_as_large_under_the_worst_correlation():
    x = np.linspace(0, 1, 8)
    table = critical_table([x, x], 50, 1)
    observed = np.array([0.0, table.null[2, 30], 1e9])
    expected = [max((1 + np.sum(row >= s)) / 51 for row in table.null) for s in observed]
    np.testing.assert_allclose(table.p_value(observed), expected)
    assert table.p_value(observed)[2] == pytest.approx(1 / 51)
    value, worst = table.critical(0.9)
    # ceil(.9 * 51) = 46: the 46th smallest, so that 5 of 51 lie at or above the observed one.
    assert value == max(row[45] for row in table.null)
    assert worst == NULL_RHOS[int(np.argmax(table.null[:, 45]))]


def test_the_null_is_that_of_independent_runs_in_noise():
    x = np.linspace(0, 1, 10)
    scan = scan_of([x, x])
    rng = np.random.default_rng(11)
    curves = noise_curves(rng.normal(size=(2, 4000, 10)), 0.8, scan.gaps(x))
    own = np.sort((scan.ratios(curves[0], x) + scan.ratios(curves[1], x)).max(axis=1))
    table = critical_table([x, x], 4000, 5)
    place = NULL_RHOS.index(0.8)
    for share in (0.5, 0.9, 0.95):
        below = np.searchsorted(table.null[place], own[int(4000 * share)]) / 4000
        assert below == pytest.approx(share, abs=4 * math.sqrt(2 * share * (1 - share) / 4000))


def test_a_table_is_made_once_for_the_same_checkpoints():
    data = runs(seed=1, steps=np.linspace(0, 100, 120))
    first = only(existence(data, n_null=1000, rng=77))
    made = _table.cache_info()
    second = only(existence(data.assign_coords(step=data["step"] * 3 + 5), n_null=1000, rng=77))
    again = _table.cache_info()
    assert second["p_value"] == first["p_value"]
    assert (again.misses, again.hits) == (made.misses, made.hits + 1)


def test_the_seed_is_in_the_result_and_makes_the_same_answer_again():
    data = runs(change=0.3)
    first = existence(data, rng=np.random.default_rng(4))
    assert isinstance(first.seed, int)
    assert only(existence(data, rng=first.seed))["p_value"] == only(first)["p_value"]
    assert existence(data, rng=12).seed == 12


@pytest.mark.parametrize(("a", "b"), [(-3.0, 2.0), (1e-9, 0.0), (1.0, 1e3)])
def test_affine_maps_of_the_metric_change_nothing(a, b):
    data = runs(change=0.3)
    mapped = (a * data + b).assign_attrs(data.attrs).rename("m")
    assert only(existence(mapped))["statistic"] == pytest.approx(only(existence(data))["statistic"], rel=1e-6)


def test_units_of_steps_and_the_order_of_runs_change_nothing():
    data = runs(change=0.3)
    other = data.assign_coords(step=STEPS * 64).isel(run=[1, 2, 0])
    first, second = only(existence(data)), only(existence(other))
    assert first["statistic"] == pytest.approx(second["statistic"])
    assert (first["p_value"], first["critical"]) == (second["p_value"], second["critical"])


def test_duplicating_every_layer_changes_nothing():
    layers = runs(change=0.3).expand_dims(matrix=3, axis=-1)
    twice = xr.concat([layers, layers], "matrix").assign_attrs(layers.attrs)
    once = only(existence(layers.assign_attrs(units="1"), dim="matrix"))
    assert only(existence(twice, dim="matrix"))["statistic"] == pytest.approx(once["statistic"])


def test_more_runs_tell_more():
    cells = xr.concat([runs(8, change=0.4, seed=i) for i in range(20)], "replicate").assign_attrs(units="1")
    many, few = existence(cells).p_value, existence(cells.isel(run=slice(2))).p_value
    assert many.mean() < few.mean() / 2


def test_runs_may_have_different_checkpoints():
    data = runs(3)
    data.values[0, [1, 4]] = np.nan
    data.values[1, 0] = np.nan
    row = only(existence(data))
    assert (row["verdict"], row["n_runs"], row["n_checkpoints"]) == ("change", 3, 12)
    shuffled = only(existence(data.isel(run=[2, 1, 0])))
    assert (shuffled["critical"], shuffled["p_value"]) == (row["critical"], row["p_value"])


def test_a_run_that_cannot_be_tested_is_left_out_with_a_warning():
    data = runs(3)
    data.values[1] = 1.0
    with pytest.warns(UndefinedWarning, match="left out"):
        row = only(existence(data))
    assert row["n_runs"] == 2
    assert row["statistic"] == pytest.approx(only(existence(data.isel(run=[0, 2])))["statistic"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.isel(step=slice(4)), "4 checkpoints: too few"),
        (lambda data: data * 0 + xr.DataArray([1, 2, 3], dims="run"), "every run is constant"),
        (lambda data: data * np.nan, "no run has a value"),
        (lambda data: data.where(data["step"] != 50, np.inf), "infinite"),
    ],
)
def test_what_cannot_be_tested_has_no_p_value_and_a_reason(change, reason):
    result = existence(change(runs()).assign_attrs(units="1"))
    row = only(result)
    assert math.isnan(row["p_value"])
    assert row["verdict"] == "undefined"
    assert reason in row["reason"]
    assert result.ci is None
    assert "undefined" in result.sentence()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_null": 100}, "from 200 on"),
        ({"n_null": 10.5}, "n_null=10.5"),
        ({"level": 0}, "no confidence level"),
        ({"rng": "seed"}, "no source of random numbers"),
        ({"dim": "layer"}, "not among the dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(SampleError, match=message):
        existence(runs(), **arguments)


def test_recipes_and_sides_are_tested_apart():
    data = runs(4, recipe=["a", "b", "a", "b"])
    both = xr.concat([data, data * 0 + runs(4, change=0.0).values], xr.Variable("side", ["l", "r"]))
    result = existence(both.assign_attrs(units="1"))
    rows = {(row["recipe"], row["side"]): row for row in result.rows()}
    assert len(rows) == 4
    alone = only(existence(data.isel(run=[0, 2]).drop_vars("recipe")))
    assert rows["a", "l"]["statistic"] == pytest.approx(alone["statistic"])


def test_dask_backed_data_are_read():
    pytest.importorskip("dask.array")
    assert only(existence(runs().chunk({"step": 5})))["statistic"] == only(existence(runs()))["statistic"]


def test_the_result_survives_json_and_says_what_it_is():
    result = existence(runs(3, recipe=["a", "a", "b"]))
    again = ExistenceResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert repr(again) == repr(result)
    xr.testing.assert_identical(again.to_xarray(), result.to_xarray())
    assert "tabular" in result.to_latex()
    assert len(result.to_frame()) == 2
    for part in ("size 0.05", "worst autocorrelation", "n = 2 runs"):
        assert part in result.sentence()
    assert "does not show that nothing" in repr(result)
