"""Bootstrap intervals printed in the documentation of R's package boot (Davison and Hinkley 1997), R = 999.

Published ends are one draw of 999 resamples, so they must lie within what such draws give.
"""

import numpy as np
import pytest
from scipy import stats

from geostat.statistics.bootstraps.bootstrap_intervals import bootstrap_interval
from geostat.statistics.bootstraps.resampling import MEAN, from_callable

AIRCONDIT = np.array([3.0, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487])
"""Hours between failures of air-conditioning: their example 1.1."""
CITY = np.array(
    [
        [138.0, 93, 61, 179, 48, 37, 29, 23, 30, 2],
        [143.0, 104, 69, 260, 75, 63, 50, 48, 111, 50],
    ]
).T
"""Populations of ten cities in 1920 (u) and 1930 (x), in thousands: their example 1.2."""

DRAWS = 200


def ratio(values, axis):
    total = values.sum(axis=axis)
    return total[..., 1] / total[..., 0]


RATIO = from_callable(ratio)


def drawn_ends(units, estimator, method, vectors=False):
    """Ends of intervals of R = 999 over many seeds."""
    ends = []
    for seed in range(DRAWS):
        found = bootstrap_interval(
            units[None],
            estimator,
            method,
            level=0.95,
            n_resamples=999,
            rng=np.random.default_rng(seed),
            vectors=vectors,
        )
        ends.append((found.low[0], found.high[0]))
    return np.array(ends)


@pytest.mark.parametrize(
    ("units", "estimator", "method", "estimate", "published", "digits"),
    [
        (AIRCONDIT, MEAN, "basic", 108.083, (21.2, 169.4), 3),
        (AIRCONDIT, MEAN, "percentile", 108.083, (46.8, 195.0), 3),
        (CITY, RATIO, "bca", 1.5203, (1.254, 2.058), 4),
    ],
    ids=["aircondit basic", "aircondit percentile", "city BCa"],
)
def test_published_ends_are_draws_of_ours(units, estimator, method, estimate, published, digits):
    axis = -units.ndim
    assert estimator.statistic(units, axis) == pytest.approx(estimate, abs=0.51 * 10.0**-digits)
    ends = drawn_ends(units, estimator, method, vectors=units.ndim == 2)
    for end, drawn in zip(published, ends.T, strict=True):
        # Inside the middle 99% of draws, and those lie close enough together for this to say something.
        assert np.quantile(drawn, 0.005) <= end <= np.quantile(drawn, 0.995)
        assert drawn.std() < 0.1 * (published[1] - published[0])


@pytest.mark.parametrize(
    ("method", "name"), [("percentile", "percentile"), ("basic", "basic"), ("bca", "BCa")]
)
def test_city_ratio_agrees_with_scipy(method, name):
    def of_columns(u, x, axis=-1):
        return x.sum(axis=axis) / u.sum(axis=axis)

    many = 20000
    expected = stats.bootstrap(
        tuple(CITY.T), of_columns, paired=True, n_resamples=many, method=name, rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap_interval(
        CITY[None],
        RATIO,
        method,
        level=0.95,
        n_resamples=many - 1,
        rng=np.random.default_rng(2),
        vectors=True,
    )
    spread = drawn_ends(CITY, RATIO, method, vectors=True).std(axis=0) * np.sqrt(1000 / many)
    np.testing.assert_allclose(found.low[0], expected.low, atol=5 * spread[0])
    np.testing.assert_allclose(found.high[0], expected.high, atol=5 * spread[1])
