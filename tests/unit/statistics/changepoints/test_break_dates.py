"""The law of a break date's estimate: against quadrature, simulation, and published quantiles."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from geostat.statistics.changepoints.break_dates import argmax_quantile, argmax_tail, break_interval
from geostat.statistics.changepoints.segments import optimal_partitions


def integrated_tail(x, ratio):
    """P(argmax > x) by numerical integration over the height of the maximum."""

    def reached_after(y):
        root = math.sqrt(x)
        return math.exp(-y) * norm.cdf((y - x / 2) / root) - norm.cdf(-(y + x / 2) / root)

    return quad(lambda y: -math.expm1(-y / ratio) * reached_after(y), 0, np.inf)[0]


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0, 3.0, 40.0])
@pytest.mark.parametrize("x", [0.01, 1.0, 5.0, 20.0])
def test_closed_form_is_the_integral(x, ratio):
    assert argmax_tail(x, ratio) == pytest.approx(integrated_tail(x, ratio), rel=1e-6, abs=1e-10)


@given(ratio=st.floats(1e-3, 1e3))
def test_the_two_sides_have_probability_one_together(ratio):
    assert argmax_tail(0.0, ratio) + argmax_tail(0.0, 1 / ratio) == pytest.approx(1)


@given(ratio=st.floats(1e-2, 1e2), x=st.floats(1e-6, 200.0), further=st.floats(0.01, 10.0))
def test_tail_falls(ratio, x, further):
    assert 0 <= argmax_tail(x + further, ratio) <= argmax_tail(x, ratio) + 1e-12


def test_quantile_of_equal_variances_is_the_published_one():
    # Bai (1997), section 4: 95% critical value 11 of the symmetric case; 7.7 for 90% (Bai 1994, Yao 1987)
    assert argmax_quantile(0.025, 1.0) == pytest.approx(11.03, abs=0.005)
    assert argmax_quantile(0.05, 1.0) == pytest.approx(7.69, abs=0.02)


def test_quantile_inverts_the_tail():
    for ratio in (0.1, 1.0, 7.0):
        for tail in (0.001, 0.025, 0.05):
            assert argmax_tail(argmax_quantile(tail, ratio), ratio) == pytest.approx(tail, abs=1e-9)


def test_a_side_less_probable_than_the_tail_has_quantile_zero():
    assert argmax_quantile(0.025, 50.0) == 0.0


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_simulated_two_sided_walks_have_this_argmax(ratio):
    """Fine random walks with drift on both sides; the grid moves the argmax by less than its step."""
    rng = np.random.default_rng(11)
    step, length, count = 0.05, 1000, 2500
    height = np.zeros((2, count))
    place = np.zeros((2, count))
    for side, variance in enumerate((ratio, 1.0)):
        walk = rng.normal(-step / 2, math.sqrt(variance * step), (count, length)).cumsum(axis=1)
        height[side] = np.maximum(walk.max(axis=1), 0)
        place[side] = np.where(height[side] > 0, step * (walk.argmax(axis=1) + 1), 0)
    argmax = np.where(height[1] > height[0], place[1], -place[0])
    for x in (0.5, 2.0, 6.0):
        expected = argmax_tail(x, ratio)
        error = math.sqrt(expected * (1 - expected) / count)
        assert (argmax > x).mean() == pytest.approx(expected, abs=3 * error + 0.01)


def test_interval_scales_with_the_squared_shift():
    narrow, wide = (break_interval(500, shift, 1.0, 1.0, 0.95, 1000) for shift in (1.0, 0.5))
    assert narrow == (500 - 12, 500 + 12)  # 11.03 rounded outward
    assert wide == (500 - 45, 500 + 45)  # 4 times 11.03


def test_ends_are_the_first_whole_observations_beyond_the_quantiles():
    """The estimate is late by steps of noise after the change, and early by steps of noise before it."""
    shift, before, after = 0.7, 0.5, 4.0
    low, high = break_interval(500, shift, before, after, 0.95, 1000)
    late, early = 500 - low, high - 500
    assert late > early
    for distance, own, other in ((late, after, before), (early, before, after)):
        tails = [argmax_tail(d * shift**2 / own, other / own) for d in (distance, distance - 1)]
        assert tails[0] <= 0.025 < tails[1]


def test_simulated_estimates_are_late_by_the_noise_after_the_change():
    rng = np.random.default_rng(12)
    count, length, at = 1500, 160, 80
    series = rng.normal(size=(count, length)) * np.where(np.arange(length) < at, 0.6, 1.6)
    series[:, at:] += 1.2
    estimates = optimal_partitions(series, 1, 2).breaks[1][:, 0]
    for late, own, other in ((estimates - at, 1.6, 0.6), (at - estimates, 0.6, 1.6)):
        expected = argmax_tail(3.5 * 1.2**2 / own**2, (other / own) ** 2)
        assert (late > 3).mean() == pytest.approx(expected, abs=0.04)


def test_interval_stays_within_the_series():
    assert break_interval(3, 0.01, 1.0, 1.0, 0.95, 10) == (1, 9)
