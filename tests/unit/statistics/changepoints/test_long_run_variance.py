"""The long-run variance: its formula re-derived, and what it estimates."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from geostat.statistics.changepoints.long_run import autocorrelation, long_run_variance


def autoregression(shape, rho, rng):
    return lfilter([1], [1, -rho], rng.normal(size=(*shape[:-1], shape[-1] + 300)), axis=-1)[..., 300:]


def by_loops(e, n_fitted):
    """Prewhitening, quadratic-spectral weights and recolouring, written out term by term."""
    n = len(e)
    rho = sum(e[t] * e[t - 1] for t in range(1, n)) / sum(e[t - 1] ** 2 for t in range(1, n))
    rho = rho + (1 + 3 * rho) * n_fitted / n
    rho = max(-0.97, min(0.97, rho))
    u = [e[t] - rho * e[t - 1] for t in range(1, n)]
    a = sum(u[t] * u[t - 1] for t in range(1, n - 1)) / sum(u[t - 1] ** 2 for t in range(1, n - 1))
    bandwidth = 1.3221 * (4 * a**2 / (1 - a) ** 4 * (n - 1)) ** 0.2
    total = sum(x**2 for x in u) / (n - 1)
    for lag in range(1, n - 1):
        x = lag / bandwidth
        z = 6 * math.pi * x / 5
        weight = 25 / (12 * math.pi**2 * x**2) * (math.sin(z) / z - math.cos(z))
        total += 2 * weight * sum(u[t] * u[t - lag] for t in range(lag, n - 1)) / (n - 1)
    return total / (1 - rho) ** 2


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("n_fitted", [0, 3])
def test_it_is_the_formula(rho, n_fitted):
    e = autoregression((80,), rho, np.random.default_rng(2))
    e -= e.mean()
    assert long_run_variance(e, n_fitted) == pytest.approx(by_loops(e, n_fitted), rel=1e-10)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.8])
def test_it_estimates_the_spectrum_at_frequency_zero(rho):
    """Errors of unit innovations have the long-run variance 1 / (1 - rho)^2."""
    draws = autoregression((40, 4000), rho, np.random.default_rng(3))
    found = np.mean([long_run_variance(e - e.mean(), 1) for e in draws])
    assert found == pytest.approx(1 / (1 - rho) ** 2, rel=0.06)


def test_it_scales_with_the_square():
    e = np.random.default_rng(4).normal(size=50)
    assert long_run_variance(1e-4 * e, 2) == pytest.approx(1e-8 * long_run_variance(e, 2), rel=1e-9)


def test_nothing_varies():
    assert long_run_variance(np.zeros(9), 1) == 0.0
    assert autocorrelation(np.zeros(9)) == 0.0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_segments_have_a_finite_variance(count):
    assert math.isfinite(long_run_variance(np.array([1.0, -1.0, 0.5])[:count], 1))


def test_autocorrelation_of_alternating_and_of_slow_residuals():
    assert autocorrelation(np.array([1.0, -1.0] * 50)) == pytest.approx(-0.99)
    assert autocorrelation(np.repeat([1.0, -1.0], 50)) == pytest.approx(0.97)
