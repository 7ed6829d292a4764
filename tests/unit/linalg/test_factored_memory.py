"""What a factored matrix keeps once it has answered, and what asking for more costs."""

import gc

import pytest
import torch

from geostat.errors import ShapeError
from geostat.linalg import Factored, entries, factored
from geostat.linalg.captured import captured_shares
from geostat.linalg.spectra import decompose


def _random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def _float64_bytes():
    """Bytes in all float64 tensors that anything still refers to; each storage once."""
    gc.collect()
    found = [o for o in gc.get_objects() if type(o) is torch.Tensor and o.dtype is torch.float64]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in found}.values())


def test_no_copy_of_the_matrix_outlives_its_decomposition():
    before = _float64_bytes()
    initial, updated = Factored(_random(120, 150), wanted=40), Factored(_random(120, 150, seed=1), wanted=40)
    update = updated.minus(initial, wanted=4)
    for matrix in (initial, updated, update):
        assert matrix.singular_values[0] > 0
        assert matrix.frobenius_norm > 0
        assert not matrix.is_zero
        assert matrix.vectors(4, "left").shape == (120, 4)
    captured_shares(update, initial, 4)
    small = (40 + 40 + 4) * (120 + 150) * 8 + 3 * 2 * 120 * 8
    assert _float64_bytes() - before <= small + 3 * 40 * 8
    assert small < 2 * 120 * 150 * 8


def test_wanted_directions_come_with_the_spectrum_and_more_cost_one_more_decomposition(monkeypatch):
    calls = []

    def counted(matrix, k, **options):
        calls.append(k)
        return decompose(matrix, k, **options)

    monkeypatch.setitem(Factored._decompose.__globals__, "decompose", counted)
    matrix = Factored(_random(60, 50), wanted=10)
    matrix.singular_values, matrix.vectors(10, "left"), matrix.vectors(3, "right"), matrix.leading_values(7)
    assert calls == [10]
    assert matrix.vectors(20, "left").shape == (60, 20)
    assert matrix.vectors(15, "right").shape == (50, 15)
    assert calls == [10, 20]


@pytest.mark.parametrize("shape", [(50, 70), (70, 50)])
def test_more_directions_than_were_wanted_are_the_same_ones(shape):
    few, many = Factored(_random(*shape), wanted=5), Factored(_random(*shape), wanted=25)
    for side in ("left", "right"):
        first, second = few.vectors(25, side), many.vectors(25, side)
        assert float(torch.linalg.matrix_norm(first - second @ (second.mT @ first), 2)) < 1e-11


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
def test_a_difference_is_that_of_the_entries_in_float64(dtype):
    a, b = _random(30, 40, dtype=dtype), _random(30, 40, seed=1, dtype=torch.float32)
    difference = factored(a).minus(factored(b))
    exact = a.to(torch.float64) - b.to(torch.float64)
    assert torch.equal(difference.values, exact)
    assert torch.equal(difference.stored, exact)
    assert torch.equal(difference.minus(factored(a)).values, exact - a.to(torch.float64))
    assert difference.frobenius_norm == pytest.approx(float(exact.norm()), rel=1e-14)
    assert factored(a).minus(factored(a.clone())).is_zero
    assert not difference.is_zero


def test_norms_do_not_depend_on_how_many_rows_are_read_at_once(monkeypatch):
    whole = Factored(_random(64, 64))
    expected = whole.frobenius_norm
    monkeypatch.setattr(entries, "_BLOCK", 100)
    assert Factored(_random(64, 64)).frobenius_norm == pytest.approx(expected, rel=1e-15)
    last = torch.zeros(64, 64)
    last[-1, -1] = 1e-30
    assert not Factored(last).is_zero
    assert Factored(torch.zeros(64, 64)).is_zero


def test_differences_of_unlike_shapes_are_refused():
    with pytest.raises(ShapeError, match="transposed"):
        factored(_random(3, 4)).minus(factored(_random(4, 3)))


def test_both_sides_of_captured_energy_are_those_of_the_projections():
    matrix, source = factored(_random(40, 50)), factored(_random(40, 50, seed=1))
    shares = captured_shares(matrix, source, 6)
    left, right = source.svd.left[:, :6], source.svd.right[:, :6]
    whole = matrix.values
    assert shares["left"] == pytest.approx(float((left.mT @ whole).norm() / whole.norm()) ** 2, rel=1e-12)
    assert shares["right"] == pytest.approx(float((whole @ right).norm() / whole.norm()) ** 2, rel=1e-12)
