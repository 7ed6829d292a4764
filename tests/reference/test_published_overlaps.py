"""Overlap of two random planes, and other rows of published values not held elsewhere.

For a fixed and a Haar-distributed K-plane of R^n, norm_F(U^T V)^2 / K is, up to scale, the trace of a
matrix Beta variate with K/2 and (n - K)/2 degrees of freedom (Muirhead 1982, Theorem 3.3.3): mean K/n,
variance 2 (n - K)^2 / (n^2 (n - 1) (n + 2)).
"""

import math

import numpy as np
import pytest

import geostat as gs


def haar(n, K, draws, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((draws, n, K)))[0]


def within_three_errors(found, mean, variance):
    count = len(found)
    assert found.mean() == pytest.approx(mean, abs=3 * math.sqrt(variance / count))
    spread = found.var(ddof=1)
    fourth = ((found - found.mean()) ** 4).mean()
    assert spread == pytest.approx(variance, abs=3 * math.sqrt((fourth - spread**2) / count))


@pytest.mark.parametrize(
    ("n", "K"),
    [pytest.param(12, 1, marks=pytest.mark.slow), (20, 8), pytest.param(32, 4, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_channels_of_unrelated_updates_overlap_as_haar_planes(n, K, side):
    """Through the public metric: two rank-K updates whose singular spaces are independent."""
    draws = 600
    planes = haar(n, 2 * K, 2 * draws, seed=n + K)
    values = np.arange(K + 1, 1, -1.0)
    updates = np.einsum("rik,k,rjk->rij", planes[..., :K], values, planes[..., K:])
    found = np.array(
        [
            gs.similarity_to_end(a, b, K=K, side=side)
            for a, b in zip(updates[:draws], updates[draws:], strict=True)
        ]
    )
    within_three_errors(found, K / n, 2 * (n - K) ** 2 / (n**2 * (n - 1) * (n + 2)))


def test_overlap_of_a_plane_with_itself_and_with_its_complement():
    (plane,) = haar(10, 6, 1, seed=1)
    one, other = plane[:, :3], plane[:, 3:]
    assert gs.similarity_to_end(one @ one.T, one @ one.T, K=3) == pytest.approx(1)
    assert gs.similarity_to_end(one @ one.T, other @ other.T, K=3) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n", [20, 50, 1000])
def test_stable_rank_of_the_harmonic_diagonal_is_the_generalised_harmonic_number(n):
    # H(n, 2) = pi^2/6 - 1/n + 1/(2 n^2) - 1/(6 n^3) + ... (Euler and Maclaurin)
    series = math.pi**2 / 6 - 1 / n + 1 / (2 * n**2) - 1 / (6 * n**3) + 1 / (30 * n**5)
    assert gs.stable_rank(np.diag(1 / np.arange(1.0, n + 1))) == pytest.approx(series, abs=1 / n**7 + 1e-13)
