"""Bounds from the rounding cells alone hold for every update in them."""

import numpy as np
import torch
from hypothesis import given, strategies as st

from geostat.diagnostics import stable_rank, top_k_energy, update_norm
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells
from geostat.nulls.latents.bounds import bounds


def pair(seed, size):
    rng = np.random.default_rng(seed)
    initial = torch.from_numpy(rng.standard_normal((12, 17))).to(torch.bfloat16)
    update = torch.from_numpy(
        np.outer(*(rng.standard_normal(n) for n in (12, 17))) + rng.standard_normal((12, 17))
    )
    update = update * size
    return initial, update, round_to_bf16(initial.to(torch.float64) + update)


def leading(matrix):
    u, _, v = torch.linalg.svd(matrix)
    return u[:, 0], v[0]


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-4, 1e-3, 1e-2, 0.1, 10.0]))
def test_the_true_figures_lie_in_the_bounds(seed, size):
    initial, update, updated = pair(seed, size)
    found = bounds(rounding_cells(initial, updated), 3, leading(update), leading(-update))
    true = {
        "update_norm": update_norm(update),
        "stable_rank": stable_rank(update),
        "top_k_energy": top_k_energy(update, K=3),
    }
    for name, value in true.items():
        low, high = found[name]
        assert low * (1 - 1e-12) <= value <= high * (1 + 1e-12), name


def test_bounds_close_where_every_entry_changed_by_many_ulps():
    initial, update, updated = pair(0, 10.0)
    low, high = bounds(rounding_cells(initial, updated), 3, leading(update))["stable_rank"]
    assert high / low < 1.1


def test_where_nothing_changed_only_the_largest_size_is_known():
    initial, _, _ = pair(0, 1.0)
    found = bounds(rounding_cells(initial, initial), 3)
    half_ulps = rounding_cells(initial, initial)
    farthest = torch.maximum(-half_ulps.low, half_ulps.high)
    assert found["update_norm"] == (0.0, float(torch.linalg.vector_norm(farthest)))
    assert found["stable_rank"] == (1.0, 12)
    assert found["top_k_energy"] == (3 / 12, 1.0)
