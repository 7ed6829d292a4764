"""Masks by histogram and by codes against masks by sorting."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import geostat as gs
from geostat.linalg import changed_entries, elementwise_masks, factored, magnitude_mask
from geostat.linalg.elementwise import Comparison, expect
from geostat.linalg.elementwise_masks import NEAR_TIE, low_magnitude_overlap, principal_overlap
from geostat.linalg.elementwise_selection import order_statistics
from geostat.linalg.masks import magnitudes
from geostat.testing import ORACLES

SEEDS = st.integers(0, 2**32 - 1)
COMPARED = {"eta": 1e-3, "rule": "relative"}


@given(SEEDS, st.sampled_from([16, 32, 64]), st.integers(1, 200), st.integers(1, 50))
def test_order_statistics_are_those_of_the_sorted_values(seed, n_bits, size, distinct):
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2 ** (n_bits - 1), distinct)
    values = rng.choice(pool, size).astype(f"i{n_bits // 8}")
    ranks = [0, size // 2, size - 1]
    found = order_statistics(lambda: np.array_split(values, 3), ranks, n_bits=n_bits)
    for rank, each in zip(ranks, found, strict=True):
        value = np.sort(values)[rank]
        assert each == (value, np.sum(values < value), np.sum(values == value))


def _pair(seed, shape, dtype, coarse):
    rng = np.random.default_rng(seed)
    entries = rng.integers(-3, 4, shape) if coarse else rng.standard_normal(shape)
    factors = 1 + rng.integers(0, 2, shape) * 0.25
    initial = torch.tensor(np.asarray(entries, dtype=float))
    return factored(initial.to(dtype)), factored((initial * torch.tensor(factors)).to(dtype))


@given(
    SEEDS,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32, torch.float64]),
    st.booleans(),
    st.sampled_from([0.01, 0.3, 0.5, 0.99]),
    st.sampled_from(["bf16", "raw"]),
)
def test_low_magnitude_overlap_is_that_of_the_sorted_mask(seed, shape, dtype, coarse, alpha, space):
    initial, updated = _pair(seed, shape, dtype, coarse)
    found = low_magnitude_overlap(initial, updated, alpha=alpha, space=space, **COMPARED)
    changed = changed_entries(initial, updated, space=space, **COMPARED)
    if not changed.any():
        assert found is None
    else:
        mask = magnitude_mask(magnitudes(initial, space), alpha, largest=False)
        assert found == pytest.approx(mask.expected_share_of(changed), abs=1e-12)


@given(SEEDS, st.booleans(), st.sampled_from([0.001, 0.1, 0.3, 0.5, 0.9]), st.integers(1, 4))
def test_principal_overlap_is_that_of_the_definition(seed, coarse, alpha, r):
    initial, updated = _pair(seed, (9, 11), torch.float32, coarse)
    before, after = initial.values.numpy(), updated.values.numpy()
    values = np.linalg.svd(before, compute_uv=False)
    found = principal_overlap(initial, updated, alpha=alpha, r=r, space="bf16", **COMPARED)
    settings = {"alpha": alpha, "r": r, "space": "bf16", **COMPARED}
    expected = ORACLES["principal_mask_overlap"](before, after, **settings)
    if found is None:
        assert np.isnan(expected)
    elif values[r - 1] - values[r] > 1e-3 * values[0]:  # else the reconstruction is not determined
        assert found == pytest.approx(expected, abs=1e-12)


@given(SEEDS, st.sampled_from([0.2, 0.3, 0.5]))
def test_near_ties_in_the_reconstruction_count_as_ties(seed, alpha):
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(1, 4, 6).astype(float), rng.integers(1, 4, 5).astype(float)
    initial = np.outer(rows, cols)  # of rank one, with many equal entries
    updated = initial * (1 + rng.integers(0, 2, initial.shape))
    sorted_mask = magnitude_mask(torch.tensor(initial), alpha, largest=True)
    changed = torch.tensor(updated != initial)
    if bool(changed.any()):
        found = gs.principal_mask_overlap(initial, updated, alpha=alpha, r=1)
        assert found == pytest.approx(sorted_mask.expected_share_of(changed), abs=1e-12)


def test_a_reconstruction_of_zero_ties_all_its_entries():
    initial, updated = torch.zeros(6, 6), torch.zeros(6, 6)
    updated[2, 3] = 1.0
    assert gs.principal_mask_overlap(initial, updated, alpha=0.25, r=2) == pytest.approx(0.25)
    assert gs.low_magnitude_mask_overlap(initial, updated, alpha=0.25) == pytest.approx(0.25)


def test_masks_of_all_expected_sizes_are_made_once(monkeypatch):
    passes, made = [], []
    blocks = Comparison.blocks
    for name in ("rank_by_magnitude", "rank_by_reconstruction"):
        make = getattr(elementwise_masks, name)
        monkeypatch.setattr(elementwise_masks, name, lambda *args, make=make: made.append(1) or make(*args))
    monkeypatch.setattr(Comparison, "blocks", lambda self, etas: passes.append(1) or blocks(self, etas))
    initial, first = _pair(0, (20, 20), torch.bfloat16, coarse=False)
    second = factored(first.stored * 2)
    alphas = (0.1, 0.3, 0.5)
    expect(initial, alphas=alphas)
    for updated in (first, second):
        for alpha in alphas:
            gs.low_magnitude_mask_overlap(initial, updated, alpha=alpha)
            gs.principal_mask_overlap(initial, updated, alpha=alpha, r=3)
    assert len(passes) == 4  # one per mask and checkpoint
    assert len(made) == 2  # one per mask and run


def test_shares_are_the_same_whatever_is_expected():
    initial, updated = _pair(4, (30, 20), torch.bfloat16, coarse=True)
    alone = gs.low_magnitude_mask_overlap(initial, updated, alpha=0.3)
    again = factored(initial.stored)
    expect(again, alphas=(0.05, 0.3, 0.9))
    assert gs.low_magnitude_mask_overlap(again, updated, alpha=0.3) == alone


def test_one_changed_entry_is_in_or_out():
    initial = torch.arange(1.0, 101.0).reshape(10, 10)
    updated = initial.clone()
    updated[0, 0] = 4.0
    assert gs.low_magnitude_mask_overlap(initial, updated, alpha=0.5) == 1.0
    assert gs.low_magnitude_mask_overlap(initial.T, updated.T, alpha=0.5) == 1.0
    assert gs.principal_mask_overlap(initial, updated, alpha=0.5, r=2) == 0.0
    assert NEAR_TIE < 1e-9
