"""Whitening, determinants and the marginal likelihood, against dense matrices and brute force."""

import numpy as np
import pytest

from geostat.errors import SampleError
from geostat.statistics.locking.fit_onset_core import fit_onsets, mean_gap
from geostat.statistics.locking.model_families import FAMILIES, choose_families
from geostat.statistics.locking.model_grid import onset_grid
from geostat.statistics.locking.model_likelihood import project
from geostat.statistics.locking.model_posterior import spread_grid
from geostat.statistics.locking.model_runs import fit_together
from geostat.statistics.locking.noise import correlation_grid, log_determinant, noise_curves, whiten

STEPS = np.array([0.0, 1.0, 1.5, 4.0, 7.0, 7.2, 10.0])
GAPS = np.diff(STEPS) / np.diff(STEPS).mean()


def dense(rho, gaps=GAPS):
    time = np.concatenate([[0], np.cumsum(gaps)])
    return rho ** np.abs(time[:, None] - time)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9, 0.9999])
def test_whitening_is_the_inverse_cholesky_factor(rho):
    R = dense(rho) if rho else np.eye(len(STEPS))
    values = np.random.default_rng(0).normal(size=(3, len(STEPS)))
    expected = np.linalg.solve(np.linalg.cholesky(R), values.T).T
    np.testing.assert_allclose(whiten(values, rho, GAPS), expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(log_determinant(rho, GAPS), np.linalg.slogdet(R)[1], rtol=1e-8, atol=1e-12)


def test_noise_is_what_whitening_makes_independent():
    independent = np.random.default_rng(1).normal(size=(4, len(STEPS)))
    curves = noise_curves(independent, 0.7, GAPS)
    np.testing.assert_allclose(whiten(curves, 0.7, GAPS), independent, rtol=1e-12)
    many = noise_curves(np.random.default_rng(2).normal(size=(200_000, len(STEPS))), 0.7, GAPS)
    np.testing.assert_allclose(many.T @ many / len(many), dense(0.7), atol=0.012)


def test_correlations_reach_far_beyond_the_run():
    rhos = correlation_grid(40)
    assert rhos[0] == 0
    assert np.all(np.diff(rhos) > 0)
    assert -1 / np.log(rhos[-1]) == pytest.approx(30 * 40)


def brute_force(y, curve, rho):
    """Integral of the likelihood over level, amplitude and log sigma, on a grid and with a dense matrix."""
    R = dense(rho)
    precision = np.linalg.inv(R)
    level, amplitude = np.meshgrid(np.linspace(-9, 9, 181), np.linspace(-11, 11, 181), indexing="ij")
    residual = y - level[..., None] - amplitude[..., None] * curve
    rss = np.einsum("abi,ij,abj->ab", residual, precision, residual)
    log_sigma = np.linspace(-3.5, 4, 91)
    n = len(y)
    density = sum(np.exp(-n * s - rss / (2 * np.exp(2 * s))).sum() for s in log_sigma)
    return np.log(density) - np.linalg.slogdet(R)[1] / 2


def test_marginal_likelihood_is_the_integral_over_level_amplitude_and_scale():
    y = np.array([1.1, 0.6, 0.7, -0.2, 0.3, -0.1, 0.05])
    x = STEPS / 10
    curves = np.stack([np.exp(-x / 0.2), np.maximum(0, 1 - x / 0.4), np.exp(-x)])
    for rho in (0.2, 0.6):
        formula = project(y[None], curves, rho, GAPS).log_marginal()[0]
        integral = np.array([brute_force(y, curve, rho) for curve in curves])
        np.testing.assert_allclose(np.diff(formula), np.diff(integral), atol=3e-3)
    between = [project(y[None], curves[:1], rho, GAPS).log_marginal()[0, 0] for rho in (0.2, 0.6)]
    brute = [brute_force(y, curves[0], rho) for rho in (0.2, 0.6)]
    assert between[1] - between[0] == pytest.approx(brute[1] - brute[0], abs=3e-3)


def test_projection_is_generalised_least_squares():
    rng = np.random.default_rng(3)
    y, curve = rng.normal(size=(2, len(STEPS))), np.exp(-STEPS / 3)
    R = dense(0.5)
    precision = np.linalg.inv(R)
    X = np.stack([np.ones_like(curve), curve], axis=1)
    found = project(y, curve[None], 0.5, GAPS)
    for row, rss, null in zip(y, found.rss, found.null_rss, strict=True):
        b = np.linalg.solve(X.T @ precision @ X, X.T @ precision @ row)
        level = precision.sum(axis=0) @ row / precision.sum()
        assert rss[0] == pytest.approx((row - X @ b) @ precision @ (row - X @ b))
        assert null[0] == pytest.approx((row - level) @ precision @ (row - level))
    assert found.log_gram[0] == pytest.approx(np.linalg.slogdet(X.T @ precision @ X)[1])


def test_one_onset_for_all_runs_is_the_pooled_formula(monkeypatch):
    monkeypatch.setattr("geostat.statistics.locking.model_runs.correlation_grid", lambda n: np.array([0.4]))
    rng = np.random.default_rng(4)
    y = rng.normal(size=(1, 3, len(STEPS)))
    y[0, 1, 2] = np.nan
    x, unit = STEPS / 10, np.diff(STEPS).mean() / 10
    grid = onset_grid(choose_families(["exponential"]), 0.9, x[1], 10)
    found = fit_together(y, x, unit, grid, np.ones((1, 3), bool))[0, 0]
    expected = [pooled(y[0], x, grid.tau[0, g], 0.4) for g in (2, 5)]
    # The formula holds up to a constant.
    assert found[5] - found[2] == pytest.approx(expected[1] - expected[0])


def pooled(runs, x, tau, rho):
    rss = penalty = 0.0
    for run in runs:
        here = ~np.isnan(run)
        R = dense(rho)[np.ix_(here, here)]
        curve = np.exp(-x[here] / tau)
        X = np.stack([np.ones(here.sum()), (curve - curve[-1]) / (curve[0] - curve[-1])], axis=1)
        gram = X.T @ np.linalg.solve(R, X)
        b = np.linalg.solve(gram, X.T @ np.linalg.solve(R, run[here]))
        rss += (run[here] - X @ b) @ np.linalg.solve(R, run[here] - X @ b)
        penalty += np.linalg.slogdet(R)[1] + np.linalg.slogdet(gram)[1]
    n = (~np.isnan(runs)).sum()
    return -penalty / 2 - (n - 2 * len(runs)) / 2 * np.log(rss)


@pytest.mark.parametrize("name", list(FAMILIES))
@pytest.mark.parametrize("target", [0.5, 0.9])
def test_a_curve_has_made_the_target_of_its_change_by_its_onset(name, target):
    family = FAMILIES[name]
    onset = np.array([0.05, 0.3, 0.6]) * family.largest_onset(target)
    tau = family.time_constant(onset, target)
    x = np.concatenate([np.linspace(0, 1, 2001), onset])
    curves = family.curve(x, tau)
    np.testing.assert_allclose(curves[:, 0], 1)
    np.testing.assert_allclose(curves[:, 2000], 0, atol=1e-12)
    if name == "step":
        assert [x[:2001][curve[:2001] < 0.5][0] for curve in curves] == pytest.approx(onset, abs=6e-4)
    else:
        np.testing.assert_allclose(np.diagonal(curves[:, 2001:]), 1 - target, atol=1e-6)
        assert np.all(np.diff(curves[:, :2001], axis=1) <= 1e-12)


def test_a_run_that_starts_late_sees_every_curve_from_its_own_first_checkpoint():
    x = np.array([0.3, 0.5, 0.8, 1.0])
    for family in FAMILIES.values():
        tau = family.time_constant(np.array([0.01, 0.2, 0.6]), 0.9)
        seen = family.seen_by(x, tau)
        np.testing.assert_allclose(seen[:, 0], 1)
        np.testing.assert_allclose(seen[:, -1], 0, atol=1e-12)
    np.testing.assert_array_equal(FAMILIES["hinge"].seen_by(x, np.array([0.2])), [[1, 0, 0, 0]])
    np.testing.assert_array_equal(FAMILIES["step"].seen_by(x[:-1], np.array([0.9])), [[1, 1, 0]])


def test_spreads_are_quantiles_of_the_half_cauchy():
    from scipy import stats

    shares = stats.halfcauchy(scale=0.3).cdf(spread_grid(5))
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("names", [[], ["cosine"], ["hinge", "hinge"], "cosine"])
def test_families_that_are_not_known_are_refused(names):
    with pytest.raises(SampleError, match="hinge, exponential"):
        choose_families(names)


def test_the_mean_gap_is_that_of_a_runs_own_checkpoints():
    x = np.array([0.0, 0.1, 0.2, 0.6, 1.0])
    values = np.ones((1, 2, 5))
    assert mean_gap(values, x) == pytest.approx(1 / 4)
    values[0, 1, [0, 3]] = np.nan
    # Gaps .1, .1, .4, .4 of the first run and .1, .8 of the second.
    assert mean_gap(values, x) == pytest.approx(1.9 / 6)


def test_autocorrelation_is_told_at_the_mean_gap():
    rng = np.random.default_rng(6)
    steps = np.sort(rng.choice(20_000, 600, replace=False)).astype(float)
    gaps = np.diff(steps) / np.diff(steps).mean()
    values = np.exp(-steps / 3000) + 0.1 * noise_curves(rng.normal(size=(1, 4, 600)), 0.6, gaps)
    found = fit_onsets(values, steps, choose_families(["exponential"]))
    # The grid of correlations is coarse, and each of 4 runs tells rho up to about .04.
    assert found.rho[0] == pytest.approx(0.6, abs=0.08)
