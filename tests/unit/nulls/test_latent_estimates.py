"""What `latent_update` says where the stored pair tells much, little, or nothing, and where its model fails."""

import math

import numpy as np
import pytest
import torch

from geostat.diagnostics import stable_rank, top_k_energy, update_norm
from geostat.linalg import factored, subspace_similarity
from geostat.linalg.rounding import round_to_bf16
from geostat.nulls.latents.update import LatentUpdate, latent_update

K = 4
QUICK = {"K": K, "n_draws": 20, "n_rehearsals": 1}
WHOLE = ("stable_rank", "update_norm", "top_k_energy")


def stored(*, noise=0.5, unchanged=0.8, rows=128, cols=112, scatter=0.0, seed=0):
    """A start, an update of K directions and noise whose rows differ, and what storage makes of them."""
    rng = np.random.default_rng(seed)
    initial = torch.from_numpy(0.02 * rng.standard_normal((rows, cols))).to(torch.bfloat16)
    channel = rng.standard_normal((rows, K)) * np.arange(1, K + 1) ** -0.3 @ rng.standard_normal((K, cols))
    rough = rng.standard_normal((rows, cols)) * np.exp(scatter * rng.standard_normal((rows, 1)))
    update = torch.from_numpy(channel / np.linalg.norm(channel) * math.sqrt(rows * cols) + noise * rough)
    start, smallest, largest = initial.to(torch.float64), 1e-9, 1.0
    for _ in range(40):
        size = math.sqrt(smallest * largest)
        share = float((round_to_bf16(start + size * update) == initial).double().mean())
        smallest, largest = (size, largest) if share > unchanged else (smallest, size)
    return initial, size * update, round_to_bf16(start + size * update)


@pytest.fixture(scope="module")
def case():
    initial, update, updated = stored()
    return initial, update, updated, latent_update(initial, updated, other=update, **QUICK)


def test_similarities_are_found_within_a_twentieth_and_the_estimated_channel_beats_the_stored_one(case):
    initial, update, updated, found = case
    held, true = (factored(m) for m in (updated.double() - initial.double(), update))
    for side, mine in (("left", found.left), ("right", found.right)):
        of_stored = subspace_similarity(held.channel(K, side), true.channel(K, side))
        of_estimate = subspace_similarity(mine, true.channel(K, side))
        assert of_estimate > of_stored
        told = {name: float(found[name].estimate.sel(side=side)) for name in found.cells if name not in WHOLE}
        assert told["stored_similarity"] == pytest.approx(of_stored, abs=0.05)
        assert told["channel_certainty"] == pytest.approx(of_estimate, abs=0.05)
        assert told["other_similarity"] == pytest.approx(1.0, abs=0.05)


def test_an_unrelated_update_is_not_made_similar(case):
    initial, _, updated, _ = case
    other = np.random.default_rng(5).standard_normal(initial.shape)
    found = latent_update(initial, updated, other=other, **QUICK)["other_similarity"]
    assert float(found.estimate.max()) < 3 * K / min(initial.shape)


def test_noise_that_differs_from_row_to_row_does_not_bend_the_figures():
    initial, update, updated = stored(noise=0.8, scatter=0.5)
    found = latent_update(initial, updated, **QUICK)
    assert float(found["stable_rank"].estimate) == pytest.approx(stable_rank(update), rel=0.1)
    assert float(found["update_norm"].estimate) == pytest.approx(update_norm(update), rel=0.02)
    assert float(found["top_k_energy"].estimate) == pytest.approx(top_k_energy(update, K=K), abs=0.03)


def test_where_every_entry_moved_far_the_stored_figures_are_the_answer():
    initial, update, updated = stored(unchanged=0.01)
    found = latent_update(initial, updated, **QUICK)
    assert float((initial != updated).double().mean()) > 0.98
    for name, true in (("stable_rank", stable_rank(update)), ("update_norm", update_norm(update))):
        assert float(found[name].estimate) == pytest.approx(float(found[name].stored), rel=0.01)
        assert float(found[name].estimate) == pytest.approx(true, rel=0.01)


def test_an_update_of_a_few_large_entries_is_not_taken_for_normal_noise():
    initial, _, _ = stored(rows=120, cols=120)
    rng = np.random.default_rng(0)
    jumps = torch.from_numpy(rng.choice([0.0, -1.0, 1.0], tuple(initial.shape), p=[0.94, 0.03, 0.03]))
    found = latent_update(initial, round_to_bf16(initial.double() + 0.05 * jumps), **QUICK)
    assert found.ci is None
    assert "does not describe it" in str(found["stable_rank"].estimate.reason.item())


def test_a_channel_that_the_stored_pair_cannot_tell_is_not_told():
    initial, update, updated = stored(rows=96, cols=96, unchanged=0.94)
    found = latent_update(initial, updated, K=16, n_draws=20, n_rehearsals=0)
    assert found["top_k_energy"].ci is None
    assert "stand out of 16" in str(found["top_k_energy"].estimate.reason.item())
    assert float(found["stable_rank"].low) < stable_rank(update) < float(found["stable_rank"].high)


def test_another_seed_agrees_within_the_interval(case):
    initial, _, updated, found = case
    other = latent_update(initial, updated, rng=7, **QUICK)["update_norm"]
    assert float(found["update_norm"].low) < float(other.estimate) < float(found["update_norm"].high)


def test_a_result_reads_back_from_json_without_its_channels(case):
    found = case[3]
    again = LatentUpdate.from_json(found.to_json())
    assert str(again.rows()) == str(found.rows())  # as text, because NaN is not itself
    assert again.left is None
    assert again.rank == found.rank
