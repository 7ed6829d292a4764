"""Angles between subspaces: accurate near zero and near a right angle."""

import math

import mpmath
import numpy as np
import pytest
import torch

from geostat.linalg import captured_energy, principal_angles, subspace_similarity


def _planes(angles, n=12, seed=0):
    """Two subspaces with exactly these principal angles, turned at random."""
    k = len(angles)
    first, second = np.zeros((n, k)), np.zeros((n, k))
    for i, angle in enumerate(angles):
        first[i, i] = 1.0
        second[i, i], second[k + i, i] = math.cos(angle), math.sin(angle)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return torch.tensor(rotation @ first), torch.tensor(rotation @ second)


@pytest.mark.parametrize("angle", [1e-14, 1e-10, 1e-6, 1e-2, 0.7, 0.9, 1.5, math.pi / 2 - 1e-9])
def test_a_known_angle_is_recovered(angle):
    found = principal_angles(*_planes([angle]))
    assert float(found) == pytest.approx(angle, abs=2e-15, rel=1e-9)


def test_angles_come_in_ascending_order_and_mixed_sizes_keep_their_digits():
    angles = [1e-9, 1e-3, 0.5, 1.2]
    found = principal_angles(*_planes(angles, n=16)).numpy()
    np.testing.assert_allclose(found, angles, rtol=1e-6, atol=1e-15)


def test_arccos_alone_would_lose_a_small_angle():
    first, second = _planes([1e-9])
    cosine = float(torch.linalg.svdvals(first.mT @ second))
    assert abs(math.acos(min(1.0, cosine)) - 1e-9) > 5e-10
    assert float(principal_angles(first, second)) == pytest.approx(1e-9, rel=1e-5)


def test_angles_of_a_perturbed_basis_agree_with_fifty_digits():
    rng = np.random.default_rng(3)
    first = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    second = np.linalg.qr(first + 1e-7 * rng.standard_normal((8, 3)))[0]
    with mpmath.workdps(50):
        a, b = mpmath.matrix(first.tolist()), mpmath.matrix(second.tolist())
        a, b = (mpmath.qr(m, mode="skinny")[0] for m in (a, b))
        residual = b - a * (a.T * b)
        sines = sorted(float(s) for s in mpmath.svd_r(residual, compute_uv=False))
    found = principal_angles(torch.tensor(first), torch.tensor(second)).numpy()
    np.testing.assert_allclose(found, np.arcsin(sines), atol=1e-14 / 3)


def test_similarity_is_the_mean_squared_cosine():
    angles = [0.1, 0.7, 1.3]
    assert subspace_similarity(*_planes(angles)) == pytest.approx(np.mean(np.cos(angles) ** 2))


def test_captured_energy_of_both_sides():
    matrix = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    basis = torch.eye(3, dtype=torch.float64)[:, :1]
    assert captured_energy(matrix, basis, left=True) == pytest.approx(9 / 14)
    assert captured_energy(matrix, basis, left=False) == pytest.approx(9 / 14)
