"""The interval of an update, against rounding itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from geostat.errors import ProtocolError, ShapeError
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells

SEEDS = st.integers(0, 2**32 - 1)


def stored_pair(seed, scale, shape=(40, 30)):
    rng = np.random.default_rng(seed)
    initial = torch.from_numpy(rng.standard_normal(shape) * 10 ** rng.uniform(-3, 3, shape)).to(
        torch.bfloat16
    )
    size = initial.to(torch.float64).abs() * 2.0**-8
    update = torch.from_numpy(rng.standard_normal(shape)) * size * scale
    return initial, update, round_to_bf16(initial.to(torch.float64) + update)


@given(SEEDS, st.sampled_from([0.1, 1.0, 10.0, 1e3]))
def test_the_true_update_lies_in_its_cell(seed, scale):
    initial, update, updated = stored_pair(seed, scale)
    cells = rounding_cells(initial, updated)
    slack = 4e-16 * updated.to(torch.float64).abs().clamp(min=initial.to(torch.float64).abs())
    assert bool(((update >= cells.low - slack) & (update <= cells.high + slack)).all())


@given(SEEDS, st.sampled_from([0.1, 1.0, 10.0]))
def test_what_lies_inside_a_cell_is_stored_alike_and_what_lies_outside_is_not(seed, scale):
    initial, _, updated = stored_pair(seed, scale)
    start, (low, high) = initial.to(torch.float64), rounding_cells(initial, updated)
    width = high - low
    for share in (1e-3, 0.5, 1 - 1e-3):
        assert torch.equal(round_to_bf16(start + low + share * width), updated)
    for outside in (low - 1e-3 * width, high + 1e-3 * width):
        assert not bool((round_to_bf16(start + outside) == updated).any())


def test_the_dead_zone_is_half_an_ulp_and_narrower_below_a_power_of_two():
    weights = torch.tensor([[1.0, 1.5, -1.5, 0.0]], dtype=torch.bfloat16)
    low, high = rounding_cells(weights, weights)
    half = 2.0**-8
    np.testing.assert_array_equal(low, [[-half / 2, -half, -half, -(2.0**-134)]])
    np.testing.assert_array_equal(high, [[half, half, half, 2.0**-134]])


def test_the_largest_number_has_a_cell_too():
    largest = torch.tensor([[torch.finfo(torch.bfloat16).max]], dtype=torch.bfloat16)
    low, high = rounding_cells(largest, largest)
    assert float(high) == -float(low) == 2.0**119


def test_other_types_and_shapes_are_refused():
    half = torch.ones(2, 2, dtype=torch.bfloat16)
    with pytest.raises(ProtocolError, match="bfloat16 and float32"):
        rounding_cells(half, half.to(torch.float32))
    with pytest.raises(ShapeError, match="differ"):
        rounding_cells(half, half[:1])
