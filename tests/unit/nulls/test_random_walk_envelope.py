import numpy as np
import pytest
import torch
import xarray as xr

from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.nulls.walks.covariance import input_covariance
from geostat.nulls.walks.envelope import random_walk_envelope
from geostat.nulls.walks.leading import quick_statistics
from geostat.nulls.walks.matching import latent_variances, one_horizon_later, walked_variances
from geostat.nulls.walks.paths import WalkShape, path_draws, path_statistics, stored, walk

STEPS = 6


def weight(rows, cols, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, cols, generator=generator) / cols**0.5).to(torch.bfloat16)


def stored_walk(initial, size, covariance=None, seed=5, checkpoints=STEPS):
    """A structureless run in bf16: every increment of one size relative to W_0."""
    rows, cols = initial.shape
    variances = np.arange(1, checkpoints + 1) * (size * float(initial.double().norm())) ** 2
    shape = WalkShape(
        rows, cols, variances, (*range(1, checkpoints), -1), input_covariance(covariance, cols), 4
    )
    return stored(initial, walk(shape, np.random.default_rng(seed)))


def increment_norms(updates):
    return np.linalg.norm(np.diff(updates.numpy(), axis=0, prepend=0.0), axis=(1, 2))


def test_a_walk_keeps_within_its_own_envelope_nineteen_times_in_twenty():
    shape = WalkShape(24, 32, np.arange(1.0, 7.0), (1, 2, 3, 4, 5, -1), input_covariance(0.5, 32), 4)
    walks = path_draws(
        shape,
        ["forward_capture", "similarity_to_end"],
        200,
        np.random.default_rng(2),
        measured_by=quick_statistics,
    )
    for name, values in walks.items():
        envelope = random_walk_envelope(
            np.ones(STEPS), rows=24, cols=32, K=4, covariance=0.5, statistic=name, n=399
        )
        low, high = envelope.low.values, envelope.high.values
        inside = ((values >= low) & (values <= high))[:, :, 1:4].mean(axis=0)
        # 200 walks, and an envelope from 399: standard error about .02
        assert np.all(inside > 0.95 - 4 * 0.02), name


def test_a_figure_far_above_diffusion_has_the_smallest_p_value_and_a_positive_excess():
    observed = np.full((2, STEPS), 0.99)
    found = random_walk_envelope(np.ones(STEPS), rows=20, cols=20, K=2, observed=observed, n=99)
    before = found.p_value.isel(step=slice(0, 3))
    np.testing.assert_allclose(before, 0.02)
    assert (found.excess.isel(step=slice(0, 3)) > 0.3).all()


def test_rounding_makes_past_and_next_of_a_structureless_walk_similar():
    initial = weight(128, 128)
    updates = stored_walk(initial, 2e-4, checkpoints=3)
    assert (updates[0] == 0).double().mean() > 0.85
    through = random_walk_envelope(
        increment_norms(updates), statistic="past_next_similarity", K=4, storage="bf16", initial=initial, n=39
    )
    mean = through.null_mean.isel(step=slice(0, 2)).mean()
    assert mean > 1.4 * 4 / 128  # two channels of Haar have K/n


def test_a_null_without_rounding_takes_shared_rounding_errors_for_structure():
    initial = weight(192, 192)
    found = {"fp32": 0, "bf16": 0}
    for seed in range(5):
        updates = stored_walk(initial, 2e-4, seed=seed, checkpoints=2)
        seen = path_statistics(updates, (1, -1), 4, ["forward_capture"])["forward_capture"]
        for storage in found:
            null = random_walk_envelope(
                increment_norms(updates),
                statistic="forward_capture",
                K=4,
                rows=192,
                cols=192,
                storage=storage,
                initial=initial,
                observed=seen,
                n=39,
                rng=seed,
            )
            found[storage] += int((null.p_value.isel(step=0) <= 0.05).sum())
    assert found["fp32"] >= 8  # of 10
    assert found["bf16"] <= 3


def test_stored_norms_of_a_matched_walk_are_those_of_the_run():
    initial, rng = weight(96, 128), np.random.default_rng(4)
    inputs = input_covariance(1.0, 128)
    norms = increment_norms(stored_walk(initial, 3e-4, 1.0))
    for matched, wanted in (("increments", norms), ("updates", np.sqrt(np.cumsum(norms**2)))):
        variances = latent_variances(initial, wanted, matched, inputs, rng)
        shape = WalkShape(96, 128, variances, (-1,) * STEPS, inputs, 4)
        updates = stored(initial, walk(shape, rng))
        met = increment_norms(updates) if matched == "increments" else updates.norm(dim=(1, 2)).numpy()
        np.testing.assert_allclose(met, wanted, rtol=0.1)


def test_squares_of_increments_add_up_and_a_falling_update_stands_still():
    np.testing.assert_allclose(walked_variances([3.0, 4.0], "increments"), [9.0, 25.0])
    np.testing.assert_allclose(walked_variances([3.0, 2.0, 4.0], "updates"), [9.0, 9.0, 16.0])


def test_one_horizon_later_may_lie_outside_the_checkpoints():
    assert one_horizon_later([10, 20, 30]) == (1, 2, -1)
    assert one_horizon_later([10, 20, 40], 20) == (-1, 2, -1)


def test_a_seed_names_the_answer():
    first, second = (random_walk_envelope(np.ones(3), rows=8, cols=9, K=2, n=39, rng=7) for _ in range(2))
    np.testing.assert_array_equal(first.high.values, second.high.values)
    assert first.seed == 7


def test_steps_are_those_of_the_norms():
    norms = xr.DataArray([1.0, 2.0], dims="step", coords={"step": [63, 127]})
    envelope = random_walk_envelope(norms, statistic="stable_rank", rows=8, cols=9, K=2, n=39)
    assert envelope.null_mean.dims == ("step",)
    assert envelope.null_mean["step"].values.tolist() == [63, 127]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"statistic": "hill_tail_exponent"}, SampleError, "none of a walk"),
        ({"norms": [0.0, 0.0]}, SampleError, "nothing changed"),
        ({"norms": [1.0, np.nan]}, SampleError, "not finite"),
        ({"n": 20}, SampleError, "n=39 or more"),
        ({"storage": "bf16"}, ProtocolError, "initial="),
        ({"storage": "fp8"}, ProtocolError, "not known"),
        ({"rows": None}, ShapeError, "Pass the shape"),
        ({"observed": np.zeros(5)}, SampleError, "observed has shape"),
        ({"storage": "bf16", "initial": torch.ones(3, 3)}, ShapeError, "rows=8"),
        ({"storage": "bf16", "initial": torch.full((8, 9), 0.1)}, ProtocolError, "bf16 has not"),
        ({"steps": [2, 1]}, SampleError, "which rise"),
    ],
)
def test_errors_say_what_to_pass(change, error, said):
    given = {"norms": [1.0, 1.0], "rows": 8, "cols": 9, "K": 2, "n": 39} | change
    with pytest.raises(error, match=said):
        random_walk_envelope(given.pop("norms"), **given)
