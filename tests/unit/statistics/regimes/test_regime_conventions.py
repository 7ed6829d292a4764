import json

import numpy as np
import pytest
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.classification import classify_regime

RUNS = 4


def measured(protocol=None, weighting="parameters", sizes=(64, 64, 64), **extra):
    """Four runs of three matrices, deep in the sparse regime."""
    rng = np.random.default_rng(0)
    dims = ("run", "matrix")
    shape = (RUNS, 3)
    used = protocol or PROTOCOLS["shen2026"]
    arrays = {
        "update_sparsity": (
            dims,
            0.78 + 0.005 * rng.normal(size=shape),
            {"units": "1", "weighting": weighting},
        ),
        "normalized_spectral_shift": (dims, 1e-5 * np.exp(0.1 * rng.normal(size=shape)), {"units": "1"}),
        "stable_rank_trend": (dims, -0.6 + 0.05 * rng.normal(size=shape), {"units": "1"}),
    } | extra
    return xr.Dataset(
        arrays,
        coords={"n_params": ("matrix", list(sizes))},
        attrs={"protocol": used.name, "protocol_hash": used.hash, "protocol_settings": used.to_json()},
    )


def classify(data, **arguments):
    return classify_regime(data, boundaries="published", leave_one_out=False, **arguments)


def overlap(alphas):
    values = np.full((RUNS, 3, len(alphas)), 0.74) + 0.005 * np.random.default_rng(1).normal(
        size=(RUNS, 3, len(alphas))
    )
    return {
        "low_magnitude_mask_overlap": (("run", "matrix", "alpha"), values, {"units": "1"}),
        "alpha": list(alphas),
    }


def with_overlap(data, alphas):
    found = overlap(alphas)
    return data.assign(low_magnitude_mask_overlap=found["low_magnitude_mask_overlap"]).assign_coords(
        alpha=found["alpha"]
    )


def test_the_mask_size_of_the_boundaries_is_selected():
    result = classify(with_overlap(measured(), (0.3, 0.5)))
    assert not result.refused
    assert result.established.item() == "sparse"
    assert "alpha" not in result.verdict.dims


def test_another_mask_size_is_refused_and_named():
    with pytest.warns(GeostatWarning, match="low_magnitude_mask_overlap is not compared"):
        result = classify(with_overlap(measured(), (0.1, 0.5)))
    assert "alpha 0.1, 0.5" in result.refused["low_magnitude_mask_overlap"]
    assert "low_magnitude_mask_overlap" not in result.cells
    assert result.established.item() == "sparse"


def refused_by(protocol):
    metrics = ["update_sparsity", "normalized_spectral_shift", "stable_rank_trend"]
    with pytest.warns(GeostatWarning, match="is not compared"):
        return classify(measured(protocol), metrics=metrics).refused


def test_another_tolerance_space_or_set_of_matrices_is_refused():
    base = PROTOCOLS["shen2026"]
    assert set(refused_by(base.replace(space="raw"))) == {"update_sparsity"}
    assert set(refused_by(base.replace(rule="absolute"))) == {"update_sparsity"}
    assert "eta 0.01" in refused_by(base.replace(eta=0.01))["update_sparsity"]
    everything = refused_by(base.replace(matrices="linear"))
    assert set(everything) == {"update_sparsity", "normalized_spectral_shift", "stable_rank_trend"}


def test_nothing_is_decided_when_all_metrics_are_refused():
    protocol = PROTOCOLS["shen2026"].replace(matrices="linear")
    with pytest.warns(GeostatWarning, match="is not compared"):
        result = classify(measured(protocol), metrics=["update_sparsity", "normalized_spectral_shift"])
    assert result.verdict.item() == "undetermined"
    assert "no metric can be compared" in result.verdict.reason.item()
    again = type(result).from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert "no metric" in repr(result)


def test_tolerances_below_the_step_of_bf16_are_one_convention():
    """Two different bf16 numbers differ by 1/256 or more, so 1e-3 and 2e-3 find the same entries changed."""
    metrics = ["update_sparsity", "normalized_spectral_shift"]
    assert not classify(measured(PROTOCOLS["shen2026"].replace(eta=2e-3)), metrics=metrics).refused


def test_a_preset_is_known_by_its_hash_alone():
    data = measured(PROTOCOLS["yu2026"])
    del data.attrs["protocol_settings"]
    with pytest.warns(GeostatWarning, match="is not compared"):
        result = classify(data, metrics=["update_sparsity", "stable_rank_trend"], weighting="matrix")
    assert "rule absolute" in result.refused["update_sparsity"]


def test_data_that_state_no_convention_are_taken_at_a_word_that_is_said():
    data = measured()
    data.attrs = {}
    with pytest.warns(GeostatWarning, match="do not state their convention"):
        classify(data, metrics=["update_sparsity", "stable_rank_trend"])


def test_small_matrices_have_no_rotation_to_compare():
    angle = (("run", "matrix"), np.full((RUNS, 3), 0.3), {"units": "degree"})
    data = measured(max_principal_angle=angle).assign_coords(k_used=("matrix", [512, 512, 32]))
    with pytest.warns(GeostatWarning, match="k was capped at 32"):
        classify(data, metrics=["max_principal_angle", "normalized_spectral_shift", "stable_rank_trend"])


def test_another_average_over_matrices_is_refused_unless_it_is_the_same_one():
    metrics = ["update_sparsity", "normalized_spectral_shift", "stable_rank_trend"]
    assert not classify(measured(weighting="matrix"), metrics=metrics).refused
    with pytest.warns(GeostatWarning, match="averaged by matrix, the boundaries by parameters"):
        classify(measured(weighting="matrix", sizes=(64, 64, 4096)), metrics=metrics)


def test_a_metric_without_boundaries_is_refused():
    norm = (("run", "matrix"), np.full((RUNS, 3), 2.0), {"units": "1"})
    with pytest.warns(GeostatWarning, match="hold no value for it"):
        classify(measured(update_norm=norm), metrics=["update_norm", "update_sparsity", "stable_rank_trend"])


def test_the_convention_is_stored_with_the_result():
    result = classify(measured(), metrics=["update_sparsity", "stable_rank_trend"])
    assert result.protocol == "shen2026"
    assert json.loads(result.to_json())["metadata"]["settings"]["boundaries"].startswith(
        "boundaries 'published'"
    )
