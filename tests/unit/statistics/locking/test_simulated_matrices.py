import warnings

import numpy as np
import pytest
import torch
import xarray as xr

from geostat.diagnostics import forward_capture
from geostat.linalg import factored
from geostat.statistics.locking.locking_onset import locking_onset
from geostat.testing.synthetic import simulated_updates, stored_updates

K, T = 8, 16


def walk(rng, **settings):
    return simulated_updates("walk", rng=rng, **settings)


def measured(updates, K=K):
    past, increments = [factored(u) for u in updates], [factored(d) for d in updates[1:] - updates[:-1]]
    values = [
        [forward_capture(p, d, K=K, side=side) for p, d in zip(past, increments, strict=False)]
        for side in ("left", "right")
    ]
    steps = np.arange(1, len(updates)) * 100
    return xr.DataArray(
        values,
        dims=("side", "step"),
        coords={"side": ["left", "right"], "step": steps, "progress": ("step", steps / (100 * len(updates)))},
        attrs={"units": "1"},
        name="forward_capture",
    )


def verdict(updates):
    (row,) = locking_onset(measured(updates), dim=None, beside=()).rows()
    return row


def test_increments_of_a_walk_have_the_declared_input_covariance():
    updates = walk(np.random.default_rng(0), rows=4000, cols=8, checkpoints=2, input_decay=1.0)
    increments = np.diff(updates, axis=0, prepend=0)
    covariance = np.einsum("tij,tik->jk", increments, increments) / 4000
    np.testing.assert_allclose(covariance, np.diag(1 / np.arange(1, 9)), atol=0.06)


@pytest.mark.parametrize("rate", ["constant", "cosine"])
def test_a_walk_spreads_as_the_integral_of_the_squared_rate(rate):
    updates = walk(np.random.default_rng(1), rows=300, cols=300, checkpoints=4, rate=rate)
    moments = np.linspace(0, 1, 100_001)
    squared = np.ones_like(moments) if rate == "constant" else ((1 + np.cos(np.pi * moments)) / 2) ** 2
    expected = [np.trapezoid(squared[moments <= t], moments[moments <= t]) for t in (0.25, 0.5, 0.75, 1)]
    np.testing.assert_allclose((updates**2).mean(axis=(1, 2)), expected, rtol=0.03)


def test_a_rotating_channel_turns_by_ninety_degrees_on_both_sides():
    updates = simulated_updates(
        "rotating channel", noise=0.0, checkpoints=200, rank=3, rng=np.random.default_rng(2)
    )
    first, last = updates[0], updates[-1] - updates[-2]
    for a, b in ((first, last), (first.T, last.T)):
        u, v = (np.linalg.svd(x)[0][:, :3] for x in (a, b))
        assert np.abs(u.T @ v).max() < 0.02


def test_a_locking_channel_is_a_walk_before_its_lock():
    before, walked = (
        simulated_updates(kind, checkpoints=10, rng=np.random.default_rng(3))
        for kind in ("locking channel", "walk")
    )
    np.testing.assert_allclose(before[:4], walked[:4])
    assert np.linalg.matrix_rank(before[-1] - walked[-1]) == 8


def test_stored_updates_are_differences_of_rounded_weights():
    updates = walk(np.random.default_rng(4), checkpoints=3)
    exact = stored_updates(updates, size=0.01, storage=torch.float64, rng=np.random.default_rng(5))
    rounded = stored_updates(updates, size=0.01, storage=torch.bfloat16, rng=np.random.default_rng(5))
    scale = float(exact[-1].norm()) / np.linalg.norm(updates[-1])
    np.testing.assert_allclose(exact.numpy(), scale * updates, atol=1e-12)
    assert 0.05 < float((rounded[-1] == 0).double().mean()) < 0.4
    assert float((exact[-1] == 0).double().mean()) == 0


@pytest.mark.parametrize("storage", [torch.float32, torch.bfloat16])
def test_walks_and_rotating_channels_do_not_lock(storage):
    rng = np.random.default_rng(6)
    made = {
        "isotropic": walk(rng),
        "k^-1": walk(rng, input_decay=1.0),
        "cosine": walk(rng, input_decay=0.5, rate="cosine"),
        "rotating": simulated_updates("rotating channel", strength=0.2, rng=rng),
    }
    found = {
        name: verdict(stored_updates(u, size=0.01, storage=storage, rng=rng))["verdict"]
        for name, u in made.items()
    }
    assert found == {
        "isotropic": "no-lock",
        "k^-1": "not distinguishable from diffusion",
        "cosine": "no-lock",
        "rotating": "no-lock",
    }


@pytest.mark.parametrize("rate", ["constant", "cosine"])
def test_a_lock_at_forty_percent_is_bracketed_there(rate):
    rng = np.random.default_rng(7)
    updates = simulated_updates("locking channel", rate=rate, checkpoints=T, rng=rng)
    row = verdict(stored_updates(updates, size=0.01, storage=torch.float32, rng=rng))
    # 40% of 1600 steps is 640.
    assert (row["verdict"], row["onset"]) == ("locked", "(600, 700]")


@pytest.mark.slow
def test_diffusion_with_anisotropic_inputs_passes_its_own_null_but_not_the_verdict():
    rng = np.random.default_rng(8)
    rights = np.array([measured(walk(rng, input_decay=1.0)).sel(side="right").values for _ in range(40)])
    null = np.quantile(rights, 0.95)
    assert 0.6 < rights.mean() < 0.9
    data = measured(walk(rng, input_decay=1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = locking_onset(data, dim=None, beside=(), diffusion_capture=null).rows()[0]
    assert row["verdict"] == "not distinguishable from diffusion"
