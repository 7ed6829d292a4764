"""Mistakes that public scripts make under the same names: geostat must not."""

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.testing import random_trajectory


@pytest.fixture
def pair():
    return random_trajectory(24, 20, rank=2, size=0.3, rng=np.random.default_rng(0))


def test_sparsity_is_not_an_absolute_tolerance():
    small, moved = torch.full((2, 2), 1e-7), torch.full((2, 2), 2e-7)
    assert gs.update_sparsity(small, moved) == 0.0  # doubled
    assert gs.update_sparsity(small, moved, eta=1e-5, rule="absolute") == 1.0  # what an absolute one says


def test_sparsity_is_not_density(pair):
    args = pair["initial"], pair["updated"]
    assert gs.update_sparsity(*args) + gs.update_density(*args) == pytest.approx(1.0)
    assert gs.update_sparsity(*args) < 0.5 < gs.update_density(*args)


def test_angles_compare_the_start_with_the_updated_weight_not_with_the_update(pair):
    of_weights = gs.max_principal_angle(pair["initial"], pair["updated"], k=2)
    of_update = gs.max_principal_angle(pair["initial"], pair["update"], k=2)
    assert of_weights < of_update / 2


def test_spectral_shift_is_neither_the_spectrum_of_the_update_nor_its_largest_value(pair):
    values = {name: np.linalg.svd(pair[name], compute_uv=False) for name in ("initial", "update")}
    found = gs.normalized_spectral_shift(pair["initial"], pair["updated"])
    assert abs(found - values["update"][0] / values["initial"][0]) > 0.5 * found
    difference = np.linalg.norm(values["initial"] - values["update"]) / np.linalg.norm(values["initial"])
    assert abs(found - difference) > 0.5 * found


def test_the_update_is_not_formed_in_bf16():
    start = torch.tensor([[1.0, 0.0], [0.0, 100.0]], dtype=torch.bfloat16)
    end = torch.tensor([[1.0078125, 0.001], [0.0, 100.5]], dtype=torch.bfloat16)
    name = "blocks.0.attention.query.weight"
    run = gs.measure({name: start}, {1: {name: end}}, progress=False)
    exact = end.double() - start.double()
    assert float(run.update_norm[0, 0]) == pytest.approx(float(exact.norm()), rel=1e-15)


def test_small_angles_survive_single_precision_storage():
    start = random_trajectory(32, 32, rank=1, rng=np.random.default_rng(1))["initial"]
    moved = start + 1e-7 * np.outer(start[:, 3], start[0])
    assert 0 < gs.max_principal_angle(start, moved, k=4) < 1e-3


def test_stable_rank_is_no_count_of_nonzero_values():
    noisy = np.diag([1.0] + [1e-6] * 19)
    assert gs.numerical_rank(noisy) == 20.0
    assert gs.stable_rank(noisy) == pytest.approx(1.0)


def test_as_many_directions_as_columns_would_make_every_angle_zero_so_k_is_capped(pair):
    assert len(gs.principal_angles(pair["initial"], pair["updated"], k=512)) == 10
    assert gs.max_principal_angle(pair["initial"], pair["updated"], k=512) > 0.1


def test_stored_vectors_are_not_half_precision(geostat_run, tmp_path):
    from geostat.trajectories import vectors

    gs.measure(geostat_run.base, geostat_run.checkpoints, store=tmp_path / "run.zarr", progress=False)
    stored = vectors(tmp_path / "run.zarr", "blocks.0.attention.query")
    assert stored.left.dtype == np.float32
    basis = stored.left.isel(step=0).values.astype(float)
    np.testing.assert_allclose(basis.T @ basis, np.eye(16), atol=2e-6)
