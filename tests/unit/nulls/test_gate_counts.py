"""Steps between stored numbers, counted in one pass, beside rounding itself."""

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.linalg import factored
from geostat.linalg.elementwise_masks import rank_by_magnitude, rank_by_reconstruction
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells
from geostat.nulls.gates.bins import EDGE, HIGH, LARGEST_STEP, LOW, POWER, STEP_BITS
from geostat.nulls.gates.counts import gate_counts
from geostat.nulls.gates.figures import density, overlap, sparsity
from geostat.nulls.gates.readings import binades, reach
from geostat.nulls.published.weights import heavy_tailed_weight


def _pair(dtype=torch.bfloat16, rows=96, cols=160, size=1e-3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(rows, cols, generator=generator, dtype=torch.float64).mul(0.1).to(dtype)
    update = size * torch.randn(rows, cols, generator=generator, dtype=torch.float64)
    return start, (start.double() + update).to(dtype), update


def _counts(start, end, edges=(), mask=None):
    return gate_counts(factored(start), factored(end), edges=edges, mask=mask)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dead_zones_of_bins_are_the_rounding_cells_of_their_entries(dtype):
    start, end, _ = _pair(dtype)
    bins = _counts(start, end).bins
    low, high = rounding_cells(start, start)
    magnitude = (start.view(torch.int16) & 0x7FFF).numpy()
    negative = (start < 0).numpy()
    outer = np.where(negative, -low.numpy(), high.numpy())
    inner = np.where(negative, high.numpy(), -low.numpy())
    for b in range(len(bins.kind)):
        here = (
            (magnitude >= bins.first[b])
            & (magnitude <= bins.last[b])
            & ((bins.packed[magnitude] >> STEP_BITS) == bins.start[b])
        )
        assert here.any()
        assert np.all(outer[here] == bins.outer[b])
        assert np.all(inner[here] == bins.inner[b])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2])
def test_a_step_of_j_ulps_means_an_update_of_more_than_j_minus_a_half(dtype, size):
    start, end, update = _pair(dtype, size=size)
    found = _counts(start, end)
    exponent, ulp = binades(found.bins)
    entries, hits = reach(found.bins, found.total)
    bits = found.bins.exponent, (start.view(torch.int16) & 0x7FFF).numpy().astype(int)
    width = 7 if dtype is torch.bfloat16 else 10
    mantissa = bits[1] & ((1 << width) - 1)
    inside = (mantissa >= LARGEST_STEP) & (mantissa <= (1 << width) - LARGEST_STEP)
    for i, (one, u) in enumerate(zip(exponent, ulp, strict=True)):
        here = inside & ((bits[1] >> width) == one)
        lengths = update.abs().numpy()[here]
        assert entries[i] == here.sum()
        for j in range(1, LARGEST_STEP + 1):
            assert hits[i, j - 1] == (lengths > (j - 0.5) * u).sum()


def test_blocks_of_rows_columns_and_diagonals_each_hold_every_entry_once():
    start, end, _ = _pair(rows=70, cols=150)
    found = _counts(start, end)
    assert found.rows.sum() == start.numel()
    np.testing.assert_array_equal(found.rows.sum(0), found.columns.sum(0))
    np.testing.assert_array_equal(found.rows.sum(0), found.diagonals.sum(0))
    assert found.rows.sum((1, 2)).max() <= 2 * 150
    one_row = _counts(start[:1], end[:1])
    assert len(one_row.rows) == 1
    assert one_row.total.sum() == 150


def test_a_block_of_rows_is_counted_as_if_it_were_the_matrix():
    start, end, _ = _pair(rows=128, cols=96)
    whole = _counts(start, end)
    changed = whole.bins.changed(whole.rows).sum((1, 2))
    expected = (start != end).reshape(64, -1).sum(1).numpy()
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("seed", range(3))
def test_counts_give_the_figures_that_the_diagnostics_give(seed):
    start, end, _ = _pair(seed=seed)
    alphas = (0.1, 0.3, 0.5)
    plain = factored(start)
    low, principal = rank_by_magnitude(plain, alphas, "bf16"), rank_by_reconstruction(plain, 16, alphas)
    by_magnitude = _counts(start, end, edges=low.edges())
    by_level = _counts(start, end, mask=principal)
    pairs = [(sparsity(), gs.update_sparsity(start, end)), (density(), gs.update_density(start, end))]
    for figure, expected in pairs:
        assert _value(figure, by_magnitude) == pytest.approx(expected, abs=1e-15)
    for alpha in alphas:
        assert _value(overlap(low, alpha, by_magnitude.bins), by_magnitude) == pytest.approx(
            gs.low_magnitude_mask_overlap(start, end, alpha=alpha), abs=1e-12
        )
        assert _value(overlap(principal, alpha, by_level.bins), by_level) == pytest.approx(
            gs.principal_mask_overlap(start, end, alpha=alpha, r=16), abs=1e-12
        )


def _value(figure, counts):
    return figure.of(counts.bins.totals(counts.total), counts.bins.changed(counts.total))


def test_zeros_of_both_signs_and_changed_signs_are_steps_of_the_right_kind():
    start = torch.tensor([[0.0, -0.0, 1.0, -1.0, 0.0, 1.5]]).bfloat16()
    end = torch.tensor([[-0.0, 0.0, -1.0, -1.0, 1e-3, 0.0]]).bfloat16()
    found = _counts(start, end)
    assert found.bins.changed(found.total).sum() == 3
    assert set(found.bins.kind) <= {POWER, EDGE}


def test_every_kind_of_magnitude_occurs_in_a_weight():
    start = heavy_tailed_weight(128, 128, np.random.default_rng(0))
    assert set(_counts(start, start).bins.kind) == {POWER, EDGE, LOW, HIGH}


def test_rounding_by_files_and_by_float64_agree():
    start, end, update = _pair()
    assert torch.equal(end, round_to_bf16(start.double() + update))
