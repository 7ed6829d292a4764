"""Refinement by products reaches the decomposition, for every kind of update."""

import numpy as np
import pytest
import torch

from geostat.bench.pairs import SPARSITY, updated_weight
from geostat.bench.refinement import refined
from geostat.linalg import Factored
from geostat.nulls.published.weights import heavy_tailed_weight


@pytest.mark.parametrize("kind", list(SPARSITY))
def test_sweeps_from_the_start_reach_the_decomposition_of_the_end(kind):
    before = heavy_tailed_weight(160, 160, np.random.default_rng(0))
    after = updated_weight(before, kind, np.random.default_rng(1)).double()
    left, _, right = Factored(before).svd
    found = refined(left, right, after)
    assert 1 < found.sweeps < 8
    truth = np.linalg.svd(after.numpy(), compute_uv=False)
    assert np.sort(found.values.numpy())[::-1] == pytest.approx(truth, abs=1e-13 * truth[0])
    for basis in (found.left, found.right):
        assert torch.allclose(basis.mT @ basis, torch.eye(160, dtype=torch.float64), rtol=0, atol=1e-13)
    again = (found.left * found.values) @ found.right.mT
    assert float((again - after).abs().max()) < 1e-12 * truth[0]
