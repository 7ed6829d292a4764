"""Rounding to bfloat16, and what it implies for tolerances."""

import numpy as np
import torch
from hypothesis import given, strategies as st

from geostat.linalg import round_to_bf16
from geostat.testing.oracles import bf16

FINITE = st.floats(-3e38, 3e38, allow_nan=False, allow_subnormal=True)


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_rounds_float64_once(values):
    exact = np.array(values)
    assert np.array_equal(round_to_bf16(torch.tensor(exact)).to(torch.float64).numpy(), bf16(exact))


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=1, max_size=50))
def test_rounds_float32_as_torch_does(values):
    tensor = torch.tensor(values, dtype=torch.float32)
    assert torch.equal(round_to_bf16(tensor), tensor.to(torch.bfloat16))
    assert np.array_equal(round_to_bf16(tensor).double().numpy(), bf16(tensor.double().numpy()))


def test_just_above_a_tie_rounds_up_where_rounding_twice_would_not():
    value = torch.tensor([1 + 2.0**-8 + 2.0**-40], dtype=torch.float64)
    assert float(round_to_bf16(value)) == 1 + 2.0**-7
    assert float(value.to(torch.float32).to(torch.bfloat16)) == 1.0


def test_neighbouring_bf16_numbers_differ_by_a_relative_256th_or_more():
    positive = torch.arange(1, 0x7F80, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).double()
    relative = (positive[1:] - positive[:-1]) / positive[1:]
    assert float(relative.min()) >= 1 / 256  # so no two different numbers lie within eta = 1e-3


def test_subnormals_are_kept():
    smallest = torch.tensor([2.0**-133], dtype=torch.float64)
    assert float(round_to_bf16(smallest)) == 2.0**-133
