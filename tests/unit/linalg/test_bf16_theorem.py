"""Every pair of finite bf16 numbers: what a relative tolerance below 1/256 means."""

import numpy as np
import pytest
import torch

from geostat.linalg import factored
from geostat.linalg.elementwise import changed_counts

_PATTERNS = np.arange(2**16, dtype=np.uint16).view(np.int16)
FINITE = torch.from_numpy(_PATTERNS[(_PATTERNS & 0x7FFF) < 0x7F80])
"""Bit patterns of the 65,280 finite numbers, both zeros among them."""


def _check(first: torch.Tensor) -> None:
    """Hold some numbers against all others."""
    before = first[:, None].expand(-1, len(FINITE)).contiguous()
    after = FINITE.expand(len(first), -1).contiguous()
    a, b = (each.view(torch.bfloat16).double().numpy() for each in (before, after))
    change, larger = np.abs(b - a), np.maximum(np.abs(a), np.abs(b))
    different = a != b
    assert np.all(change[different] >= larger[different] / 256)
    beyond = change > 1e-3 * larger
    patterns = (before != after).numpy() & (larger != 0)
    assert np.array_equal(beyond, patterns)
    pair = (factored(each.view(torch.bfloat16)) for each in (before, after))
    assert changed_counts(*pair, etas=(1e-3,), rule="relative", space="bf16") == (int(beyond.sum()),)


def test_there_are_as_many_finite_numbers_as_the_format_says():
    assert len(FINITE) == 2 * 255 * 128


def test_a_sample_of_all_pairs_differs_by_a_256th_or_not_at_all():
    picked = np.random.default_rng(0).choice(len(FINITE), 24, replace=False)
    edges = [0x0000, 0x0001, 0x007F, 0x0080, 0x7F7F, 0x3F80]  # zero, subnormal, normal, largest, one
    _check(torch.cat([FINITE[picked], torch.tensor(edges, dtype=torch.int16)]))
    _check(torch.tensor([-(2**15)], dtype=torch.int16))  # the zero with a sign


@pytest.mark.slow
def test_all_pairs_differ_by_a_256th_or_not_at_all():
    for part in FINITE[FINITE >= 0].split(16):  # the other half are these with both signs turned
        _check(part)
    _check(torch.tensor([-(2**15)], dtype=torch.int16))
