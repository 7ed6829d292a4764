"""Existence of a change: size where nothing changes, power where something does."""

from typing import Any

import numpy as np
import xarray as xr

from bars.bar import Bar, Cell, Share
from bars.fit_onset import CURVES, LAST, checkpoints, ornstein_uhlenbeck, scaled
from geostat.statistics.locking.onset_exists import onset_exists

LEVEL = 0.95


def found(values: np.ndarray, x: np.ndarray) -> Share:
    """How often a change is said to exist."""
    data = xr.DataArray(
        values,
        dims=("replicate", "run", "step"),
        coords={"step": LAST * x},
        attrs={"units": "1"},
        name="curve",
    )
    verdict = np.asarray(onset_exists(data, dim=None, level=LEVEL).verdict)
    return Share(int(np.sum(verdict == "change")), verdict.size)


def size(*, n_rep: int, rng: np.random.Generator, S: int, T: int, rho: float) -> Share:
    x = checkpoints(T)
    return found(ornstein_uhlenbeck(rng.standard_normal((n_rep, S, T)), x, rho), x)


def power(
    *,
    n_rep: int,
    rng: np.random.Generator,
    S: int,
    T: int,
    rho: float,
    curve: str,
    sd: float,
    spread: float = 0.2,
) -> Share:
    x = checkpoints(T)
    tau = CURVES[curve][0] * np.exp(spread * rng.standard_normal((n_rep, S, 1)))
    noise = ornstein_uhlenbeck(rng.standard_normal((n_rep, S, T)), x, rho)
    return found(scaled(curve, x, tau) + sd * noise, x)


def walks(*, n_rep: int, rng: np.random.Generator, S: int, T: int) -> Share:
    return found(rng.standard_normal((n_rep, S, T)).cumsum(axis=-1), checkpoints(T))


def power_cell(curve: str, rho: float, **rest: Any) -> Cell:
    return {"S": 3, "T": 12, "rho": rho, "curve": curve, "sd": 0.17} | rest


BARS = [
    Bar(
        "onset_exists, size where nothing changes",
        "existence of an onset",
        size,
        [{"S": S, "T": T, "rho": rho} for S in (1, 3, 5) for T in (12, 40, 200) for rho in (0.0, 0.5, 0.9)],
        [{"S": 3, "T": 12, "rho": 0.9}, {"S": 1, "T": 40, "rho": 0.5}],
        4000,
        at_most=0.06,
        quantity="size",
    ),
    Bar(
        "onset_exists, power at 12 checkpoints",
        "existence of an onset",
        power,
        [power_cell(curve, rho) for curve in ("hinge", "exponential", "sigmoid") for rho in (0.0, 0.5, 0.9)],
        [power_cell("exponential", 0.0), power_cell("hinge", 0.5)],
        2000,
        at_least=0.80,
        quantity="power",
    ),
    Bar(
        "onset_exists, random walks (reported)",
        "existence of an onset",
        walks,
        [{"S": S, "T": T} for S in (1, 3) for T in (12, 40, 200)],
        [],
        2000,
        quantity="size",
    ),
    Bar(
        "onset_exists, power of one run and of weak changes (reported)",
        "existence of an onset",
        power,
        [
            power_cell(curve, rho, S=S, sd=sd)
            for curve in ("hinge", "exponential")
            for rho in (0.0, 0.5, 0.9)
            for S, sd in ((1, 0.17), (3, 0.34))
        ],
        [],
        2000,
        quantity="power",
    ),
]
