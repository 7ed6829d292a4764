"""Angles and singular values of small matrices against thirty digits."""

import mpmath
import numpy as np
import pytest
import torch

from geostat.linalg import Factored, principal_angles
from geostat.linalg.spectra import decompose

DIGITS = 30


def _orthogonal(rng, n, k):
    """Orthonormal columns to thirty digits."""
    return mpmath.qr(mpmath.matrix(rng.standard_normal((n, k)).tolist()), mode="skinny")[0]


def _to_float(matrix):
    return np.array([[float(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)])


def _true_angles(first, second):
    """Principal angles of column spans given in thirty digits, in degrees, ascending."""
    rest = second - first * (first.T * second)
    sines = mpmath.svd_r(rest, compute_uv=False)
    return np.array(sorted(float(mpmath.degrees(mpmath.asin(s))) for s in sines))


@pytest.mark.parametrize("n", [6, 20, 40])
@pytest.mark.parametrize("size", [4e-10, 1e-5, 0.4])
def test_angles_between_given_subspaces_are_right_to_1e_12_degrees(n, size):
    rng, k = np.random.default_rng(n), n // 3
    with mpmath.workdps(DIGITS):
        basis = _orthogonal(rng, n, 2 * k)
        turns = [mpmath.radians(mpmath.mpf(size) * (i + 1) / k) for i in range(k)]
        first, second = basis[:, :k], mpmath.matrix(n, k)
        for j, turn in enumerate(turns):
            for i in range(n):
                second[i, j] = mpmath.cos(turn) * basis[i, j] + mpmath.sin(turn) * basis[i, k + j]
        expected = np.array([float(mpmath.degrees(turn)) for turn in turns])
    found = principal_angles(torch.tensor(_to_float(first)), torch.tensor(_to_float(second)))
    np.testing.assert_allclose(np.degrees(found.numpy()), expected, rtol=0, atol=1e-12)


def _leading(matrix, k):
    """The leading right and left vectors of a matrix of floats, to thirty digits."""
    left, _, right = mpmath.svd_r(mpmath.matrix(matrix.tolist()), full_matrices=False)
    return {"left": left[:, :k], "right": right[:k, :].T}


@pytest.mark.parametrize(
    ("shape", "size"), [((12, 9), 1e-11), ((12, 9), 1e-2), ((33, 36), 1e-10), ((36, 33), 1e-5)], ids=str
)
def test_rotation_of_a_weight_is_right_to_1e_12_degrees(shape, size):
    rng, k = np.random.default_rng(shape), 4
    p = min(shape)
    # two groups of singular values with a wide gap: the truth itself is then known to eps
    values = np.r_[np.linspace(2, 1.5, k), np.linspace(0.5, 0.1, p - k)]
    left, right = (np.linalg.qr(rng.standard_normal((n, p)))[0] for n in shape)
    initial = left * values @ right.T
    updated = initial + size * rng.standard_normal(shape)
    before, after = Factored(torch.tensor(initial), wanted=k), Factored(torch.tensor(updated), wanted=k)
    with mpmath.workdps(DIGITS):
        truth = _leading(initial, k), _leading(updated, k)
        expected = {side: _true_angles(truth[0][side], truth[1][side]) for side in ("left", "right")}
    for side in ("left", "right"):
        found = np.degrees(principal_angles(before.vectors(k, side), after.vectors(k, side)).numpy())
        np.testing.assert_allclose(found, expected[side], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(1, 0.01, 36),
        np.r_[np.linspace(1, 0.5, 34), 1e-9, 1e-12],
        np.r_[1e4, np.linspace(1, 0.5, 35)],
    ],
    ids=["spread", "two small ones", "one outlier"],
)
def test_singular_values_are_right_to_a_few_ulps_of_the_largest(values):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 36)))[0] for n in (36, 40))
    matrix = left * values @ right.T
    with mpmath.workdps(DIGITS):
        true = mpmath.svd_r(mpmath.matrix(matrix.tolist()), compute_uv=False)
    found = decompose(torch.tensor(matrix), 3).spectrum.values.numpy()
    np.testing.assert_allclose(
        found, [float(s) for s in true], rtol=0, atol=10 * np.finfo(float).eps * values[0]
    )
