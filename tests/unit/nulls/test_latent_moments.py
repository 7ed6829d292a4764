"""Normal variables in cells, against integrals that share nothing with the closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from geostat.nulls.latents.moments import cell_moments, draw_in_cells

CELLS = [
    (-3.0, 2.0),
    (-0.5, 0.5),
    (0.0, 1e-6),
    (2.0, 2.00009),
    (1.0, 1.001),
    (20.0, 20.5),
    (-40.0, -39.9),
    (8.0, 9.0),
    (-30.0, 30.0),
    (6.0, 1e4),
    (-1e4, 0.5),
    (50.0, 52.0),
]


def integrals(low, high):
    """Mass and moments by Gauss-Legendre on 400 panels, the density scaled by its largest value in the cell."""
    nearest = min(max(0.0, low), high)
    reach = 45 / max(1.0, abs(nearest))  # beyond, nothing is left of the density
    edges = np.linspace(max(low, nearest - reach), min(high, nearest + reach), 401)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = np.diff(edges)[:, None] / 2
    x = edges[:-1, None] + half * (1 + nodes)
    measure = half * weights * np.exp((nearest - x) * (nearest + x) / 2)
    mass = measure.sum()

    def mean(values):
        return float((values * measure).sum() / mass)

    first, square = mean(x), mean(x**2)
    log_mass = math.log(mass) - nearest**2 / 2 - math.log(2 * math.pi) / 2
    return log_mass, first, mean((x - first) ** 2), mean((x**2 - square) ** 2)


@pytest.mark.parametrize(("low", "high"), CELLS)
def test_moments_in_a_cell_are_those_of_the_integral(low, high):
    found = cell_moments(*torch.tensor([[low], [high]], dtype=torch.float64))
    log_mass, mean, variance, spread = integrals(low, high)
    assert float(found.log_mass) == pytest.approx(log_mass, rel=1e-8, abs=1e-8)
    assert float(found.mean) == pytest.approx(mean, rel=1e-7, abs=1e-9)
    # 1 - variance is what an entry says: its error counts beside 1
    assert float(found.variance) == pytest.approx(variance, rel=1e-5, abs=1e-7)
    assert float(found.spread) == pytest.approx(spread, rel=1e-4, abs=1e-5 * max(1.0, mean**2))


def test_a_cell_and_its_mirror_image_agree():
    low, high = torch.tensor(CELLS, dtype=torch.float64).T
    there, mirrored = cell_moments(low, high), cell_moments(-high, -low)
    for name, sign in (("log_mass", 1), ("mean", -1), ("variance", 1), ("spread", 1)):
        assert torch.equal(getattr(there, name), sign * getattr(mirrored, name))


@pytest.mark.parametrize(("low", "high"), CELLS)
def test_draws_stay_in_their_cell_and_have_its_moments(low, high):
    n = 20_000
    cell = torch.full((n,), low, dtype=torch.float64), torch.full((n,), high, dtype=torch.float64)
    drawn = draw_in_cells(*cell, np.random.default_rng(0))
    assert bool(((drawn >= low) & (drawn <= high)).all())
    expected = cell_moments(*(end[:1] for end in cell))
    deviation = math.sqrt(float(expected.variance) / n)
    assert float(drawn.mean()) == pytest.approx(float(expected.mean), abs=4 * deviation + 1e-12)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (2.9, 3.4), (4.0, 6.0), (12.0, 13.0)])
def test_draws_follow_the_truncated_normal_law(low, high):
    cell = torch.full((4000,), low, dtype=torch.float64), torch.full((4000,), high, dtype=torch.float64)
    drawn = draw_in_cells(*cell, np.random.default_rng(1)).numpy()
    assert stats.kstest(drawn, stats.truncnorm(low, high).cdf).pvalue > 1e-3
