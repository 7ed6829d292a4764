"""The fit of a low-rank update in its cells, against differences, plain EM and updates of known rank."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells
from geostat.nulls.latents.model import Latent, information, log_likelihood, moments, swept
from geostat.nulls.latents.rank import fitted, with_hidden_directions


def stored(rank, noise, *, rows=96, cols=128, unchanged=0.7, seed=0):
    """Weights, an update of unit energy per direction and given noise, and what storage makes of their sum."""
    rng = np.random.default_rng(seed)
    initial = torch.from_numpy(0.02 * rng.standard_normal((rows, cols))).to(torch.bfloat16)
    low_rank = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, cols)) / math.sqrt(max(rank, 1))
    update = torch.from_numpy(low_rank + noise * rng.standard_normal((rows, cols)))
    start, smallest, largest = initial.to(torch.float64), 1e-9, 1.0
    for _ in range(40):
        size = math.sqrt(smallest * largest)
        share = float((round_to_bf16(start + size * update) == initial).double().mean())
        smallest, largest = (size, largest) if share > unchanged else (smallest, size)
    return initial, size * update, round_to_bf16(start + size * update)


def parameters(rank=2, seed=3):
    rng = np.random.default_rng(seed)
    size = 2e-5
    factors = [torch.from_numpy(rng.standard_normal((n, rank))) for n in (96, 128)]
    scales = [torch.from_numpy(0.2 * rng.standard_normal(n)) for n in (96, 128)]
    slack = [torch.zeros(n, dtype=torch.float64) for n in (96, 128)]
    return Latent(factors[0], size * factors[1], size, *scales, *slack)


def test_the_derivative_of_the_likelihood_is_the_mean_of_the_noise_in_its_cell():
    initial, _, updated = stored(2, 1.0)
    cells, latent = rounding_cells(initial, updated), parameters()
    direction = torch.from_numpy(np.random.default_rng(5).standard_normal(latent.left.shape))
    step = 1e-5

    def moved(by):
        ends = latent.left + by * direction
        return log_likelihood(
            cells, Latent(ends, latent.right, latent.noise, latent.rows, latent.cols, *[None] * 2)
        )

    slope = (moved(step) - moved(-step)) / (2 * step)
    score = moments(cells, latent).mean / latent.sd
    assert slope == pytest.approx(float((score * (direction @ latent.right.mT)).sum()), rel=1e-5)


def plain_em(cells, rank, noise, rounds):
    """EM for a mean of fixed rank and fixed normal noise, entry by entry, with whole decompositions."""
    low, high = (end.numpy() for end in cells)
    mean = np.zeros(low.shape)
    for _ in range(rounds):
        a, b = (low - mean) / noise, (high - mean) / noise
        flip = a + b > 0  # in the lower tail the distribution function keeps its digits
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        mass = norm.cdf(b) - norm.cdf(a)
        inside = (norm.pdf(a) - norm.pdf(b)) / mass
        u, s, v = np.linalg.svd(mean + noise * np.where(flip, -inside, inside), full_matrices=False)
        mean = (u[:, :rank] * s[:rank]) @ v[:rank]
    return mean


def test_newtons_steps_end_where_plain_em_does():
    initial, update, updated = stored(2, 0.4, rows=48, cols=64, unchanged=0.5)
    cells = rounding_cells(initial, updated)
    latent = fitted(cells, max_rank=8, rng=np.random.default_rng(0))
    assert latent.rank == 2
    plain = torch.from_numpy(plain_em(cells, 2, latent.noise, 150))
    apart = float(torch.linalg.vector_norm(latent.mean - plain) / torch.linalg.vector_norm(plain))
    assert apart < 0.03  # EM has no prior
    assert float(torch.linalg.vector_norm(latent.mean - update) / torch.linalg.vector_norm(update)) < 0.5


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_directions_that_stand_out_are_found_and_noise_is_none(rank):
    initial, _, updated = stored(rank, 0.5)
    assert fitted(rounding_cells(initial, updated), max_rank=40, rng=np.random.default_rng(0)).rank == rank


def test_the_noise_is_found_and_how_it_differs_between_rows():
    initial, update, _ = stored(0, 1.0, rows=120, cols=150)
    scales = torch.from_numpy(0.4 * np.random.default_rng(1).standard_normal(120))
    update = update * scales.exp()[:, None]
    cells = rounding_cells(initial, round_to_bf16(initial.to(torch.float64) + update))
    latent = fitted(cells, max_rank=1, rng=np.random.default_rng(0))
    rng = np.random.default_rng(2)
    draws = []
    for _ in range(25):
        latent = swept(cells, latent, rng)
        draws.append(latent.rows)
    assert float(torch.corrcoef(torch.stack([torch.stack(draws[10:]).mean(dim=0), scales]))[0, 1]) > 0.95
    size = float((update**2).mean().sqrt())
    assert float((latent.sd**2).mean().sqrt()) == pytest.approx(size, rel=0.03)


def test_exactly_known_entries_say_everything_and_wide_cells_nothing():
    latent = parameters()
    mean = latent.mean
    narrow = type(rounding_cells(*stored(0, 1.0)[::2]))(mean - 1e-12, mean + 1e-12)
    assert information(narrow, latent) == pytest.approx(mean.numel(), rel=1e-9)
    wide = type(narrow)(mean - 1.0, mean + 1.0)
    assert information(wide, latent) == pytest.approx(0, abs=1e-6)


def test_hidden_directions_are_no_more_than_the_matrix_has():
    initial, _, updated = stored(1, 0.5, rows=12, cols=20)
    cells = rounding_cells(initial, updated)
    latent = fitted(cells, max_rank=4, rng=np.random.default_rng(0))
    assert with_hidden_directions(cells, latent, 50).rank == 12
