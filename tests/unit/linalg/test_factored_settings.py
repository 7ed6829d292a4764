"""Counts, sides and shares that linalg takes: no slice from the end, no silent default."""

import pytest
import torch

from geostat.errors import ProtocolError
from geostat.linalg import changed_entries, factored, magnitude_mask
from geostat.linalg.masks import magnitudes

MATRIX = factored(torch.diag(torch.tensor([3.0, 2.0, 1.0])))


@pytest.mark.parametrize("k", [0, -1, True, 1.5])
def test_vectors_take_a_count(k):
    for method in (MATRIX.vectors, MATRIX.channel):
        with pytest.raises(ProtocolError, match=r"k=.*count of 1 or more"):
            method(k, "left")


def test_a_side_is_left_or_right():
    for call in (
        lambda: MATRIX.vectors(1, "top"),
        lambda: MATRIX.channel(1, "top"),
        lambda: MATRIX.size("top"),
    ):
        with pytest.raises(ProtocolError, match=r"side='top'.*'left' or 'right'"):
            call()


def test_the_channel_of_a_zero_matrix_has_no_direction():
    assert factored(torch.zeros(4, 3)).channel(2, "left").shape == (4, 0)


def test_masks_take_a_share_and_a_space():
    with pytest.raises(ProtocolError, match=r"alpha=2.*share in \(0, 1\)"):
        magnitude_mask(MATRIX.values, 2, largest=True)
    with pytest.raises(ProtocolError, match=r"space='fp32'.*'bf16' or 'raw'"):
        magnitudes(MATRIX, "fp32")
    with pytest.raises(ProtocolError, match=r"eta=-1"):
        changed_entries(MATRIX, MATRIX, eta=-1, rule="relative", space="raw")
