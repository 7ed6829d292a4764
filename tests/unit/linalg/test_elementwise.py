"""The blocked pass over stored integers against the plain comparison in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import geostat as gs
from geostat.errors import ProtocolError, ShapeError
from geostat.linalg import changed_entries, factored, own_arithmetic
from geostat.linalg.elementwise import Comparison, changed_count, changed_counts, expect

DTYPES = st.sampled_from([torch.bfloat16, torch.float16, torch.float32, torch.float64])
ETAS = st.lists(st.sampled_from([0.0, 1e-5, 1e-3, 1 / 256, 1 / 128, 0.01, 0.1, 1.0]), min_size=1, max_size=4)


def _pair(seed, shape, before, after):
    """Weights of which some stay, some move by a little, some by a lot, some vanish or change sign."""
    generator = torch.Generator().manual_seed(seed)
    initial = torch.randn(shape, generator=generator, dtype=torch.float64)
    factors = torch.tensor([1.0, 1.0, 1 + 2.0**-8, 1 - 2.0**-7, 1.0001, 0.5, 0.0, -1.0], dtype=torch.float64)
    chosen = factors[torch.randint(0, len(factors), shape, generator=generator)]
    zero = torch.rand(shape, generator=generator) < 0.1
    initial = torch.where(zero, torch.zeros_like(initial), initial)
    return factored(initial.to(before)), factored((initial * chosen).to(after))


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    DTYPES,
    DTYPES,
    ETAS,
    st.sampled_from(["relative", "absolute"]),
    st.sampled_from(["bf16", "raw"]),
)
def test_every_tolerance_counts_as_the_plain_comparison_does(seed, shape, before, after, etas, rule, space):
    initial, updated = _pair(seed, shape, before, after)
    plain = [int(changed_entries(initial, updated, eta=eta, rule=rule, space=space).sum()) for eta in etas]
    assert list(changed_counts(initial, updated, etas=etas, rule=rule, space=space)) == plain


@pytest.mark.parametrize("shape", [(700, 300), (1, 200_000), (200_000, 1), (3, 140_000)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_blocks_cover_every_row_once(shape, dtype):
    initial, updated = _pair(3, shape, dtype, dtype)
    for eta in (1e-3, 0.01):
        plain = int(changed_entries(initial, updated, eta=eta, rule="relative", space="bf16").sum())
        assert changed_count(initial, updated, eta=eta, rule="relative", space="bf16") == plain


def test_zeros_of_two_signs_are_the_same_number():
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        before = factored(torch.tensor([[0.0, -0.0, -0.0, 0.0, 1.0]], dtype=dtype))
        after = factored(torch.tensor([[-0.0, 0.0, -0.0, 1.0, -1.0]], dtype=dtype))
        assert changed_counts(before, after, etas=(0.0,), rule="absolute", space="raw") == (2,)


def test_numbers_that_round_to_zeros_of_two_signs_are_unchanged():
    before, after = torch.tensor([[1e-45]]), torch.tensor([[-1e-45]])
    assert gs.update_sparsity(before, after) == 1.0
    assert gs.update_sparsity(before, after, space="raw") == 0.0


def test_transposed_and_strided_weights_are_compared_as_they_are():
    initial, updated = _pair(5, (40, 60), torch.bfloat16, torch.bfloat16)
    expected = gs.update_sparsity(initial, updated)
    assert gs.update_sparsity(initial.stored.T, updated.stored.T) == expected
    wide = torch.repeat_interleave(updated.stored, 2, dim=1)
    assert gs.update_sparsity(initial.stored, wide[:, ::2]) == expected


def test_subnormal_weights_change_visibly_where_the_process_flushes_them_to_zero():
    before = torch.full((2, 2), 2.0**-130).to(torch.bfloat16)
    after = before.clone()
    after.view(torch.int16)[0, 0] += 1
    flushes = torch.set_flush_denormal(True)
    try:
        assert gs.update_density(before, after) == 0.25
        with own_arithmetic():
            assert gs.update_density(before, after, space="raw", eta=1e-3) == 0.25
            assert gs.update_density(before, after, eta=2.0**-4) == 0.25  # the step is an eighth
    finally:
        torch.set_flush_denormal(False)
    assert flushes


def test_announced_tolerances_cost_one_pass(monkeypatch):
    passes = []
    blocks = Comparison.blocks
    monkeypatch.setattr(Comparison, "blocks", lambda self, etas: passes.append(1) or blocks(self, etas))
    initial, updated = _pair(1, (30, 30), torch.float32, torch.float32)
    etas = (1e-4, 1e-3, 0.01, 0.1)
    expect(updated, etas=etas)
    curve = [gs.update_sparsity(initial, updated, eta=eta, space="raw") for eta in etas]
    assert len(passes) == 1
    assert curve == sorted(curve)
    assert gs.update_sparsity(initial, updated, eta=0.5, space="raw") >= curve[-1]
    assert len(passes) == 2


def test_a_swept_tolerance_in_a_protocol_costs_one_pass_per_checkpoint(monkeypatch):
    passes = []
    blocks = Comparison.blocks
    monkeypatch.setattr(Comparison, "blocks", lambda self, etas: passes.append(1) or blocks(self, etas))
    name = "blocks.0.attention.query.weight"
    start = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    swept = gs.Protocol(eta=(1e-4, 1e-3, 0.1), space="raw")
    run = gs.measure(
        {name: start}, {1: {name: start * 1.01}, 2: {name: start * 1.2}}, protocol=swept,
        diagnostics=["update_sparsity", "update_density"], progress=False,
    )  # fmt: skip
    assert len(passes) == 2
    np.testing.assert_array_equal(run.update_density[:, 0], [[1, 1, 0], [1, 1, 1]])


def test_no_boolean_matrix_is_remembered():
    initial, updated = _pair(2, (50, 50), torch.bfloat16, torch.bfloat16)
    gs.update_sparsity(initial, updated)
    gs.low_magnitude_mask_overlap(initial, updated)
    kept = [value for each in (initial, updated) for value in each._memory.values()]
    assert not any(isinstance(value, torch.Tensor | np.ndarray) for value in kept)


def test_bad_comparisons_are_refused():
    square, wide = factored(torch.ones(3, 3)), factored(torch.ones(3, 4))
    with pytest.raises(ShapeError, match="not one weight"):
        changed_count(square, wide, eta=0.1, rule="relative", space="bf16")
    with pytest.raises(ProtocolError, match=r"eta=-1"):
        changed_counts(square, square, etas=(-1,), rule="relative", space="bf16")
    assert changed_counts(square, square, etas=(), rule="relative", space="bf16") == ()
