"""Directions that rounding hides: how strong they can be, and what they would do to the stable rank."""

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.linalg import round_to_bf16
from geostat.nulls.latents.undetected import lowered_rank, spiked, unspiked

SHAPE = (200, 300)


def noise_and(size, rng):
    """Noise of standard deviation 1 and one direction."""
    left, right = (rng.standard_normal(side) for side in SHAPE)
    direction = np.outer(left / np.linalg.norm(left), right / np.linalg.norm(right))
    return rng.standard_normal(SHAPE) + size * direction


@pytest.mark.parametrize("size", [0.0, 8.0, 25.0, 60.0])
def test_the_largest_singular_value_is_that_of_large_matrices(size):
    rng = np.random.default_rng(0)
    largest = np.mean([np.linalg.norm(noise_and(size, rng), 2) for _ in range(4)])
    assert spiked(size, 1.0, SHAPE) == pytest.approx(largest, rel=0.03)


@pytest.mark.parametrize("size", [16.0, 25.0, 60.0, 1e4])
@pytest.mark.parametrize("noise", [1.0, 1e-7])
def test_a_direction_is_found_from_the_singular_value_that_it_gives(size, noise):
    assert unspiked(spiked(size * noise, noise, SHAPE), noise, SHAPE) == pytest.approx(size * noise, rel=1e-6)


def test_below_the_edge_any_direction_up_to_the_threshold_may_be_there():
    threshold = (SHAPE[0] * SHAPE[1]) ** 0.25
    assert unspiked(1.0, 1.0, SHAPE) == pytest.approx(threshold)
    assert unspiked(0.0, 1.0, SHAPE) == pytest.approx(threshold)


def test_a_direction_in_place_of_noise_keeps_the_norm_and_lowers_the_rank():
    draw = torch.from_numpy(noise_and(0.0, np.random.default_rng(1)))
    ranks, norms = torch.tensor([gs.stable_rank(draw)]), torch.tensor([gs.update_norm(draw)])
    direction = noise_and(60.0, np.random.default_rng(2))
    like = gs.stable_rank(torch.from_numpy(direction * float(norms) / np.linalg.norm(direction)))
    size = 60.0 * float(norms) / np.linalg.norm(direction)
    found = lowered_rank(ranks, norms, size, 1.0, SHAPE)
    assert float(found) == pytest.approx(like, rel=0.05)
    assert float(lowered_rank(ranks, norms, 0.0, 1.0, SHAPE)) == float(ranks)
    assert bool(lowered_rank(ranks, norms, float("inf"), 1.0, SHAPE) < 1.01)


def test_an_update_whose_direction_rounding_hides_is_within_its_interval():
    rng = np.random.default_rng(3)
    start = torch.from_numpy(rng.standard_normal((128, 192))).to(torch.bfloat16)
    noise = rng.standard_normal((128, 192))
    direction = np.outer(rng.standard_normal(128), rng.standard_normal(192)) / 5
    update = torch.from_numpy(2.2e-4 * (noise + direction))
    stored = round_to_bf16(start.to(torch.float64) + update)
    assert gs.update_sparsity(start, stored) > 0.9
    found = gs.latent_update(start, stored, K=4, n_draws=12)
    told = found["stable_rank"]
    assert found.rank == 0
    assert gs.stable_rank(update) < 0.8 * gs.stable_rank(torch.from_numpy(noise))
    assert float(told.low) <= gs.stable_rank(update) <= float(told.high)
    assert any("too weak to stand out" in each for each in found.warnings)
