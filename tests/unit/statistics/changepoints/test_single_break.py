"""The scan over all curves finds what trying every break finds."""

import numpy as np
import pytest

from geostat.statistics.changepoints import single_break
from geostat.statistics.changepoints.single_break import single_breaks


def by_trying(curve, smallest):
    candidates = range(smallest, len(curve) - smallest + 1)
    return min(candidates, key=lambda k: round(curve[:k].var() * k + curve[k:].var() * (len(curve) - k), 9))


@pytest.mark.parametrize(("length", "smallest"), [(4, 2), (5, 1), (30, 4), (61, 9)])
def test_every_break_is_tried(length, smallest, monkeypatch):
    monkeypatch.setattr(single_break, "AT_ONCE", 3 * length)  # several blocks, the last one not full
    curves = np.random.default_rng(0).normal(size=(20, length))
    assert single_breaks(curves, smallest).tolist() == [by_trying(curve, smallest) for curve in curves]


def test_of_equally_good_breaks_the_earliest_is_taken():
    assert single_breaks(np.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]), 2).tolist() == [2]


def test_a_constant_curve_breaks_at_the_first_place_allowed():
    assert single_breaks(np.full((1, 9), 0.5), 3).tolist() == [3]
