"""The null law of sup-F: published critical values, a finite-difference solution, and simulation."""

import math

import numpy as np
import pytest
from scipy.linalg import eigh_tridiagonal
from scipy.stats import chi2

from geostat.statistics.changepoints.sup_f import largest_gain, sup_f_p_value


def test_p_values_at_published_critical_values():
    # Andrews (1993), Table I, one parameter, trimming .15: 10, 5 and 1%; simulated there on a grid of
    # 3,600 points, which misses a little of the supremum
    found = [sup_f_p_value(value, 0.15) for value in (7.17, 8.85, 12.35)]
    assert found == pytest.approx([0.10, 0.05, 0.01], rel=0.07)
    assert found[1] == pytest.approx(0.05, abs=0.0005)


def finite_differences(x, trimming, points=4000):
    """Survival of the Ornstein-Uhlenbeck process between absorbing walls, on a grid."""
    end = math.sqrt(x)
    h = 2 * end / points
    u = np.linspace(-end, end, points + 1)[1:-1]
    off = np.full(points - 2, -0.5 / h**2)
    rates, modes = eigh_tridiagonal(1 / h**2 + u**2 / 8 - 0.25, off, select="i", select_range=(0, 30))
    start = modes.T @ np.exp(-(u**2) / 4) * math.sqrt(h) / (2 * math.pi) ** 0.25
    return 1 - (np.exp(-2 * math.log((1 - trimming) / trimming) * rates) * start**2).sum()


@pytest.mark.parametrize("trimming", [0.02, 0.15, 0.4])
@pytest.mark.parametrize("x", [0.5, 3.0, 9.0, 20.0])
def test_cosines_solve_what_finite_differences_solve(x, trimming):
    assert sup_f_p_value(x, trimming) == pytest.approx(finite_differences(x, trimming), abs=2e-6)


def test_far_tail_is_the_asymptotic_one():
    # DeLong (1981), as in Andrews (1993): density times ((1 - 1/x) L + 2/x)
    x, duration = 40.0, 2 * math.log(0.85 / 0.15)
    tail = math.sqrt(x / (2 * math.pi)) * math.exp(-x / 2) * ((1 - 1 / x) * duration + 2 / x)
    assert sup_f_p_value(x, 0.15) == pytest.approx(tail, rel=0.03)


def test_one_place_left_gives_a_chi_square():
    for x in (0.5, 3.84, 12.0):
        assert sup_f_p_value(x, 0.5) == pytest.approx(chi2.sf(x, 1), rel=1e-12)
        assert sup_f_p_value(x, 0.49999) == pytest.approx(chi2.sf(x, 1), rel=0.1)


def test_p_value_falls_from_one_to_zero():
    grid = [sup_f_p_value(x, 0.15) for x in (0.0, 0.1, 1.0, 5.0, 10.0, 50.0, 99.0, 101.0, 1e6, math.inf)]
    assert grid == sorted(grid, reverse=True)
    assert (grid[0], grid[-1]) == (1.0, 0.0)


def test_more_trimming_leaves_less_to_exceed():
    assert sup_f_p_value(6.0, 0.3) < sup_f_p_value(6.0, 0.15) < sup_f_p_value(6.0, 0.05)


def test_long_gaussian_series_reach_the_limit():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((800, 300))
    share = np.mean([sup_f_p_value(largest_gain(draw, 45), 0.15) < 0.2 for draw in draws])
    assert share == pytest.approx(0.2, abs=0.04)


def test_gain_is_the_fall_of_the_residual_sum_of_squares():
    series = np.random.default_rng(1).normal(size=20)
    falls = [
        ((series - series.mean()) ** 2).sum()
        - ((series[:k] - series[:k].mean()) ** 2).sum()
        - ((series[k:] - series[k:].mean()) ** 2).sum()
        for k in range(4, 17)
    ]
    assert largest_gain(series, 4) == pytest.approx(max(falls))
