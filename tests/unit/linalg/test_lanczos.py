"""A few leading triplets alone: found where they stand out, given up where they do not."""

import numpy as np
import pytest
import torch

from geostat.linalg import Factored, Method, lanczos
from geostat.linalg.lanczos import block_lanczos


def _channel(n=500, rank=20, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    strong = rng.standard_normal((n, rank)) * np.geomspace(1, 0.2, rank) @ rng.standard_normal((rank, n + 40))
    return torch.tensor(strong / n + noise * rng.standard_normal((n, n + 40)) / n**0.5)


def test_a_channel_in_noise_is_found_to_the_last_digits():
    matrix = _channel()
    found = block_lanczos(matrix, 16)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(found.values, values[:16], rtol=1e-13)
    for mine, theirs in ((found.left, left[:, :16]), (found.right, right[:16].mT)):
        assert (
            float(torch.linalg.matrix_norm(theirs - mine @ (mine.mT @ theirs), 2)) <= found.certificate.bound
        )
    assert found.certificate.method is Method.lanczos
    assert found.certificate.bound < 1e-10


def test_a_flat_spectrum_is_given_up():
    assert block_lanczos(torch.tensor(np.random.default_rng(0).standard_normal((400, 400))), 16) is None


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_a_matrix_of_low_rank_ends_well(rank):
    matrix = _channel(rank=rank, noise=0.0)
    found = block_lanczos(matrix, 8)
    if found is not None:
        np.testing.assert_allclose(found.values, torch.linalg.svdvals(matrix)[:8], atol=1e-13)


def test_a_direction_hidden_from_the_start_block_is_noticed(monkeypatch):
    values = np.r_[2.0, 1.0, 0.8, 0.6, 0.4, np.linspace(0.01, 0.005, 295)]
    matrix = torch.diag(torch.tensor(values))
    found = block_lanczos(matrix, 4)
    np.testing.assert_allclose(found.values, values[:4], rtol=1e-14)
    original = lanczos._new_columns

    def blind(columns, basis):
        if basis.shape == (300, 0) and bool(columns.any()):
            columns = columns.clone()
            columns[0] = 0.0  # no rounding brings it back: the matrix is diagonal
        return original(columns, basis)

    monkeypatch.setattr(lanczos, "_new_columns", blind)
    assert block_lanczos(matrix, 4) is None


def test_large_matrices_are_asked_for_their_leading_values_alone(monkeypatch):
    monkeypatch.setattr(lanczos, "LARGE", 400)
    monkeypatch.setattr(lanczos, "PER_DIRECTION", 16)
    for matrix in (_channel(), _channel().mT):
        found = Factored(matrix, wanted=16)
        values = torch.linalg.svdvals(matrix)
        assert found.spectral_norm == pytest.approx(float(values[0]), rel=1e-14)
        assert found.certificate.method is Method.lanczos
        assert found.leading_rank(16) == 16
        assert found.channel(16, "left").shape == (matrix.shape[0], 16)
        np.testing.assert_allclose(found.singular_values, values, rtol=0, atol=1e-14)
        assert found.spectrum.method is Method.tridiagonal


def test_where_leading_values_alone_do_not_converge_all_are_computed(monkeypatch):
    monkeypatch.setattr(lanczos, "LARGE", 300)
    monkeypatch.setattr(lanczos, "PER_DIRECTION", 16)
    matrix = torch.tensor(np.random.default_rng(0).standard_normal((400, 300)))
    found = Factored(matrix, wanted=16)
    np.testing.assert_allclose(found.leading_values(16), torch.linalg.svdvals(matrix)[:16], rtol=1e-13)
    assert found.certificate.method is Method.tridiagonal
