"""The update before rounding: found again where the stored weights tell, and bounded where they do not."""

import numpy as np
import pytest
import torch

import geostat as gs
from geostat.errors import NonFiniteError, ProtocolError, ShapeError
from geostat.linalg import factored, round_to_bf16, subspace_similarity
from geostat.linalg.rounding_cells import rounding_cells
from geostat.nulls.latents.moments import cell_moments

SIDE = 128


def pair(size, *, rank=4, noise=0.0, seed=0):
    """A start, its true update of a few directions and noise, and what storage makes of it."""
    rng = np.random.default_rng(seed)
    start = torch.from_numpy(rng.standard_normal((SIDE, SIDE))).to(torch.bfloat16)
    channel = rng.standard_normal((SIDE, rank)) @ rng.standard_normal((rank, SIDE)) / np.sqrt(rank)
    update = torch.from_numpy(size * (channel + noise * rng.standard_normal((SIDE, SIDE))))
    return start, update, round_to_bf16(start.to(torch.float64) + update)


@pytest.fixture(scope="module")
def mostly_unchanged():
    start, update, end = pair(1e-3, noise=0.2)
    return start, update, end, gs.latent_update(start, end, K=4)


def test_most_entries_do_not_move_and_the_stored_rank_is_far_off(mostly_unchanged):
    start, update, end, found = mostly_unchanged
    assert 0.7 < gs.update_sparsity(start, end) < 0.9
    assert float(found["stable_rank"].stored) > 1.2 * gs.stable_rank(update)


@pytest.mark.parametrize("figure", ["stable_rank", "update_norm", "top_k_energy"])
def test_figures_of_the_true_update_are_found_again(mostly_unchanged, figure):
    _, update, _, found = mostly_unchanged
    true = gs.top_k_energy(update, K=4) if figure == "top_k_energy" else getattr(gs, figure)(update)
    told = found[figure]
    assert abs(float(told.estimate) - true) < 0.1 * abs(true)
    assert abs(float(told.estimate) - true) < abs(float(told.stored) - true) / 3
    assert float(told.bound_low) <= true <= float(told.bound_high)


def test_the_channel_is_nearer_to_the_true_one_than_the_stored_channel(mostly_unchanged):
    start, update, end, found = mostly_unchanged
    stored = factored(end).minus(factored(start))
    for side, channel in (("left", found.left), ("right", found.right)):
        truth = factored(update).vectors(4, side)
        here, before = (subspace_similarity(each, truth) for each in (channel, stored.vectors(4, side)))
        assert here > 0.9
        assert 1 - here < (1 - before) / 2


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(8):
        start, update, end = pair(1e-3, noise=0.2, seed=seed)
        told = gs.latent_update(start, end, K=4, n_draws=12, n_rehearsals=1, rng=seed)["stable_rank"]
        held.append(float(told.low) <= gs.stable_rank(update) <= float(told.high))
    assert sum(held) >= 6  # of 8 at 95%: fewer has probability below .001


@pytest.mark.parametrize("rank", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_an_update_of_low_rank_without_any_noise_is_within_its_interval(rank):
    start, update, end = pair(1e-3, rank=rank)
    found = gs.latent_update(start, end, K=1)
    for name, true in (("stable_rank", gs.stable_rank(update)), ("update_norm", gs.update_norm(update))):
        told = found[name]
        assert float(told.low) <= true * (1 + 1e-9)
        assert true <= float(told.high)
        assert float(told.high) < 1.05 * float(told.low)


def signs(steps, size, seed=0):
    """What so many steps of equal size by the signs of a noisy gradient do, and what storage makes of it."""
    rng = np.random.default_rng(seed)
    start = torch.from_numpy(rng.standard_normal((SIDE, SIDE))).to(torch.bfloat16)
    channel = rng.standard_normal((SIDE, 4)) @ rng.standard_normal((4, SIDE)) / 2
    gradients = channel + rng.standard_normal((steps, SIDE, SIDE))
    update = torch.from_numpy(size * np.sign(gradients).sum(axis=0))
    return start, update, round_to_bf16(start.to(torch.float64) + update)


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        (1, 3e-3),
        pytest.param(3, 3e-3, marks=pytest.mark.slow),
        pytest.param(10, 1e-3, marks=pytest.mark.slow),
    ],
)
def test_first_steps_by_signs_are_no_low_rank_update_with_normal_noise(steps, size):
    start, update, end = signs(steps, size)
    found = gs.latent_update(start, end, K=4)
    for name in ("stable_rank", "update_norm"):
        told = found[name]
        assert np.isnan(float(told.estimate))
        assert "does not describe it" in str(told.to_xarray().reason)
        assert float(told.bound_low) <= getattr(gs, name)(update) <= float(told.bound_high)


def test_without_any_change_there_are_bounds_and_a_reason():
    start, _, _ = pair(1e-3)
    found = gs.latent_update(start, start.clone(), K=4)
    told = found["update_norm"].to_xarray()
    assert np.isnan(told.estimate)
    assert str(told.reason)
    assert float(told.bound_low) == 0.0 < float(told.bound_high)


def test_the_bounds_are_those_of_the_cells(mostly_unchanged):
    start, _, end, found = mostly_unchanged
    low, high = rounding_cells(start, end)
    nearest = torch.where((low < 0) & (high > 0), 0.0, torch.minimum(low.abs(), high.abs()))
    farthest = torch.maximum(low.abs(), high.abs())
    told = found["update_norm"]
    assert float(told.bound_low) == pytest.approx(float(nearest.norm()), rel=1e-12)
    assert float(told.bound_high) == pytest.approx(float(farthest.norm()), rel=1e-12)


def test_moments_in_a_cell_are_those_of_a_truncated_normal_far_out_too():
    from scipy.stats import truncnorm

    low = torch.tensor([-1.0, 0.5, 8.0, 30.0, -40.0], dtype=torch.float64)
    high = low + torch.tensor([3.0, 0.1, 0.5, 0.2, 0.3], dtype=torch.float64)
    found = cell_moments(low, high)
    np.testing.assert_allclose(found.mean, truncnorm.mean(low.numpy(), high.numpy()), rtol=1e-6)
    assert bool(((found.mean > low) & (found.mean < high)).all())
    assert bool(((found.variance > 0) & (found.variance <= (high - low) ** 2 / 4)).all())


def test_weights_that_leave_no_cell_are_refused():
    start, _, end = pair(1e-3)
    with pytest.raises(ProtocolError):
        gs.latent_update(start.float(), end.float())
    with pytest.raises(ShapeError):
        gs.latent_update(start, end[:, :-1])
    broken = end.clone()
    broken[0, 0] = float("nan")
    with pytest.raises(NonFiniteError):
        gs.latent_update(start, broken)


def test_it_says_what_it_takes_for_granted_and_comes_back_from_json(mostly_unchanged):
    found = mostly_unchanged[-1]
    assert "normal noise" in found.conditions_on
    assert found.cannot_see in str(found)
    again = type(found).from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again.left is None
