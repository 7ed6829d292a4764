"""Directions that two runs share: Haar, and what rounding onto one W_0 adds to it."""

import numpy as np
import pytest
import torch

from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.linalg import factored, subspace_similarity
from geostat.nulls.across_runs.agreement import subspace_agreement
from geostat.nulls.across_runs.agreement_density import scale_for_density, stored_update
from geostat.nulls.across_runs.agreement_haar import haar_similarity
from geostat.nulls.across_runs.agreement_rounding import (
    draw_channels,
    haar_update,
    latent_spectrum,
    similarities,
)

SHAPE, K = (64, 48), 4


def unequal_columns(rng):
    """Weights of which some inputs are small: both runs are seen there first."""
    return torch.from_numpy(
        rng.standard_normal(SHAPE) * np.exp(1.5 * rng.standard_normal(SHAPE[1]))
    ).bfloat16()


def end_of_run(start, update, density=0.1):
    moved = update if isinstance(update, torch.Tensor) else torch.from_numpy(update)
    return (start.double() + moved * scale_for_density(start, moved, density)).bfloat16()


def baselines(result, quantity="p_value"):
    return [float(x) for x in result.quantity(quantity).isel(side=0).values.ravel()]


@pytest.mark.parametrize(("n", "j", "k"), [(12, 3, 3), (20, 2, 5), (9, 1, 1)])
def test_similarity_of_uniform_subspaces_has_the_moments_of_the_formula(n, j, k):
    rng, count = np.random.default_rng(n), 3000
    frames = (np.linalg.qr(rng.standard_normal((n, size)))[0] for _ in range(count) for size in (j, k))
    draws = np.array([np.linalg.norm(a.T @ b) ** 2 / min(j, k) for a, b in zip(frames, frames, strict=True)])
    law = haar_similarity(n, j, k)
    assert abs(draws.mean() - law.mean) < 4 * law.sd / np.sqrt(count)
    kurtosis = np.mean(((draws - draws.mean()) / draws.std()) ** 4)
    assert abs(draws.var() - law.sd**2) < 4 * law.sd**2 * np.sqrt((kurtosis - 1) / count)
    low, high = law.interval(0.9)
    assert abs(np.mean((draws >= low) & (draws <= high)) - 0.9) < 4 * np.sqrt(0.09 / count) + 0.01
    assert abs(np.mean(draws >= high) - law.beyond(high)) < 4 * np.sqrt(0.0475 / count) + 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
def test_an_update_is_scaled_to_be_seen_in_exactly_so_many_entries(dtype, density):
    rng = np.random.default_rng(0)
    start = torch.from_numpy(rng.standard_normal((40, 50))).to(dtype)
    update = torch.from_numpy(rng.standard_t(3, (40, 50)))
    update *= scale_for_density(start, update, density)
    assert int((stored_update(start, update) != 0).sum()) == round(density * 2000)


def test_more_entries_than_an_update_has_cannot_be_seen():
    update = torch.zeros(4, 4, dtype=torch.float64)
    update[0, 0] = 1.0
    with pytest.raises(SampleError, match="fewer entries"):
        scale_for_density(torch.ones(4, 4, dtype=torch.bfloat16), update, 0.5)


def test_random_updates_have_the_given_singular_values_and_no_preferred_direction():
    rng, values = np.random.default_rng(1), torch.tensor([3.0, 2.0, 0.5], dtype=torch.float64)
    drawn = [haar_update((8, 6), values, rng) for _ in range(600)]
    np.testing.assert_allclose(torch.linalg.svdvals(drawn[0])[:3], values, rtol=1e-12)
    energy = torch.stack(drawn).square().mean(0)  # of every entry alike
    expected = float((values**2).sum()) / 48
    assert float((energy - expected).abs().max()) < 5 * float(torch.stack(drawn).square().std()) / np.sqrt(
        600
    )


@pytest.mark.parametrize(("density", "error"), [(0.1, 0.25), (0.4, 0.1)])
def test_singular_values_before_rounding_are_found_again(density, error):
    rng = np.random.default_rng(2)
    start = torch.from_numpy(rng.standard_normal((96, 80))).bfloat16()
    truth = torch.cat([torch.linspace(3.0, 2.0, 4), torch.linspace(1.0, 0.2, 76)]).double()
    update = haar_update((96, 80), truth, rng)
    factor = scale_for_density(start, update, density)
    stored = factored(stored_update(start, factor * update))
    found = latent_spectrum(start, stored, rng)
    assert found.density == pytest.approx(density, abs=0.02)
    ours = float(((found.values - factor * truth).norm()) / (factor * truth).norm())
    stored_ones = float((stored.singular_values - factor * truth).norm() / (factor * truth).norm())
    assert ours < error
    assert ours < stored_ones / 2


def test_rounding_twice_does_not_give_the_null_that_matching_gives():
    """Draws from the stored singular values are flatter than the truth, and follow the dead zones more."""
    rng = np.random.default_rng(3)
    start = unequal_columns(rng)
    low_rank = [
        torch.from_numpy(rng.standard_normal((SHAPE[0], K)) @ rng.standard_normal((K, SHAPE[1])))
        for _ in range(12)
    ]
    stored = [factored(end_of_run(start, each).double() - start.double()) for each in low_rank]
    truth = _mean_similarity([each.channel(K, "right") for each in stored])
    matched, twice = [], []
    for update in stored[:4]:
        latent = latent_spectrum(start, update, rng)
        matched += draw_channels(start, latent.values, K=K, sides=["right"], n=4, rng=rng)["right"]
        seen = update.singular_values
        scaled = seen * scale_for_density(start, haar_update(SHAPE, seen, rng), 0.1)
        twice += draw_channels(start, scaled, K=K, sides=["right"], n=4, rng=rng)["right"]
    assert truth > 1.5 * K / SHAPE[1]
    assert abs(_mean_similarity(matched) - truth) < abs(_mean_similarity(twice) - truth)


def _mean_similarity(bases):
    return similarities(bases, bases)[np.triu_indices(len(bases), 1)].mean()


def test_independent_updates_agree_as_rounding_says_and_not_as_haar_does():
    rng, n_studies = np.random.default_rng(4), 20
    p_values = []
    for study in range(n_studies):
        start = unequal_columns(rng)
        runs = [end_of_run(start, rng.standard_normal(SHAPE)) for _ in range(2)]
        p_values.append(baselines(subspace_agreement(runs, initial=start, K=K, n=20, rng=study)))
    haar, rounded = (np.array(p_values) < 0.05).mean(axis=0)
    assert haar > 0.9  # the wrong null
    assert rounded < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_studies)


def test_a_channel_that_two_runs_share_is_found_beyond_rounding():
    rng = np.random.default_rng(5)
    start = torch.from_numpy(rng.standard_normal(SHAPE)).bfloat16()
    channel = rng.standard_normal((K, SHAPE[1]))
    runs = {
        name: end_of_run(
            start, rng.standard_normal((SHAPE[0], K)) @ channel + rng.standard_normal(SHAPE), 0.3
        )
        for name in ("a", "b")
    }
    found = subspace_agreement(runs, initial=start, K=K, side="both", n=20, rng=0)
    p_values = found.p_value.sel(baseline="Haar through rounding").squeeze()
    assert float(p_values.sel(side="right")) == pytest.approx(1 / 21)
    assert float(p_values.sel(side="left")) > 0.05
    again = subspace_agreement(runs, initial=start, K=K, side="both", n=20, rng=0)
    np.testing.assert_array_equal(found.p_value.values, again.p_value.values)
    assert found.seed == 0


def test_the_observed_similarity_is_that_of_the_stored_updates():
    rng = np.random.default_rng(6)
    start = unequal_columns(rng)
    runs = [end_of_run(start, rng.standard_normal(SHAPE)) for _ in range(2)]
    bases = [np.linalg.svd((run.double() - start.double()).numpy())[2][:K].T for run in runs]
    expected = np.linalg.norm(bases[0].T @ bases[1]) ** 2 / K
    found = subspace_agreement(runs, initial=start, K=K, n=8, rng=0)
    assert baselines(found, "observed") == pytest.approx([expected, expected], rel=1e-9)
    frames = [torch.from_numpy(basis) for basis in bases]
    assert subspace_similarity(*frames) == pytest.approx(expected)


def test_of_unrounded_weights_only_haar_is_given_and_the_reason_is_said():
    rng = np.random.default_rng(7)
    start = torch.from_numpy(rng.standard_normal(SHAPE)).float()
    runs = [start + 1e-3 * torch.from_numpy(rng.standard_normal(SHAPE)).float() for _ in range(2)]
    found = subspace_agreement(runs, initial=start, K=K, n=8, rng=0)
    haar, rounded = baselines(found)
    assert 0 < haar < 1
    assert np.isnan(rounded)
    assert "float32: nothing was rounded" in str(found.to_frame().reason.iloc[1])


def test_bad_input_is_refused():
    rng = np.random.default_rng(8)
    start = unequal_columns(rng)
    end = end_of_run(start, rng.standard_normal(SHAPE))
    with pytest.raises(SampleError, match="Pass two or more runs"):
        subspace_agreement([end], initial=start)
    with pytest.raises(SampleError, match="run '2' changed nothing"):
        subspace_agreement([end, start], initial=start, rng=0)
    with pytest.raises(ShapeError, match="transposed"):
        subspace_agreement([end, end.T], initial=start)
    with pytest.raises(ProtocolError, match="several types"):
        subspace_agreement([end, end.float() + 1e-5], initial=start)
    with pytest.raises(SampleError, match="8 or more"):
        subspace_agreement([end, end], initial=start, n=7)
    with pytest.raises(ProtocolError, match="side="):
        subspace_agreement([end, end], initial=start, side="up")
