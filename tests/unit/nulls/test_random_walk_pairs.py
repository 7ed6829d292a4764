import numpy as np
import pytest
import torch

from geostat.errors import ShapeError
from geostat.nulls.walks.covariance import input_covariance
from geostat.nulls.walks.leading import quick_statistics
from geostat.nulls.walks.pairs import correlations, draws_of, pair_law
from geostat.nulls.walks.paths import STATISTICS, WalkShape, path_draws, path_statistics, stored, walk

LATER = (1, 2, -1)
NORMS = np.array([1.0, 0.7, 0.5])


def shape_of(rows, cols, covariance=None, K=3):
    return WalkShape(rows, cols, np.cumsum(NORMS**2), LATER, input_covariance(covariance, cols), K)


def pairs(shape, n, seed=1):
    rng = np.random.default_rng(seed)
    return draws_of(pair_law([shape], STATISTICS, n, rng), shape, STATISTICS)


@pytest.mark.parametrize(
    ("rows", "cols", "covariance"),
    [(12, 20, None), (20, 12, None), (12, 20, 1.0), (20, 12, 0.5)],
)
def test_pairs_of_gaussian_matrices_have_the_laws_of_whole_walks(rows, cols, covariance):
    shape = shape_of(rows, cols, covariance)
    whole = path_draws(shape, STATISTICS, 250, np.random.default_rng(0), measured_by=quick_statistics)
    reduced = pairs(shape, 600)
    for name in STATISTICS:
        slow, fast = whole[name], reduced[name]
        np.testing.assert_array_equal(np.isnan(slow[0]), np.isnan(fast[0]))
        error = np.sqrt(slow.var(axis=0) / len(slow) + fast.var(axis=0) / len(fast))
        apart = np.abs(slow.mean(axis=0) - fast.mean(axis=0))
        assert np.nanmax(apart / (error + 1e-9)) < 4.5, name
        known = error > 1e-9
        assert np.all(np.abs(np.log(slow.std(axis=0)[known] / fast.std(axis=0)[known])) < 0.25), name


@pytest.mark.parametrize(("rows", "cols"), [(12, 20), (20, 12), (3, 9)])
@pytest.mark.parametrize("rounded", [False, True])
def test_the_quick_figures_are_those_of_the_diagnostics(rows, cols, rounded):
    updates = walk(shape_of(rows, cols, 0.5), np.random.default_rng(1))
    if rounded:
        updates[0] *= 1e-4  # so that little changes at first
        updates = stored(
            torch.randn(rows, cols, generator=torch.Generator().manual_seed(2)).bfloat16(), updates
        )
    plain = path_statistics(updates, LATER, 4, STATISTICS)
    for name, values in quick_statistics(updates, LATER, 4, STATISTICS).items():
        np.testing.assert_allclose(values, plain[name], atol=1e-8, err_msg=name)


def test_an_update_of_zero_has_no_quick_figures_either():
    updates = walk(shape_of(6, 8), np.random.default_rng(1))
    updates[0] = 0.0
    plain = path_statistics(updates, LATER, 2, STATISTICS)
    for name, values in quick_statistics(updates, LATER, 2, STATISTICS).items():
        np.testing.assert_allclose(values, plain[name], atol=1e-8, err_msg=name)


def test_increments_of_a_walk_have_the_norms_that_were_asked_for():
    increments = np.diff(walk(shape_of(9, 7, 1.0), np.random.default_rng(3)), axis=0, prepend=0.0)
    np.testing.assert_allclose(np.linalg.norm(increments, axis=(1, 2)), NORMS)


def test_past_and_next_of_an_isotropic_walk_overlap_as_haar_channels_do():
    K, n, draws = 3, 20, 1500
    found = pairs(shape_of(14, n, K=K), draws)["past_next_similarity"][:, 1, 0]
    variance = 2 * (n - K) ** 2 / (n**2 * (n - 1) * (n + 2))
    assert abs(found.mean() - K / n) < 4 * np.sqrt(variance / draws)
    assert found.var() == pytest.approx(variance, rel=0.2)


def test_an_isotropic_walk_captures_nothing_and_has_the_stable_rank_of_a_gaussian_matrix():
    rows, cols = 60, 90
    found = pairs(shape_of(rows, cols), 60)
    capture = found["forward_capture"][:, :, 0]
    assert np.all(np.abs(capture.mean(axis=0)) < 4 * capture.std(axis=0) / np.sqrt(60))
    expected = rows * cols / (np.sqrt(rows) + np.sqrt(cols)) ** 2
    assert found["stable_rank"][:, 0, 0].mean() == pytest.approx(expected, rel=0.08)


def test_inputs_with_a_power_law_raise_the_right_capture_and_leave_the_left_one_alone():
    capture = pairs(shape_of(48, 64, 1.0, K=8), 40)["forward_capture"][:, :, 0].mean(axis=0)
    assert abs(capture[0]) < 0.05
    assert capture[1] > 0.6


def test_similarity_to_the_end_rises_to_one_without_any_direction():
    mean = pairs(shape_of(24, 32), 60)["similarity_to_end"].mean(axis=0)
    assert np.all(np.diff(mean, axis=1) > 0)
    np.testing.assert_allclose(mean[:, -1], 1.0)


def test_scale_of_the_norms_plays_no_role():
    small = shape_of(8, 10)
    large = WalkShape(8, 10, 1e12 * small.variances, LATER, small.covariance, 3)
    for name, values in pairs(small, 40).items():
        np.testing.assert_allclose(values, pairs(large, 40)[name], rtol=1e-8)


def test_interpolated_similarities_lie_near_those_simulated_at_each_correlation():
    many = np.linspace(0.2, 1.0, 40)
    later = (*range(1, 40), -1)
    fine = WalkShape(16, 24, many**2, later, input_covariance(None, 24), 3)
    law = pair_law([fine], ["similarity_to_end"], 200, np.random.default_rng(0))
    interpolated = law.similarities(many).mean(axis=0)
    coarse = WalkShape(16, 24, many[::4] ** 2, (*range(1, 10), -1), fine.covariance, 3)
    exact = pair_law([coarse], ["similarity_to_end"], 200, np.random.default_rng(0))
    wanted = np.sqrt(coarse.variances / fine.variances[-1])
    assert len(law.angles) < len(many)
    np.testing.assert_allclose(interpolated[:, ::4], law.similarities(wanted).mean(axis=0), atol=1e-12)
    at = np.isclose(exact.angles[:, None], np.arccos(correlations(coarse, "similarity_to_end"))).any(axis=1)
    assert at.all()
    own = exact.similarities(np.cos(exact.angles)).mean(axis=0)
    np.testing.assert_allclose(law.similarities(np.cos(exact.angles)).mean(axis=0), own, atol=0.02)


def test_the_basis_of_the_inputs_cannot_be_told_without_rounding():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    eigenvalues = np.arange(1, 13) ** -1.0
    given = input_covariance((basis * eigenvalues) @ basis.T, 12)
    np.testing.assert_allclose(given.eigenvalues, input_covariance(1.0, 12).eigenvalues, rtol=1e-10)
    shape = WalkShape(10, 12, np.cumsum(NORMS**2), LATER, given, 2)
    whole = path_draws(shape, ["forward_capture"], 150, rng, measured_by=quick_statistics)["forward_capture"][
        :, 1, 0
    ]
    alone = pairs(shape, 600)["forward_capture"][:, 1, 0]
    assert abs(whole.mean() - alone.mean()) < 4 * np.sqrt(whole.var() / 150 + alone.var() / 600)


def test_rows_of_coloured_noise_have_the_given_covariance():
    rng = np.random.default_rng(0)
    matrix = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.6]])
    given = input_covariance(matrix, 3)
    noise = torch.from_numpy(rng.standard_normal((40000, 3)))
    found = np.cov(given.coloured(noise, basis=given.directions(rng)).numpy().T)
    np.testing.assert_allclose(found, 3 * matrix / np.trace(matrix), atol=0.04)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (-1.0, "pass a >= 0"),
        (np.ones(4), "has shape"),
        (np.array([1.0, np.nan, 1.0]), "no finite number"),
        (np.array([[1.0, 2.0, 0], [0, 1, 0], [0, 0, 1]]), "not symmetric"),
        (np.diag([1.0, 1.0, -1.0]), "none can be negative"),
        (np.zeros(3), "not only zeros"),
    ],
)
def test_what_is_no_covariance_is_refused(given, said):
    with pytest.raises(ShapeError, match=said):
        input_covariance(given, 3)
