"""The fast decomposition against float64 SVDs, and each of its guards against what it guards from."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from geostat.linalg import Factored, Method, Policy, spectra, svd, using
from geostat.linalg.eigen import DenseEigen, TridiagonalEigen
from geostat.linalg.spectra import decompose, sharper, values_within

EPS = np.finfo(float).eps


def _matrix(values, n=None, seed=0):
    """Wide matrix with these singular values, and its vectors."""
    values = np.asarray(values, dtype=float)
    rng = np.random.default_rng(seed)
    m, n = len(values), n or len(values)
    left = np.linalg.qr(rng.standard_normal((m, m)))[0]
    right = np.linalg.qr(rng.standard_normal((n, m)))[0]
    return torch.tensor(left * values @ right.T), torch.tensor(left), torch.tensor(right)


def _turn(found, true):
    """Sine of the largest angle between two subspaces."""
    return float(torch.linalg.matrix_norm(true - found @ (found.mT @ true), 2))


@pytest.fixture(params=["on the CPU", "as on a device"])
def solver(request, monkeypatch):
    """Both solvers of the symmetric eigenvalue problem, the device's one run on the CPU."""
    if request.param == "as on a device":

        def dense(lower):
            return DenseEigen(lower.tril() + lower.tril(-1).mT)

        monkeypatch.setattr(spectra, "symmetric_eigen", dense)
    return request.param


@pytest.mark.parametrize("shape", [(40, 40), (64, 100), (33, 300)])
def test_values_and_subspaces_of_a_well_conditioned_matrix(shape, solver):
    m, n = shape
    true = np.linspace(2, 0.1, m)
    matrix, left, right = _matrix(true, n)
    found = decompose(matrix, m // 2)
    assert found.leading.certificate.method is Method.tridiagonal
    np.testing.assert_allclose(found.spectrum.values, true, rtol=0, atol=20 * EPS * 2)
    for mine, theirs in ((found.leading.left, left), (found.leading.right, right)):
        assert _turn(mine, theirs[:, : m // 2]) < 1e-12
        assert torch.allclose(mine.mT @ mine, torch.eye(m // 2, dtype=torch.float64), atol=1e-13, rtol=0)


def test_every_residual_is_below_the_certificate(solver):
    matrix = torch.tensor(np.random.default_rng(1).standard_normal((80, 90)))
    leading = decompose(matrix, 30).leading
    off = (matrix @ leading.right - leading.left * leading.values).norm(dim=0).max() / leading.values[0]
    off_too = (matrix.mT @ leading.left - leading.right * leading.values).norm(dim=0).max() / leading.values[
        0
    ]
    assert max(float(off), float(off_too)) <= leading.certificate.residual < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_the_angle_to_the_truth_is_below_the_certificate(seed):
    true = np.sort(np.random.default_rng(seed).uniform(0.5, 1, 60))[::-1]
    matrix, left, right = _matrix(true, 70, seed)
    leading = decompose(matrix, 20).leading
    assert leading.certificate.bound < 1e-9
    assert (
        max(_turn(leading.left, left[:, :20]), _turn(leading.right, right[:, :20]))
        <= leading.certificate.bound
    )


def test_one_outlier_direction_costs_no_digits(solver):
    true = np.r_[1e6, np.linspace(1, 0.5, 59)]
    matrix, left, right = _matrix(true, 80)
    naive = torch.linalg.eigvalsh(matrix @ matrix.mT).flip(0).sqrt()
    assert float((naive - torch.tensor(true)).abs()[1:].max()) > 1e-6  # what the Gram matrix alone gives
    found = decompose(matrix, 16)
    assert found.leading.certificate.method is Method.deflated
    np.testing.assert_allclose(found.spectrum.values, true, rtol=1e-15 * 20, atol=1e6 * EPS * 4)
    plain = svd.singular_triplets(matrix)
    for mine, theirs, truth in ((found.leading.left, plain[0], left), (found.leading.right, plain[2], right)):
        assert _turn(mine, truth[:, :16]) < 4 * _turn(theirs[:, :16], truth[:, :16]) + 1e-13


@pytest.mark.parametrize("smallest", [1e-3, 1e-6, 1e-12])
def test_a_few_small_values_come_with_the_accuracy_of_an_svd(smallest, solver):
    true = np.r_[np.linspace(1, 0.5, 60), smallest, smallest / 3]
    matrix, *_ = _matrix(true)
    found = decompose(matrix, 0).spectrum
    assert found.method is Method.tridiagonal
    np.testing.assert_allclose(found.values, true, rtol=0, atol=20 * EPS)


def test_many_small_values_are_known_to_be_lost_and_come_from_an_svd():
    true = np.geomspace(1, 1e-12, 80)
    matrix, *_ = _matrix(true)
    rough = decompose(matrix, 0).spectrum
    assert rough.reliable < 80
    finer = rough
    while finer.reliable < 80:
        finer = sharper(matrix, finer)
    np.testing.assert_allclose(finer.values, true, rtol=0, atol=20 * EPS)
    assert sharper(matrix, sharper(matrix, finer)).method is Method.svd


def test_stated_errors_are_errors():
    true = np.geomspace(1, 1e-6, 64)
    matrix, *_ = _matrix(true, 80)
    spectrum = decompose(matrix, 0).spectrum
    off = np.abs(spectrum.values.numpy() - true)
    assert np.linalg.norm(off) <= np.linalg.norm(spectrum.errors) + 20 * EPS
    assert np.linalg.norm(off) > 1e-4 * np.linalg.norm(spectrum.errors)  # and not idle talk


def test_equal_values_have_no_leading_subspace_and_the_certificate_says_so(solver):
    matrix, *_ = _matrix(np.ones(50), 60)
    found = decompose(matrix, 10)
    np.testing.assert_allclose(found.spectrum.values, np.ones(50), atol=1e-13)
    assert math.isinf(found.leading.certificate.bound)
    assert found.leading.certificate.residual < 1e-12


def test_directions_beyond_the_rank_are_left_out_unless_they_are_needed():
    matrix, left, _ = _matrix(np.r_[3.0, 2.0, 1.0, np.zeros(45)], 60)
    offered = decompose(matrix, 16, needed=0).leading
    assert offered.left.shape == (48, 3)
    assert _turn(offered.left, left[:, :3]) < 1e-13
    needed = decompose(matrix, 16).leading
    assert needed.left.shape == (48, 16)
    assert needed.certificate.method is Method.svd


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e160])
def test_squares_out_of_range_are_noticed(scale):
    true = np.linspace(2, 1, 40) * scale
    matrix = _matrix(np.linspace(2, 1, 40))[0] * scale
    np.testing.assert_allclose(decompose(matrix, 4).spectrum.values, true, rtol=1e-13)


def test_a_zero_matrix_has_zero_values():
    found = decompose(torch.zeros(40, 50, dtype=torch.float64), 0)
    assert not found.spectrum.values.any()


def test_an_iteration_that_fails_is_replaced(monkeypatch):
    matrix, *_ = _matrix(np.linspace(2, 1, 40))

    def fail(*_args, **_options):
        raise np.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(TridiagonalEigen, "leading", fail)
    found = decompose(matrix, 5)
    assert found.leading.certificate.method is Method.svd
    np.testing.assert_allclose(found.spectrum.values, np.linspace(2, 1, 40), rtol=1e-13)


def test_vectors_that_do_not_fit_the_matrix_are_replaced(monkeypatch):
    matrix, left, _ = _matrix(np.linspace(2, 1, 40))
    monkeypatch.setattr(TridiagonalEigen, "leading", lambda _, k: left[:, -k:])
    assert decompose(matrix, 5).leading.certificate.method is Method.svd


def test_drivers_are_tried_in_turn(monkeypatch):
    tried, original = [], scipy.linalg.svd

    def stubborn(matrix, **options):
        tried.append(options["lapack_driver"])
        if tried[-1] == "gesdd":
            raise scipy.linalg.LinAlgError("no convergence")
        return original(matrix, **options)

    monkeypatch.setattr(svd.scipy.linalg, "svd", stubborn)
    _, values, _ = svd.singular_triplets(torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64)))
    assert tried == ["gesdd", "gesvd"]
    assert values.tolist() == [3, 1]
    assert svd.singular_values(torch.eye(2, dtype=torch.float64)).tolist() == [1, 1]


def test_a_device_tries_its_drivers_and_then_the_processor(monkeypatch):
    class OnDevice(torch.Tensor):
        is_cpu = False

    tried = []

    def fail(_matrix, *, driver, **_options):
        tried.append(driver)
        raise torch.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(torch.linalg, "svd", fail)
    matrix = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64)).as_subclass(OnDevice)
    assert svd.singular_triplets(matrix)[1].tolist() == [3, 1]
    assert tried == ["gesvd", "gesvdj"]


@pytest.mark.parametrize("accuracy", [1e-12, 1e-9])
def test_values_come_within_the_accuracy_asked_for(accuracy):
    for true in (np.linspace(1, 1e-9, 60), np.geomspace(1, 1e-15, 60), np.r_[np.full(57, 0.3), 0, 0, 0]):
        matrix, *_ = _matrix(true, 90)
        np.testing.assert_allclose(values_within(matrix, accuracy), true, rtol=0, atol=accuracy)


def test_the_plain_policy_decomposes_by_svd_alone():
    with using(Policy(spectra="plain")):
        matrix = Factored(_matrix(np.linspace(2, 1, 40))[0])
        assert matrix.vectors(3, "left").shape == (40, 3)
        assert matrix.certificate.method is Method.svd
        left, values, right = matrix.svd
        off = torch.linalg.vector_norm(matrix.values @ right - left * values, dim=0).max()
        assert float(off / values[0]) <= matrix.certificate.residual < 1e-12
