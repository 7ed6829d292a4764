import numpy as np
import pytest
import torch
import xarray as xr

from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.nulls.walks.ceiling import capture_above_diffusion, capture_ceiling
from geostat.nulls.walks.envelope import random_walk_envelope
from geostat.nulls.walks.leading import quick_statistics

ROWS, COLS, K, STEPS = 48, 64, 4, 8
LATER = (*range(1, STEPS), -1)


def weight(seed=0):
    noise = torch.randn(ROWS, COLS, generator=torch.Generator().manual_seed(seed))
    return (noise / COLS**0.5).to(torch.bfloat16)


def channel(rng, strengths=(1.0,) * K):
    left, right = (np.linalg.qr(rng.standard_normal((size, len(strengths))))[0] for size in (ROWS, COLS))
    return torch.from_numpy(left * np.array(strengths) @ right.T) / float(np.linalg.norm(strengths))


def stored_run(increments, sizes):
    """Updates as read from bf16 files, of increments of these sizes relative to W_0."""
    start = weight()
    scaled = [
        size * float(start.double().norm()) * d / d.norm() for size, d in zip(sizes, increments, strict=True)
    ]
    reached = (start.double() + torch.stack(scaled).cumsum(0)).to(torch.bfloat16).double()
    return start, reached - start.double()


def norms_of(updates):
    return np.linalg.norm(np.diff(updates.numpy(), axis=0, prepend=0.0), axis=(1, 2))


def capture_of(updates):
    values = quick_statistics(updates, LATER, K, ["forward_capture"])["forward_capture"]
    coords = {"side": ["left", "right"], "step": np.arange(1, STEPS + 1)}
    return xr.DataArray(values, coords, ("side", "step"), name="forward_capture", attrs={"units": "1"})


def on_the_scale(start, updates):
    norms = norms_of(updates)
    null = random_walk_envelope(norms, statistic="forward_capture", K=K, initial=start, n=39)
    return capture_above_diffusion(capture_of(updates), null, capture_ceiling(norms, initial=start, K=K))


FADING = 0.02 * np.cos(np.pi / 2 * np.linspace(0, 1, STEPS, endpoint=False)) ** 4


def test_without_rounding_of_consequence_a_formed_channel_captures_everything():
    ceiling = capture_ceiling(np.full(STEPS, 40.0), initial=weight(), K=K)
    assert (ceiling.isel(step=slice(0, -1)) > 0.99).all()
    assert ceiling.isel(step=-1).isnull().all()


def test_the_ceiling_is_what_a_formed_channel_shows_in_files():
    rng = np.random.default_rng(1)
    fixed = channel(rng)
    start, updates = stored_run([fixed] * STEPS, FADING)
    ceiling = capture_ceiling(norms_of(updates), initial=start, K=K)
    np.testing.assert_allclose(capture_of(updates), ceiling, atol=0.2)  # one channel against a mean
    assert ceiling.sel(side="right", step=1) > 0.9
    assert ceiling.sel(side="right", step=7) < 0.5


def test_a_formed_channel_that_fades_into_rounding_stays_formed_on_the_scale():
    fixed = channel(np.random.default_rng(1))
    start, updates = stored_run([fixed] * STEPS, FADING)
    assert capture_of(updates).sel(side="right", step=7) < 0.5  # as it is read, the channel is lost
    scaled = on_the_scale(start, updates)
    assert (scaled.isel(step=slice(0, 6)) > 0.8).all()
    assert scaled.isel(step=-1).isnull().all()


def test_a_walk_captures_nothing_on_the_scale():
    rng = np.random.default_rng(2)
    noise = [torch.from_numpy(rng.standard_normal((ROWS, COLS))) for _ in range(STEPS)]
    scaled = on_the_scale(*stored_run(noise, FADING))
    assert (np.abs(scaled.values[np.isfinite(scaled.values)]) < 0.3).all()
    assert np.isfinite(scaled.values).sum() >= STEPS


def test_where_rounding_hides_a_channel_altogether_there_is_no_figure():
    rng = np.random.default_rng(3)
    noise = [torch.from_numpy(rng.standard_normal((ROWS, COLS))) for _ in range(STEPS)]
    assert on_the_scale(*stored_run(noise, np.full(STEPS, 1e-5))).isnull().all()


def test_an_uneven_channel_shows_more_than_an_even_one():
    rng = np.random.default_rng(4)
    uneven = channel(rng, (1.0, 0.2, 0.1, 0.05))
    start, updates = stored_run([uneven] * STEPS, 0.3 * FADING)
    norms = norms_of(updates)
    even = capture_ceiling(norms, initial=start, K=K)
    own = capture_ceiling(norms, initial=start, K=K, channel=uneven)
    early = {"side": "right", "step": 2}
    assert own.sel(early) > even.sel(early)
    assert abs(own.sel(early) - capture_of(updates).sel(early)) < 0.1


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"norms": [0.0, 0.0]}, SampleError, "nothing changed"),
        ({"initial": torch.full((4, 4), 0.1)}, ProtocolError, "bf16 has not"),
        ({"initial": torch.zeros(4)}, ShapeError, "one matrix"),
        ({"channel": torch.ones(2, 2)}, ShapeError, "channel is"),
        ({"channel": torch.zeros(ROWS, COLS)}, ShapeError, "zero"),
    ],
)
def test_what_has_no_ceiling_is_refused(change, error, said):
    given = {"norms": [1.0, 1.0], "initial": weight(), "K": 2} | change
    with pytest.raises(error, match=said):
        capture_ceiling(given.pop("norms"), **given)


def test_a_scale_needs_a_null_of_forward_capture_at_the_same_steps():
    rng = np.random.default_rng(1)
    start, updates = stored_run([channel(rng)] * STEPS, FADING)
    capture, norms = capture_of(updates), norms_of(updates)
    ceiling = capture_ceiling(norms, initial=start, K=K, n=1)
    null = random_walk_envelope(norms, statistic="forward_capture", K=K, rows=ROWS, cols=COLS, n=39)
    other = random_walk_envelope(norms, statistic="stable_rank", K=K, rows=ROWS, cols=COLS, n=39)
    with pytest.raises(SampleError, match="one of forward_capture"):
        capture_above_diffusion(capture, other, ceiling)
    with pytest.raises(SampleError, match="capture's own steps"):
        capture_above_diffusion(capture.assign_coords(step=capture.step * 10), null, ceiling)
    with pytest.raises(SampleError, match="least"):
        capture_above_diffusion(capture, null, ceiling, least=1.5)
