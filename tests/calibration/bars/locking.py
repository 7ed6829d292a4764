"""Share of runs, median onset and entry of the mean: coverage, and no lock where there is none."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from bars.bar import Bar, Share
from geostat.errors import GeostatWarning
from geostat.statistics import at_least
from geostat.statistics.locking.band_entry import band_entry
from geostat.statistics.locking.locked_share import locked_share
from geostat.statistics.locking.median_onset import median_onset

LEVEL = 0.95
RUNS = (2, 3, 5, 6, 10, 20)
MARGIN = 0.1

Floats = npt.NDArray[np.float64]


def labelled(values: Floats, steps: Floats) -> xr.DataArray:
    """Curves (replicate, run, step)."""
    dims = ("replicate", "run", "step")
    return xr.DataArray(values, dims=dims, coords={"step": steps}, attrs={"units": "1"}, name="curve")


# -- runs that lock at a random moment ------------------------------------------------------------------------

ONSETS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "uniform": lambda rng, shape: rng.uniform(0, 1.2, shape),
    "lognormal": lambda rng, shape: 0.3 * np.exp(0.8 * rng.standard_normal(shape)),
    "one in three never": lambda rng, shape: np.where(
        rng.random(shape) < 1 / 3, np.inf, rng.uniform(0.1, 0.7, shape)
    ),
    "two moments": lambda rng, shape: np.where(rng.random(shape) < 0.6, 0.2, 0.55),
    "at the start": lambda rng, shape: np.where(rng.random(shape) < 0.7, 0.01, 0.4),
}
SHARES: dict[str, Callable[[float], float]] = {
    "uniform": lambda t: t / 1.2,
    "lognormal": lambda t: 0.5 * math.erfc(-math.log(t / 0.3) / 0.8 / math.sqrt(2)),
    "one in three never": lambda t: 2 / 3 * min(1.0, max(0.0, (t - 0.1) / 0.6)),
    "two moments": lambda t: 0.6 if t < 0.55 else 1.0,
    "at the start": lambda t: 0.7 if t < 0.4 else 1.0,
}
"""Exact shares of runs whose onset is t or earlier."""
MEDIANS = {
    "uniform": 0.6,
    "lognormal": 0.3,
    "one in three never": 0.55,
    "two moments": 0.2,
    "at the start": 0.01,
}


def _locking(n_rep: int, S: int, T: int, onset: str, rng: np.random.Generator) -> tuple[xr.DataArray, Floats]:
    """Runs that are out before their onset and in from then on, at uneven checkpoints, some of them missing."""
    steps = np.sort(rng.choice(np.arange(1, 1001), T - 1, replace=False)) / 1000
    steps = np.unique(np.append(steps, 1.0))
    onsets = ONSETS[onset](rng, (n_rep, S))
    values = (steps >= onsets[..., None]) + 0.01 * rng.random((n_rep, S, steps.size))
    values[rng.random((n_rep, S, steps.size)) < 0.05] = np.nan
    return labelled(values, steps), onsets


def share_coverage(*, n_rep: int, rng: np.random.Generator, S: int, T: int, onset: str, by: float) -> Share:
    data, _ = _locking(n_rep, S, T, onset, rng)
    # An onset in the last quarter is none: the run cannot stay for that long.
    truth = SHARES[onset](min(by, 0.75))
    asked = None if by == 1.0 else [by]
    found = locked_share(data, reference=at_least(0.5), by=asked, dim=None, training_steps=1.0, level=LEVEL)
    return Share(int(((found.low <= truth) & (found.high >= truth)).sum()), n_rep)


def median_coverage(*, n_rep: int, rng: np.random.Generator, S: int, T: int, onset: str) -> Share:
    data, _ = _locking(n_rep, S, T, onset, rng)
    truth = MEDIANS[onset]
    found = median_onset(data, reference=at_least(0.5), dim=None, training_steps=1.0, level=LEVEL)
    return Share(int(((found.low < truth) & (found.high >= truth)).sum()), n_rep)


# -- runs that do not lock ------------------------------------------------------------------------------------


def _walks(n_rep: int, S: int, T: int, rng: np.random.Generator) -> Floats:
    """Random walks that end at standard deviation 1."""
    return rng.standard_normal((n_rep, S, T)).cumsum(axis=-1) / math.sqrt(T)


def recipe_locks(*, n_rep: int, rng: np.random.Generator, S: int, T: int, kind: str) -> Share:
    """How often more than half of the recipe's runs are said to lock."""
    steps = np.arange(1, T + 1) / T
    reference: Any = "final"
    if kind == "walk, own end":
        values, margin = _walks(n_rep, S, T, rng), 0.25
    elif kind == "walk, start":
        values, margin, reference = _walks(n_rep, S, T, rng), 0.5, 0.0
    else:
        # A drift by one margin within the persistence, in either direction, and a little noise.
        drift = rng.choice([-1.0, 1.0], (n_rep, S, 1)) * steps / 0.25
        values, margin = drift + 0.05 * rng.standard_normal((n_rep, S, T)), 1.0
    data = labelled(values, steps)
    found = locked_share(data, reference=reference, margin=margin, dim=None, training_steps=1.0, level=LEVEL)
    return Share(int((found.low > 0.5).sum()), n_rep)


# -- the mean over runs ---------------------------------------------------------------------------------------

TAU = 0.4


def shape_of(name: str, at: Floats) -> Floats:
    """Curves from 1 to 0 over training."""
    if name == "hinge":
        return np.maximum(0.0, 1 - at / TAU)
    if name == "exp":
        return np.exp(-at / (TAU / math.log(1 / MARGIN)))
    if name == "step":
        return np.where(at < TAU, 1.0, 0.0)
    if name == "linear":
        return 1.0 - at
    if name == "margin boundary":
        return np.full(at.shape, MARGIN * (1 + 1e-9))
    if name == "boundary, then in":
        return np.where(at <= 0.5, MARGIN * (1 + 1e-9), 0.0)
    return np.zeros(at.shape)


def autocorrelated(shape: tuple[int, ...], rho: float, rng: np.random.Generator) -> Floats:
    """Stationary AR(1) of variance 1 along the last axis."""
    noise = rng.standard_normal(shape)
    for t in range(1, shape[-1]):
        noise[..., t] = rho * noise[..., t - 1] + math.sqrt(1 - rho**2) * noise[..., t]
    return noise


def simulated_means(
    n_rep: int, S: int, T: int, rho: float, shape: str, sd: float, rng: np.random.Generator
) -> xr.DataArray:
    steps = np.arange(1, T + 1) / T
    return labelled(shape_of(shape, steps) + sd * autocorrelated((n_rep, S, T), rho, rng), steps)


def true_entry(shape: str, steps: Floats) -> float:
    """First step from which the mean stays in the band for a quarter of training; infinite if there is none."""
    outside = np.flatnonzero(np.abs(shape_of(shape, steps)) > MARGIN)
    if not outside.size:
        return float(steps[0])
    if outside[-1] == steps.size - 1:
        return math.inf
    entered = float(steps[outside[-1] + 1])
    return entered if 1 - entered >= 0.25 - 1e-12 else math.inf


def _entry(data: xr.DataArray) -> xr.Dataset:
    with warnings.catch_warnings():
        # Flat curves vary by less than the margin, which is told, and here meant.
        warnings.simplefilter("ignore", GeostatWarning)
        found = band_entry(data, reference=0.0, margin=MARGIN, dim=None, training_steps=1.0, level=LEVEL)
    return found.cells["curve"]


def entry_coverage(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, rho: float, shape: str, sd: float = MARGIN / 4
) -> Share:
    data = simulated_means(n_rep, S, T, rho, shape, sd, rng)
    truth, found = true_entry(shape, data["step"].values), _entry(data)
    return Share(int(((found["low"] < truth) & (found["high"] >= truth)).sum()), n_rep)


def false_entries(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, rho: float, shape: str, sd: float = MARGIN / 4
) -> Share:
    """Entries declared before the mean is in, or transitions declared where it never was out."""
    data = simulated_means(n_rep, S, T, rho, shape, sd, rng)
    found = _entry(data)
    if shape == "flat":
        return Share(int(np.isfinite(found["low"]).sum()), n_rep)
    return Share(int((found["high"] < true_entry(shape, data["step"].values)).sum()), n_rep)


def declared(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, rho: float, shape: str, sd: float = MARGIN / 4
) -> Share:
    found = _entry(simulated_means(n_rep, S, T, rho, shape, sd, rng))
    return Share(int(np.isfinite(found["high"]).sum()), n_rep)


def walking_means(*, n_rep: int, rng: np.random.Generator, S: int, T: int) -> Share:
    """Runs that each walk, with end standard deviation of one margin, around a constant mean."""
    data = labelled(MARGIN * _walks(n_rep, S, T, rng), np.arange(1, T + 1) / T)
    return Share(int(np.isfinite(_entry(data)["high"]).sum()), n_rep)


_SHAPES = ("hinge", "exp", "step", "flat", "linear")
_GRID = [
    {"T": T, "S": S, "rho": rho, "shape": shape}
    for T in (5, 12, 40, 200)
    for S in (2, 3, 5, 10)
    for rho in (0.0, 0.5, 0.9)
    for shape in _SHAPES
]
_NULLS = [
    {"T": T, "S": S, "rho": rho, "shape": shape}
    for T in (5, 12, 40, 200)
    for S in (2, 3, 5, 10)
    for rho in (0.0, 0.5, 0.9)
    for shape in ("margin boundary", "boundary, then in", "flat", "linear")
]
_SETTLING = [
    {"T": T, "rho": rho, "shape": shape}
    for T in (5, 12, 40, 200)
    for rho in (0.0, 0.5, 0.9)
    for shape in ("hinge", "exp", "step")
]

BARS = [
    Bar(
        "locked_share: coverage",
        "locking",
        share_coverage,
        [
            {"S": S, "T": T, "onset": onset, "by": by}
            for S in RUNS
            for T in (8, 30)
            for onset in ONSETS
            for by in (0.37, 1.0)
        ],
        [
            {"S": 5, "T": 8, "onset": "uniform", "by": 0.37},
            {"S": 10, "T": 30, "onset": "two moments", "by": 0.37},
        ],
        4000,
        at_least=LEVEL,
    ),
    Bar(
        "median_onset: coverage",
        "locking",
        median_coverage,
        [{"S": S, "T": T, "onset": onset} for S in (6, 10, 20) for T in (8, 30) for onset in ONSETS],
        [{"S": 6, "T": 30, "onset": "lognormal"}, {"S": 10, "T": 8, "onset": "one in three never"}],
        4000,
        at_least=LEVEL,
    ),
    Bar(
        "recipe locks: runs that walk or drift",
        "locking",
        recipe_locks,
        [
            {"S": S, "T": T, "kind": kind}
            for S in RUNS
            for T in (12, 40)
            for kind in ("walk, own end", "walk, start", "drift by one margin")
        ],
        [{"S": 6, "T": 40, "kind": "walk, own end"}, {"S": 20, "T": 12, "kind": "drift by one margin"}],
        4000,
        at_most=0.05,
        quantity="share of recipes said to lock",
    ),
    Bar(
        "band_entry: coverage",
        "locking",
        entry_coverage,
        _GRID,
        [
            {"T": 5, "S": 3, "rho": 0.0, "shape": "hinge"},
            {"T": 12, "S": 5, "rho": 0.9, "shape": "exp"},
            {"T": 200, "S": 2, "rho": 0.5, "shape": "step"},
        ],
        4000,
        at_least=0.94,
    ),
    Bar(
        "band_entry: false entries",
        "locking",
        false_entries,
        _NULLS,
        [
            {"T": 12, "S": 5, "rho": 0.9, "shape": "margin boundary"},
            {"T": 12, "S": 10, "rho": 0.5, "shape": "boundary, then in"},
        ],
        4000,
        at_most=0.035,
        quantity="share of false declarations",
    ),
    Bar(
        "band_entry: entry declared at S = 5, noise a quarter of the margin",
        "locking",
        declared,
        [{"S": 5, **cell} for cell in _SETTLING],
        [{"S": 5, "T": 12, "rho": 0.0, "shape": "step"}],
        4000,
        at_least=0.95,
        quantity="power",
    ),
    Bar(
        "band_entry: power at two and three runs",
        "locking",
        declared,
        [{"S": S, **cell} for S in (2, 3) for cell in _SETTLING],
        [],
        4000,
        quantity="power",
    ),
    Bar(
        "band_entry: runs that walk around a constant mean (never to be read as runs that lock)",
        "locking",
        walking_means,
        [{"S": S, "T": 40} for S in (2, 3, 5, 10, 20)],
        [],
        4000,
        quantity="share of means said to stay",
    ),
]
