"""Calibrations find what theory, or a plain simulation, says of intervals over runs and over layers."""

import math

import numpy as np
import pytest
from scipy import special, stats

from geostat.statistics.calibration.calibration import calibrate
from geostat.statistics.calibration.procedure import Procedure


def layer_bootstrap(data, asked):
    """Percentile interval that resamples layers as if they were the sample."""
    layers = data.mean("run").values
    L = layers.shape[1]
    means = layers @ asked.rng.multinomial(L, np.full(L, 1 / L), size=499).T / L
    low, high = np.quantile(means, [(1 - asked.level) / 2, (1 + asked.level) / 2], axis=1)
    one = data.isel(run=0, matrix=0, drop=True)
    return one.copy(data=low), one.copy(data=high)


LAYERS = Procedure("layer_bootstrap", layer_bootstrap, "seeds", "mean", vectorised=True)


def found(procedure, n_rep=1000, **grid):
    return calibrate(procedure, "fixed_layers", grid, n_rep=n_rep, rng=0, progress=False)


def test_mean_ci_is_as_wide_as_student_says():
    """2 t E[s] / sqrt(S), with E[s] = c4: half-widths of 7.2, 2.2, 1.17, .70 seed standard deviations."""
    result = found("mean_ci", S=[2, 3, 5, 10], L=12)
    for S in (2, 3, 5, 10):
        c4 = math.sqrt(2 / (S - 1)) * special.gamma(S / 2) / special.gamma((S - 1) / 2)
        expected = 2 * stats.t.ppf(0.975, S - 1) * c4 / math.sqrt(S)
        at = result.sel(S=S)
        assert float(at.width_mean) == pytest.approx(expected, abs=4 * float(at.width_mean_error))
        assert expected / 2 == pytest.approx({2: 7.17, 3: 2.20, 5: 1.17, 10: 0.70}[S], abs=0.006)


@pytest.mark.parametrize("L", [24, 144])
def test_a_bootstrap_over_layers_misses_what_a_seed_does_to_all_of_them(L):
    result = found(LAYERS, S=[1, 3], L=L, heterogeneity=0.0)
    assert (result.coverage < 0.8).all()


def test_a_bootstrap_over_layers_answers_to_their_differences_and_not_to_seeds():
    """Fixed differences between layers widen it to more than it claims: wrong in the other direction."""
    assert float(found(LAYERS, S=3, L=24, heterogeneity=4.0).coverage) > 0.98
