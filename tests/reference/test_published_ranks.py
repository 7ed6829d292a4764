"""Values that can be worked out on paper or stand in the literature, with their source."""

import math

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.linalg import subspace_similarity


def test_stable_rank_of_the_harmonic_diagonal():
    # sum of 1/i^2 for i = 1..10 is 1.5497677311665406 (partial sum of the Basel series)
    assert gs.stable_rank(np.diag(1 / np.arange(1, 11))) == pytest.approx(1.5497677, abs=5e-8)


def test_stable_rank_of_the_harmonic_diagonal_tends_to_the_basel_sum():
    n = 400  # the tail of the series beyond n is between 1/(n+1) and 1/n
    found = gs.stable_rank(np.diag(1 / np.arange(1, n + 1)))
    assert math.pi**2 / 6 - 1 / n < found < math.pi**2 / 6 - 1 / (n + 1)


def test_stable_rank_of_a_gaussian_matrix():
    # largest singular value near sqrt(m) + sqrt(n) (Geman 1980), squared norm near m n
    m, n = 300, 200
    draws = np.random.default_rng(0).standard_normal((20, m, n))
    found = np.mean([gs.stable_rank(draw) for draw in draws])
    assert found == pytest.approx(m * n / (math.sqrt(m) + math.sqrt(n)) ** 2, rel=0.03)


def test_effective_rank_of_three_two_one():
    # Roy and Vetterli (2007), power 1: exp(H(1/2, 1/3, 1/6)) = 2.7495
    assert gs.effective_rank(np.diag([3.0, 2.0, 1.0])) == pytest.approx(2.75, abs=0.005)


def test_hill_exponent_of_exact_pareto_quantiles():
    # for s_i = (k/i)^(1/a) the estimator is (k-1) a / sum log(k/i)
    k, a = 50, 2.5
    values = (k / np.arange(1, k + 1)) ** (1 / a)
    expected = (k - 1) * a / sum(math.log(k / i) for i in range(1, k))
    assert gs.hill_tail_exponent(np.diag(values), hill_k=k) == pytest.approx(expected, rel=1e-12)


def test_overlap_of_random_planes_has_the_haar_mean_and_variance():
    # two K-planes in R^n: mean K/n, variance 2 (n-K)^2 / (n^2 (n-1)(n+2))
    n, K, draws = 40, 4, 4000
    generator = torch.Generator().manual_seed(0)
    fixed = torch.eye(n, K, dtype=torch.float64)
    planes = torch.linalg.qr(torch.randn(draws, n, K, dtype=torch.float64, generator=generator))[0]
    found = np.array([subspace_similarity(fixed, plane) for plane in planes])
    variance = 2 * (n - K) ** 2 / (n**2 * (n - 1) * (n + 2))
    assert found.mean() == pytest.approx(K / n, abs=3 * math.sqrt(variance / draws))
    spread = found.var(ddof=1)
    fourth = ((found - found.mean()) ** 4).mean()
    assert spread == pytest.approx(variance, abs=3 * math.sqrt((fourth - spread**2) / draws))


def test_capture_of_random_directions_is_zero_on_average():
    rng = np.random.default_rng(0)
    found = [
        gs.forward_capture(rng.standard_normal((20, 20)), rng.standard_normal((20, 20)), K=4)
        for _ in range(300)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))
