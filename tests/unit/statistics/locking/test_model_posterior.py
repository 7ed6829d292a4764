"""From likelihoods of runs to a set of onsets, against plain sums."""

import numpy as np
import pytest

from geostat.statistics.locking.model_families import choose_families
from geostat.statistics.locking.model_grid import onset_grid
from geostat.statistics.locking.model_posterior import (
    highest_hull,
    onset_posterior,
    posterior_median,
    spread_grid,
)

GRID = onset_grid(choose_families(["hinge", "exponential"]), 0.9, 0.2, 6)
F, G = GRID.prior.shape


def likelihoods(runs, seed=0):
    return np.random.default_rng(seed).normal(0, 2, (1, runs, F, G))


def test_every_family_and_every_onset_that_it_can_have_is_equally_likely():
    assert GRID.prior.sum(axis=1) == pytest.approx([0.5, 0.5])
    width = np.diff(GRID.edges)
    for row, largest in zip(GRID.prior, (0.9, 0.9), strict=True):
        inside = GRID.edges[1:] <= largest
        np.testing.assert_allclose(row[inside] / width[inside], 0.5 / largest, rtol=1e-4)


def test_cells_are_finer_where_checkpoints_are_denser_at_the_start():
    coarse = onset_grid(choose_families(["hinge"]), 0.9, 0.1)
    fine = onset_grid(choose_families(["hinge"]), 0.9, 0.0005)
    assert coarse.edges[1] == pytest.approx(1 / 240)
    assert fine.edges[1] <= 0.0005 / 2 * (1 + 1e-9)


def test_transitions_are_those_of_a_lognormal():
    for spread in (0.05, 0.4):
        steps = GRID.transition(spread)
        np.testing.assert_allclose(steps.sum(axis=-1), 1)
        tau = np.exp(np.log(GRID.tau[1, 2]) + spread * np.random.default_rng(0).normal(size=200_000))
        found = np.histogram(np.log(tau), np.clip(GRID.log_edges[1], -1e9, 1e9))[0] / 200_000
        np.testing.assert_allclose(steps[1, 2], found, atol=0.005)


def test_one_run_has_the_posterior_that_bayes_gives():
    one = likelihoods(1)
    found = onset_posterior(one, np.ones((1, 1), bool), GRID)
    weights = GRID.prior * np.exp(one[0, 0])
    np.testing.assert_allclose(found.onset[0], weights.sum(axis=0) / weights.sum())
    np.testing.assert_allclose(found.families[0], weights.sum(axis=1) / weights.sum())
    assert np.isnan(found.spread[0])


def by_loops(runs):
    """Sum over recipe's cell, spread and every run's own cell, with nothing vectorised."""
    onset, families, by_spread = np.zeros(G), np.zeros(F), np.zeros(len(spread_grid()))
    for d, spread in enumerate(spread_grid()):
        steps = GRID.transition(spread)
        for f in range(F):
            for i in range(G):
                product = GRID.prior[f, i]
                for run in runs:
                    own = [
                        steps[f, i, j] * np.exp(run[f, j]) if GRID.prior[f, j] > 0 else 0.0 for j in range(G)
                    ]
                    product *= sum(own)
                onset[i] += product
                families[f] += product
                by_spread[d] += product
    return onset / onset.sum(), families / families.sum(), by_spread / by_spread.sum()


def test_several_runs_share_their_onset_up_to_the_spread():
    several = likelihoods(3)
    found = onset_posterior(several, np.ones((1, 3), bool), GRID)
    onset, families, by_spread = by_loops(several[0])
    np.testing.assert_allclose(found.onset[0], onset)
    np.testing.assert_allclose(found.families[0], families)
    assert found.spread[0] == spread_grid()[np.searchsorted(by_spread.cumsum(), 0.5)]


def test_a_run_that_does_not_count_changes_nothing():
    several = likelihoods(3)
    without = onset_posterior(several[:, [0, 2]], np.ones((1, 2), bool), GRID)
    masked = onset_posterior(several, np.array([[True, False, True]]), GRID)
    np.testing.assert_allclose(masked.onset, without.onset)
    alone = onset_posterior(several, np.array([[False, True, False]]), GRID)
    np.testing.assert_allclose(
        alone.onset, onset_posterior(several[:, 1:2], np.ones((1, 1), bool), GRID).onset
    )


def test_the_hull_is_that_of_the_smallest_set_that_holds_the_level():
    edges = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.0])
    probability = np.array([[0.05, 0.3, 0.02, 0.6, 0.03], [0.96, 0.01, 0.01, 0.01, 0.01]])
    # Densities .5, 3, .1, 1.5, .15: the set is cells 1, 3 and 0, which hold .95.
    low, high = highest_hull(probability, edges, 0.94)
    assert (low[0], high[0]) == (0.0, 0.8)
    low, high = highest_hull(probability, edges, 0.89)
    assert (low[0], high[0]) == (0.1, 0.8)
    assert (low[1], high[1]) == (0.0, 0.1)


def test_the_median_is_interpolated_within_its_cell():
    edges = np.array([0.0, 0.2, 0.6, 1.0])
    assert posterior_median(np.array([[0.3, 0.4, 0.3]]), edges)[0] == pytest.approx(0.4)
    assert posterior_median(np.array([[0.8, 0.1, 0.1]]), edges)[0] == pytest.approx(0.125)
