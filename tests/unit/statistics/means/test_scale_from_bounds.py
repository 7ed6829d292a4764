import math

import numpy as np
import pytest
import xarray as xr

from geostat.errors import UndefinedWarning
from geostat.results import Variable
from geostat.statistics import compare, mean_ci
from geostat.statistics.means.equivalence import equivalence
from geostat.statistics.means.scales import scale_of_bounds


def metric(values, **bounds):
    recipes = ["a"] * (len(values) // 2) + ["b"] * (len(values) - len(values) // 2)
    return xr.DataArray(
        values, dims="run", coords={"recipe": ("run", recipes)}, attrs={"units": "1"} | bounds, name="x"
    )


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (0.0, 1.0, "logit"),
        (0.0, None, "log"),
        (1.0, None, "log"),
        (0.0, 90.0, "log"),
        (None, 1.0, "identity"),
        (-1.0, 1.0, "identity"),
        (None, None, "identity"),
    ],
)
def test_bounds_lie_at_infinity_on_their_scale(low, high, scale):
    assert scale_of_bounds(Variable("x", valid_min=low, valid_max=high)) == scale


@pytest.mark.parametrize(
    ("bounds", "scale"),
    [
        ({"valid_min": 0.0, "valid_max": 1.0}, "logit"),
        ({"valid_min": 0.0, "valid_max": np.inf}, "log"),
        ({}, "identity"),
    ],
)
def test_a_mean_takes_the_scale_of_its_metric(bounds, scale):
    data = metric([0.2, 0.4, 0.7, 0.3, 0.6, 0.5], **bounds)
    found, named = mean_ci(data, dim=None), mean_ci(data, dim=None, scale=scale)
    np.testing.assert_array_equal(found.low, named.low)
    assert found.settings["scale"] == {"x": scale}
    assert found.method == named.method


def test_a_contrast_stays_a_difference_unless_it_is_asked_for():
    data = metric([0.2, 0.4, 0.7, 0.3, 0.6, 0.5], valid_min=0.0, valid_max=1.0)
    assert "difference of means" in compare(data, "a", "b", dim=None).estimand.lower()
    assert "odds ratio" in compare(data, "a", "b", dim=None, scale="auto").estimand.lower()
    assert "differences in (-0.3, 0.3)" in equivalence(data, "a", "b", margin=0.3, dim=None).estimand


def test_intervals_stay_inside_the_metrics_bounds():
    data = metric([0.9, 0.99, 0.999, 0.95, 0.96, 0.99], valid_min=0.0, valid_max=1.0)
    found = mean_ci(data, dim=None)
    assert bool(((found.low > 0) & (found.high < 1)).all())


def test_an_exact_end_falls_back_to_identity_and_says_so():
    data = metric([0.2, 0.4, 1.0, 0.3, 0.6, 0.5], valid_min=0.0, valid_max=1.0)
    with pytest.warns(UndefinedWarning, match="1 of the runs' values are exactly 0 or 1"):
        assert mean_ci(data, dim=None).settings["scale"] == {"x": "identity"}


def test_a_value_beyond_its_bounds_falls_back_to_identity_and_is_told():
    data = metric([0.2, 0.4, 1.0 + 1e-9, 0.3, 0.6, 0.5], valid_min=0.0, valid_max=1.0)
    with pytest.warns(UndefinedWarning, match="there is no logit scale"):
        assert mean_ci(data, dim=None).settings["scale"] == {"x": "identity"}


def test_runs_without_interval_are_told_as_they_are():
    data = metric([0.0, 1.0], valid_min=0.0, valid_max=1.0)
    found = mean_ci(data, dim=None)
    assert found.estimate.values.tolist() == [0.0, 1.0]
    assert found.settings["scale"] == {"x": "identity"}
    third = metric([1 / 3, 0.1], valid_min=0.0)
    assert mean_ci(third, dim=None).estimate.values.tolist() == [1 / 3, 0.1]


def test_each_metric_of_a_dataset_has_its_own_scale():
    share = metric([0.2, 0.4, 0.7, 0.3, 0.6, 0.5], valid_min=0.0, valid_max=1.0)
    norm = (share * 100).drop_attrs().assign_attrs(units="1", valid_min=0.0)
    found = mean_ci(xr.Dataset({"share": share, "norm": norm}), dim=None)
    assert found.settings["scale"] == {"share": "logit", "norm": "log"}
    a = norm.values[:3]
    assert found["norm"].estimate.sel(recipe="a").item() == pytest.approx(math.prod(a) ** (1 / 3))
    assert "logit scale (share)" in found.method
    assert "log scale (norm)" in found.method
