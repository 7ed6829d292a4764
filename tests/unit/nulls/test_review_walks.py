"""Sizes of nulls that many matrices, or few draws, share."""

import numpy as np
import torch

from geostat.nulls.across_runs.jaccard import jaccard_test
from geostat.nulls.gates.gate import _cells_of_draws
from geostat.nulls.gates.request import GateRequest
from geostat.nulls.walks.diffusion import _taken_next


def test_the_mean_of_many_matrices_carries_the_error_of_the_law_that_they_share():
    rng = np.random.default_rng(0)
    n, matrices, repeats = 49, 48, 400
    rejected, spread = 0, []
    for _ in range(repeats):
        law, observed = rng.standard_normal(n), rng.standard_normal(matrices).mean()
        taken = []
        for _ in range(matrices):
            _taken_next(taken, n, rng)
        draws = law[np.array(taken)].mean(axis=0)
        spread.append(draws.var())
        beyond = min((draws >= observed).sum(), (draws <= observed).sum())
        rejected += 2 * (1 + beyond) / (n + 1) <= 0.1
    assert abs(rejected / repeats - 0.1) < 0.05  # with the law taken as known a quarter is rejected
    assert np.mean(spread) > 1.5 / matrices


def test_a_single_matrix_takes_every_draw_once():
    taken = _taken_next([], 19, np.random.default_rng(0))
    assert sorted(taken) == list(range(19))


def test_few_draws_reject_as_often_as_they_say():
    rng = np.random.default_rng(0)
    figures = rng.standard_normal((20, 20_000))
    asked = GateRequest("update_sparsity", "permutation", tuple(np.arange(20_000.0)), 8, 19, 0.95)
    p_value = _cells_of_draws(figures[0], figures[1:], asked)["p_value"].values
    assert abs((p_value <= 0.05).mean() - 0.05) < 0.005
    assert abs((p_value <= 0.1).mean() - 0.1) < 0.007


def test_all_matrices_together_say_that_they_count_as_independent():
    rng = np.random.default_rng(0)
    names = [f"blocks.0.attention.{module}.weight" for module in ("query", "key")]
    start = {name: torch.from_numpy(rng.standard_normal((32, 32))).bfloat16() for name in names}

    def run():
        return {
            name: (w.double() + 3e-3 * torch.from_numpy(rng.standard_normal((32, 32)))).bfloat16()
            for name, w in start.items()
        }

    ends = {"a": run(), "b": run()}
    together = jaccard_test(ends, initial=start)
    assert any(text.startswith("All together") for text in together.assumptions)
    alone = jaccard_test(ends, initial=start, matrices="*key*")
    assert not any(text.startswith("All together") for text in alone.assumptions)
