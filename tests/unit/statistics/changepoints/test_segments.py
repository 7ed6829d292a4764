"""Exact search: against enumeration of all partitions, and laws that a least-squares partition obeys."""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from geostat.statistics.changepoints import segments
from geostat.statistics.changepoints.segments import optimal_partitions, residuals_of, segment_means


def cost(series, breaks):
    ends = [0, *breaks, len(series)]
    return sum(((series[a:b] - series[a:b].mean()) ** 2).sum() for a, b in itertools.pairwise(ends))


def enumerated(series, n_breaks, min_segment):
    """The least cost over all admissible partitions, one by one."""
    places = itertools.combinations(range(1, len(series)), n_breaks)
    admissible = [
        p for p in places if all(b - a >= min_segment for a, b in itertools.pairwise([0, *p, len(series)]))
    ]
    return min((cost(series, p), p) for p in admissible)


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(4, 12),
    min_segment=st.integers(1, 3),
    n_breaks=st.integers(0, 3),
    offset=st.sampled_from([0.0, 1e6]),
)
def test_search_finds_the_best_of_all_partitions(seed, length, min_segment, n_breaks, offset):
    n_breaks = min(n_breaks, length // min_segment - 1)
    series = np.random.default_rng(seed).normal(size=length) + offset
    found = optimal_partitions(series, n_breaks, min_segment)
    least, breaks = enumerated(series, n_breaks, min_segment)
    assert tuple(found.breaks[n_breaks]) == breaks
    assert found.rss[n_breaks] == pytest.approx(least, rel=1e-9)


def test_many_series_are_searched_as_one_by_one():
    many = np.random.default_rng(3).normal(size=(2, 7, 30)).cumsum(axis=-1)
    together = optimal_partitions(many, 3, 4)
    for place in np.ndindex(2, 7):
        alone = optimal_partitions(many[place], 3, 4)
        np.testing.assert_array_equal(together.breaks[3][place], alone.breaks[3])
        np.testing.assert_allclose(together.rss[place], alone.rss, rtol=1e-12)


def test_searching_in_parts_changes_nothing(monkeypatch):
    many = np.random.default_rng(4).normal(size=(9, 20))
    whole = optimal_partitions(many, 2, 3)
    monkeypatch.setattr(segments, "AT_ONCE", 1)
    parts = optimal_partitions(many, 2, 3)
    np.testing.assert_array_equal(whole.breaks[2], parts.breaks[2])
    np.testing.assert_array_equal(whole.rss, parts.rss)


def test_residual_sum_of_squares_falls_with_every_break_that_may_stand_anywhere():
    series = np.random.default_rng(5).normal(size=40)
    assert (np.diff(optimal_partitions(series, 6, 1).rss) < 0).all()


def test_steps_without_noise_are_found_exactly():
    series = np.repeat([1.0, 5.0, 2.0], [7, 11, 5]) * 1e-5 + 0.3
    found = optimal_partitions(series, 2, 2)
    assert found.breaks[2].tolist() == [7, 18]
    assert found.rss[2] == pytest.approx(0, abs=1e-30)


def test_partition_does_not_depend_on_units_or_origin():
    series = np.random.default_rng(6).normal(size=60)
    plain = optimal_partitions(series, 3, 5).breaks[3]
    for scale, shift in [(1e-7, 0.0), (1e7, 3.0), (-2.0, 1e4)]:
        np.testing.assert_array_equal(optimal_partitions(scale * series + shift, 3, 5).breaks[3], plain)


def test_reversed_series_has_the_mirrored_partition():
    series = np.random.default_rng(7).normal(size=50)
    forth = optimal_partitions(series, 2, 4).breaks[2]
    back = optimal_partitions(series[::-1], 2, 4).breaks[2]
    np.testing.assert_array_equal(50 - back[::-1], forth)


def test_means_and_residuals_are_those_of_the_segments():
    series = np.array([[1.0, 3.0, 10.0, 12.0, 14.0]])
    breaks = np.array([[2]])
    np.testing.assert_allclose(segment_means(series, breaks), [[2, 12]])
    np.testing.assert_allclose(residuals_of(series, breaks), [[-1, 1, -2, 0, 2]])
