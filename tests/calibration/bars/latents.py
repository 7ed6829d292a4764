"""Figures of updates as they were before bf16 files: how often the intervals of `latent_update` hold the truth.

The update is twelve directions of falling size plus independent normal noise; W_0 has columns of unequal scale and
outlying directions. Sizes are such that a given share of entries does not change.
"""

import warnings
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray as xr

from bars.bar import Bar, Number, Share
from geostat.linalg import factored, round_to_bf16, subspace_similarity
from geostat.nulls.latents.result import LatentUpdate
from geostat.nulls.latents.update import latent_update
from geostat.nulls.published.weights import heavy_tailed_weight

ROWS, COLS, RANK, K = 128, 192, 12, 8
UNCHANGED = (0.94, 0.8, 0.5)
NOISE = {"none": 0.0, "moderate": 0.2, "strong": 0.8}
FIGURES = ("stable rank", "norm", "similarity with the stored channel", "similarity with a later channel")
Told = dict[str, list[tuple[float, float, float, float]]]


def true_update(noise: float, rng: np.random.Generator) -> np.ndarray:
    """Unit norm, of which the noise has a share of the energy."""
    sizes = np.arange(1, RANK + 1) ** -0.75
    low_rank = (rng.standard_normal((ROWS, RANK)) * sizes) @ rng.standard_normal((RANK, COLS))
    spread = rng.standard_normal((ROWS, COLS))
    return np.sqrt(1 - noise) * low_rank / np.linalg.norm(low_rank) + np.sqrt(
        noise
    ) * spread / np.linalg.norm(spread)


def scaled(start: torch.Tensor, update: np.ndarray, unchanged: float) -> tuple[np.ndarray, torch.Tensor]:
    """Scale an update until so many entries stay, by bisection; the update and what is stored."""
    weight = start.double().numpy()
    low, high = -8.0, 2.0
    for _ in range(30):
        middle = (low + high) / 2
        stored = round_to_bf16(torch.from_numpy(weight + 10**middle * update))
        if float((stored == start).double().mean()) > unchanged:
            low = middle
        else:
            high = middle
    return 10**middle * update, stored


@lru_cache(maxsize=32)
def told(unchanged: float, noise: str, n_rep: int) -> Told:
    """Truth, estimate and interval of every figure and replicate; the same for all bars that ask."""
    found: Told = {figure: [] for figure in FIGURES}
    for replicate in range(n_rep):
        rng = np.random.default_rng([replicate, round(100 * unchanged), *noise.encode()])
        start = heavy_tailed_weight(ROWS, COLS, rng)
        shape = true_update(NOISE[noise], rng)
        later = torch.from_numpy(shape + 0.7 * true_update(NOISE[noise], rng))
        update, stored = scaled(start, shape, unchanged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = latent_update(start, stored, K=K, other=later, rng=rng)
        for figure, each in _against_truth(result, torch.from_numpy(update), start, stored, later):
            found[figure].append(each)
    return found


def _against_truth(
    result: LatentUpdate, update: torch.Tensor, start: torch.Tensor, stored: torch.Tensor, later: torch.Tensor
) -> list[tuple[str, tuple[float, float, float, float]]]:
    values = torch.linalg.svdvals(update)
    energy = float((values**2).sum())
    rows = [
        (FIGURES[0], energy / float(values[0]) ** 2, result.cells["stable_rank"]),
        (FIGURES[1], energy**0.5, result.cells["update_norm"]),
    ]
    true = factored(update)
    others = (factored(stored.double() - start.double()), factored(later))
    for figure, name, other in zip(
        FIGURES[2:], ("stored_similarity", "other_similarity"), others, strict=True
    ):
        for side in ("left", "right"):
            similarity = subspace_similarity(true.vectors(K, side), other.vectors(K, side))
            rows.append((figure, similarity, result.cells[name].sel(side=side)))
    return [(figure, (truth, *_range(cell))) for figure, truth, cell in rows]


def _range(cell: xr.Dataset) -> tuple[float, float, float]:
    """Estimate and interval; NaN and the bounds where neither is given."""
    ends = ("low", "high") if np.isfinite(cell["estimate"]) else ("bound_low", "bound_high")
    return float(cell["estimate"]), float(cell[ends[0]]), float(cell[ends[1]])


def covered(*, unchanged: float, noise: str, figure: str, n_rep: int, rng: np.random.Generator) -> Share:
    """Ranges that hold the truth: the interval or, where none is given, the bounds."""
    ranges = told(unchanged, noise, n_rep)[figure]
    return Share(sum(low <= truth <= high for truth, _, low, high in ranges), len(ranges))


def refused(*, unchanged: float, noise: str, figure: str, n_rep: int, rng: np.random.Generator) -> Share:
    """Figures for which a reason and bounds stood in place of an interval."""
    all_of_them = told(unchanged, noise, n_rep)[figure]
    return Share(sum(np.isnan(each[1]) for each in all_of_them), len(all_of_them))


def error(*, unchanged: float, noise: str, figure: str, n_rep: int, rng: np.random.Generator) -> Number:
    """Mean absolute error of the estimate: relative for stable rank and norm."""
    given = np.array([each for each in told(unchanged, noise, n_rep)[figure] if not np.isnan(each[1])])
    if not len(given):
        return Number(float("nan"))
    truth, estimate = given[:, 0], given[:, 1]
    off = np.abs(estimate - truth) / (truth if figure in FIGURES[:2] else 1.0)
    return Number(float(off.mean()), float(off.std() / np.sqrt(len(off))))


def cells(
    unchanged: tuple[float, ...] = UNCHANGED, figures: tuple[str, ...] = FIGURES
) -> list[dict[str, Any]]:
    return [
        {"unchanged": share, "noise": noise, "figure": figure}
        for share, noise, figure in product(unchanged, NOISE, figures)
    ]


SECTION = "updates before rounding"
BARS = [
    Bar(
        "latent_update: 95% intervals",
        SECTION,
        covered,
        cells(),
        [],
        20,
        at_least=0.9,
        quantity="coverage, of the bounds where no interval is given",
    ),
    Bar(
        "latent_update at 80% unchanged: stable rank",
        SECTION,
        error,
        cells((0.8,), FIGURES[:1]),
        [],
        20,
        at_most=0.1,
        quantity="mean relative error",
    ),
    Bar(
        "latent_update at 80% unchanged: similarity of channels",
        SECTION,
        error,
        cells((0.8,), FIGURES[2:]),
        [],
        20,
        at_most=0.05,
        quantity="mean absolute error, where it is given",
    ),
    Bar(
        "latent_update: a reason instead of an interval (reported)",
        SECTION,
        refused,
        cells(),
        [],
        20,
        quantity="share of figures",
    ),
]
