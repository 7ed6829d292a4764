"""Coverage of `mean_ci` at few seeds, whatever the number of layers and their correlation."""

import math

import numpy as np
import pytest
import xarray as xr

from geostat.statistics import mean_ci

REPLICATES = 2000
LEVEL = 0.95
CELLS = [(S, L, rho) for S in (2, 3, 5, 10) for L in (24, 144) for rho in (0.0, 0.3)]


def simulated(S: int, L: int, rho: float, heterogeneity: float = 2.0) -> xr.DataArray:
    """Replicates of S runs: fixed layer effects of mean zero, seed effects correlated by rho over layers."""
    rng = np.random.default_rng([2026, S, L, round(10 * rho)])
    layers = rng.normal(0, heterogeneity, L)
    shared = rng.normal(size=(REPLICATES, S, 1))
    own = rng.normal(size=(REPLICATES, S, L))
    values = layers - layers.mean() + math.sqrt(rho) * shared + math.sqrt(1 - rho) * own
    return xr.DataArray(values, dims=("replicate", "run", "matrix"), attrs={"units": "1"}, name="metric")


def monte_carlo_error(coverage: float) -> float:
    return math.sqrt(coverage * (1 - coverage) / REPLICATES)


@pytest.mark.parametrize(("S", "L", "rho"), CELLS)
def test_mean_ci_covers(S, L, rho):
    result = mean_ci(simulated(S, L, rho), level=LEVEL)
    assert set(np.unique(result.quantity("n_runs"))) == {S}
    coverage = float(((result.low <= 0) & (result.high >= 0)).mean())
    # The bar is [.93, .97]; a smoke run fails where the whole of +-3 Monte Carlo errors lies outside it.
    assert coverage + 3 * monte_carlo_error(coverage) >= 0.93, coverage
    assert coverage - 3 * monte_carlo_error(coverage) <= 0.97, coverage


@pytest.mark.parametrize("S", [2, 3, 5, 10])
def test_half_width_is_the_one_that_student_predicts(S):
    """E[t s / sqrt(S)] with E[s] = c4: 7.2, 2.2, 1.17, .70 standard deviations of a run's mean."""
    data = simulated(S, 144, 0.3)
    result = mean_ci(data, level=LEVEL)
    sd = math.sqrt(0.3 + 0.7 / 144)
    half = float((result.high - result.low).mean()) / 2 / sd
    assert half == pytest.approx({2: 7.17, 3: 2.20, 5: 1.17, 10: 0.70}[S], rel=0.06)


def layer_bootstrap_coverage(data: xr.DataArray) -> float:
    """Coverage of the percentile interval that resamples layers as if they were the sample."""
    rng = np.random.default_rng(7)
    values = data.mean("run").values[:1000]
    L = values.shape[1]
    means = values @ rng.multinomial(L, np.full(L, 1 / L), size=499).T / L
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return float(((low <= 0) & (high >= 0)).mean())


@pytest.mark.parametrize("S", [1, 3])
@pytest.mark.parametrize("L", [24, 144])
def test_bootstrap_over_layers_does_not_cover(S, L):
    """Negative control: it misses the variation that a run's layers have in common."""
    assert layer_bootstrap_coverage(simulated(S, L, 0.3, heterogeneity=0.0)) < 0.80


def test_bootstrap_over_layers_answers_to_heterogeneity_and_not_to_seeds():
    """Fixed differences between layers widen it to .99 and more: wrong in the other direction."""
    assert layer_bootstrap_coverage(simulated(3, 24, 0.3, heterogeneity=2.0)) > 0.98
