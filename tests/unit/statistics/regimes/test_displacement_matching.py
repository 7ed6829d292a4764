import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, UndefinedWarning
from geostat.statistics import compare
from geostat.statistics.regimes.matching import displacement_matched

STEPS = np.array([10, 20, 40, 80])


def runs(distances, values, **coords):
    dims = ("run", "step")
    return xr.Dataset(
        {
            "relative_update_norm": (dims, np.asarray(distances, float), {"units": "1"}),
            "metric": (dims, np.asarray(values, float), {"units": "1", "long_name": "A metric"}),
        },
        coords={"step": STEPS, **coords},
    )


def power_law(speeds, factors, slope=2.0):
    distance = np.outer(speeds, STEPS)
    return runs(distance, np.asarray(factors)[:, None] * np.log(distance) ** 1 * slope)


def test_a_metric_linear_in_log_displacement_is_read_exactly():
    matched = displacement_matched(power_law([1.0, 0.3, 2.0], [1.0, 1.0, 1.0]), dim=None)
    common = 0.3 * 80
    assert float(matched["displacement"]) == pytest.approx(common)
    assert matched["metric"].values == pytest.approx(np.full(3, 2 * np.log(common)))
    assert matched["metric"].attrs["long_name"] == "A metric"


def test_the_slowest_run_is_read_at_its_own_checkpoint():
    data = power_law([1.0, 0.3], [1.0, 1.0])
    matched = displacement_matched(data, dim=None)
    assert float(matched["metric"][1]) == float(data["metric"][1, -1])
    assert float(matched["matched_step"][1]) == 80


def test_recipes_that_differ_in_speed_alone_do_not_differ_once_matched():
    data = power_law([1.0, 1.1, 0.3, 0.35], [1, 1, 1, 1]).assign_coords(recipe=("run", ["a", "a", "b", "b"]))
    matched = displacement_matched(data, dim=None)
    at_end = data["metric"].isel(step=-1).groupby("recipe").mean()
    assert float(at_end.max() - at_end.min()) > 2
    assert matched["metric"].values == pytest.approx(np.full(4, float(matched["metric"][0])))
    matched["metric"].values[:] += [0.0, 0.1, 0.0, 0.2]
    assert abs(float(compare(matched["metric"], "a", "b", dim=None).estimate)) < 0.2


def test_scale_of_the_interpolation_makes_a_power_law_exact():
    distance = np.outer([1.0, 0.37], STEPS)
    data = runs(distance, 1e-4 * distance**1.5)
    matched = displacement_matched(data, dim=None, scale={"metric": "log"})
    assert matched["metric"].values == pytest.approx(np.full(2, 1e-4 * (0.37 * 80) ** 1.5))


def test_steps_between_two_checkpoints_that_a_run_lacks_are_skipped():
    data = power_law([1.0, 0.3], [1.0, 1.0])
    data["metric"].values[0, 1] = np.nan
    data["relative_update_norm"].values[0, 1] = np.nan
    matched = displacement_matched(data, dim=None)
    assert matched["metric"].values == pytest.approx(np.full(2, 2 * np.log(24.0)))


def test_a_run_that_starts_beyond_is_not_extrapolated():
    data = power_law([10.0, 0.3, 0.4], [1.0, 1.0, 1.0])
    with pytest.warns(UndefinedWarning, match="1 run lies beyond the common displacement"):
        matched = displacement_matched(data, dim=None)
    assert np.isnan(matched["metric"].values[0])
    assert np.isfinite(matched["metric"].values[1:]).all()


def test_a_run_that_does_not_come_so_far_is_not_extrapolated():
    with pytest.warns(UndefinedWarning, match="1 run lies short of"):
        matched = displacement_matched(power_law([1.0, 0.3], [1.0, 1.0]), dim=None, at=50.0)
    assert np.isnan(matched["metric"].values[1])
    assert float(matched["metric"][0]) == pytest.approx(2 * np.log(50.0))


def test_curves_that_turn_are_flagged():
    data = power_law([1.0, 0.3], [1.0, 1.0])
    data["metric"].values[0] = [1, 3, 2, 4]
    with pytest.warns(GeostatWarning, match="metric is not monotone in displacement in 1 of 2 curves"):
        displacement_matched(data, dim=None)


def test_a_displacement_that_falls_is_read_at_its_first_passage():
    distances = [[1.0, 4.0, 2.0, 4.0], [0.5, 1.0, 2.0, 3.0]]
    with pytest.warns(GeostatWarning, match="falls between checkpoints"):
        matched = displacement_matched(runs(distances, [[0, 2, 3, 5], [0, 1, 2, 3]]), dim=None)
    assert float(matched["metric"][0]) == pytest.approx(2 * np.log(3) / np.log(4))


def test_matrices_are_averaged_before_runs_are_matched():
    base = power_law([1.0, 0.3], [1.0, 1.0])
    layers = xr.concat([base * 0.5, base * 1.5], dim="matrix").transpose("run", "step", "matrix")
    layers = layers.map(lambda array: array.assign_attrs(units="1"))
    assert displacement_matched(layers)["metric"].values == pytest.approx(
        displacement_matched(base, dim=None)["metric"].values
    )


def test_lazy_data_are_matched_too():
    pytest.importorskip("dask")
    data = power_law([1.0, 0.3], [1.0, 1.0])
    lazy = displacement_matched(data.chunk({"run": 1}), dim=None)
    xr.testing.assert_allclose(lazy, displacement_matched(data, dim=None))


def test_what_cannot_be_matched_is_refused():
    data = power_law([1.0, 0.3], [1.0, 1.0])
    with pytest.raises(SampleError, match="hold no 'relative_update_norm'"):
        displacement_matched(data[["metric"]], dim=None)
    with pytest.raises(SampleError, match="alone"):
        displacement_matched(data[["relative_update_norm"]], dim=None)
    with pytest.raises(SampleError, match="no dimension step"):
        displacement_matched(data.isel(step=0), dim=None)
    with pytest.raises(SampleError, match="no displacement. Pass a positive number"):
        displacement_matched(data, dim=None, at=-1.0)
    with pytest.raises(SampleError, match="no run passes the displacement 1e"):
        displacement_matched(data, dim=None, at=1e9)


def test_recipes_are_named_one_by_one_or_in_a_list():
    data = power_law([1.0, 0.3, 0.01], [1, 2, 3]).assign_coords(recipe=("run", ["a", "b", "c"]))
    one_by_one = displacement_matched(data, "a", "b", dim=None)
    assert one_by_one.sizes["run"] == 2
    assert float(one_by_one["displacement"]) == pytest.approx(
        0.3 * 80
    )  # c, which went less far, is not asked
    xr.testing.assert_identical(one_by_one, displacement_matched(data, ["a", "b"], dim=None))
