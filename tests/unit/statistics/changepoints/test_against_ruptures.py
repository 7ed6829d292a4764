"""The same optimum as another implementation of exact segmentation."""

import numpy as np
import pytest

from geostat.statistics.changepoints.segments import optimal_partitions

ruptures = pytest.importorskip("ruptures")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("length", "min_segment"), [(30, 2), (60, 5), (90, 13)])
@pytest.mark.parametrize("n_breaks", [1, 2, 4])
def test_partition_and_cost_are_those_of_ruptures(seed, length, min_segment, n_breaks):
    rng = np.random.default_rng([seed, length, n_breaks])
    series = rng.normal(size=length) + (np.arange(length) > length // 3)
    ours = optimal_partitions(series, n_breaks, min_segment)
    theirs = ruptures.Dynp(model="l2", jump=1, min_size=min_segment).fit(series)
    ends = theirs.predict(n_breaks)
    assert ours.breaks[n_breaks].tolist() == ends[:-1]
    assert ours.rss[n_breaks] == pytest.approx(theirs.cost.sum_of_costs(ends), rel=1e-10)
