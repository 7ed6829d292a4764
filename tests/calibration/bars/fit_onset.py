"""Onsets under a model: coverage in and out of the families of curves, width, and what does not cover.

Amplitude 1, stationary standard deviation of the noise .15, rho the autocorrelation at the mean gap between
checkpoints, T checkpoints (T = 40: unevenly spaced, denser at the start), S runs whose log time constants vary
with standard deviation `spread`. An interval covers when its ends, rounded outward to checkpoints, enclose the
true onset of the run with the median time constant.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from bars.bar import Bar, Cell, Number, Share
from geostat.statistics.locking.fit_onset import SMOOTH, fit_onset
from geostat.statistics.locking.fit_onset_core import fit_onsets
from geostat.statistics.locking.model_families import choose_families

Floats = npt.NDArray[np.float64]

LEVEL, TARGET, SD = 0.95, 0.9, 0.15
RUNS, CHECKPOINTS, CORRELATIONS = (1, 3, 5), (12, 40, 200), (0.0, 0.5, 0.9)
LAST = 1000.0

CURVES: dict[str, tuple[float, Callable[[Floats, Floats], Floats]]] = {
    "hinge": (0.4, lambda x, tau: np.maximum(0.0, 1 - x / tau)),
    "exponential": (0.15, lambda x, tau: np.exp(-x / tau)),
    "power": (0.1, lambda x, tau: 1 / (1 + x / tau)),
    "stretched": (0.1, lambda x, tau: np.exp(-np.sqrt(x / tau))),
    "logarithmic": (0.01, lambda x, tau: -np.log(1 + x / tau)),
    "sigmoid": (0.3, lambda x, tau: 1 / (1 + np.exp(4 * (x / tau - 1)))),
    "creep of a tenth": (0.15, lambda x, tau: 0.9 * np.exp(-x / tau) + 0.1 * (1 - x)),
    "creep of a fifth": (0.1, lambda x, tau: 0.8 * np.exp(-x / tau) + 0.2 * (1 - x)),
}
"""Time constants, as shares of training, and curves before they are scaled to 1 at the start and 0 at the end."""


def scaled(curve: str, x: Floats, tau: Floats) -> Floats:
    shape = CURVES[curve][1]
    first, last = shape(np.zeros(1), tau), shape(np.ones(1), tau)
    return (shape(x, tau) - last) / (first - last)


def true_onset(curve: str) -> float:
    """First moment, as a share of training, at which a tenth of the change is left."""
    x = np.linspace(0, 1, 200_001)
    left = scaled(curve, x, np.array([CURVES[curve][0]]))
    return float(x[np.argmax(left <= 1 - TARGET)])


def checkpoints(T: int) -> Floats:
    """Shares of training; 40 of them are denser at the start."""
    even = np.linspace(0, 1, T)
    return even**1.5 if T == 40 else even


def ornstein_uhlenbeck(innovations: Floats, x: Floats, rho: float) -> Floats:
    """Stationary noise of variance 1, one checkpoint after the other."""
    noise = innovations.copy()
    for j, gap in enumerate(np.diff(x) / np.diff(x).mean()):
        phi = rho**gap
        noise[..., j + 1] = phi * noise[..., j] + math.sqrt(1 - phi**2) * innovations[..., j + 1]
    return noise


def noise_of(kind: str, shape: tuple[int, ...], x: Floats, rho: float, rng: np.random.Generator) -> Floats:
    if kind == "random walk":
        return np.cumsum(rng.standard_normal(shape), axis=-1) * math.sqrt(4 / shape[-1])
    if kind == "heteroscedastic t5":
        innovations = rng.standard_t(5, shape) / math.sqrt(5 / 3)
        return ornstein_uhlenbeck(innovations, x, rho) * (1.5 - x)
    return ornstein_uhlenbeck(rng.standard_normal(shape), x, rho)


def simulated(
    n_rep: int, S: int, T: int, spread: float, curve: str, rho: float, rng: np.random.Generator, noise: str
) -> xr.DataArray:
    """Replicates of S runs."""
    x = checkpoints(T)
    tau = CURVES[curve][0] * np.exp(spread * rng.standard_normal((n_rep, S, 1)))
    values = scaled(curve, x, tau) + SD * noise_of(noise, (n_rep, S, T), x, rho, rng)
    return xr.DataArray(
        values,
        dims=("replicate", "run", "step"),
        coords={"step": LAST * x},
        attrs={"units": "1"},
        name="curve",
    )


def covered(low: Floats, high: Floats, curve: str) -> Share:
    onset = LAST * true_onset(curve)
    return Share(int(np.sum((low <= onset) & (onset <= high))), low.size)


def fitted(data: xr.DataArray, hierarchical: bool = True) -> tuple[Floats, Floats]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on noise that cannot be told from a random walk, cell by cell
        result = fit_onset(data, dim=None, level=LEVEL, target=TARGET, hierarchical=hierarchical)
    return np.asarray(result.quantity("low")), np.asarray(result.quantity("high"))


def coverage(
    *,
    n_rep: int,
    rng: np.random.Generator,
    S: int,
    T: int,
    spread: float,
    curve: str,
    rho: float,
    noise: str = "gaussian",
) -> Share:
    return covered(*fitted(simulated(n_rep, S, T, spread, curve, rho, rng, noise)), curve)


def mean_coverage(*, n_rep: int, rng: np.random.Generator, S: int, spread: float) -> Share:
    """Over all families, lengths and correlations."""
    settings = [(T, c, r) for T in CHECKPOINTS for c in SMOOTH for r in CORRELATIONS]
    found = [coverage(n_rep=n_rep, rng=rng, S=S, T=T, spread=spread, curve=c, rho=r) for T, c, r in settings]
    return Share(sum(share.hits for share in found), sum(share.n for share in found))


def width(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, spread: float, curve: str, rho: float
) -> Number:
    """Median width, rounded outward to checkpoints, as a share of training."""
    low, high = fitted(simulated(n_rep, S, T, spread, curve, rho, rng, "gaussian"))
    widths = (high - low) / LAST
    return Number(float(np.median(widths)), float(1.25 * widths.std() / math.sqrt(n_rep)))


def iid_coverage(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, spread: float, curve: str, rho: float
) -> Share:
    """The same likelihood for independent noise, with one onset for all runs.

    With a time constant of its own for each run the spread between runs takes up part of the error.
    """
    data = simulated(n_rep, S, T, spread, curve, rho, rng, "gaussian")
    families = choose_families(SMOOTH)
    steps, independent = data["step"].values, np.zeros(1)
    found = fit_onsets(
        data.values, steps, families, level=LEVEL, target=TARGET, hierarchical=False, rhos=independent
    )
    return covered(found.low, found.high, curve)


def common_coverage(
    *, n_rep: int, rng: np.random.Generator, S: int, T: int, spread: float, curve: str, rho: float
) -> Share:
    """One onset for all runs."""
    data = simulated(n_rep, S, T, spread, curve, rho, rng, "gaussian")
    return covered(*fitted(data, hierarchical=False), curve)


def grid(curves: tuple[str, ...], **fixed: Any) -> list[Cell]:
    """Every S with every spread that it can show, every length and correlation."""
    runs = [(S, spread) for S in RUNS for spread in ((0.0,) if S == 1 else (0.0, 0.2))]
    return [
        {"S": S, "T": T, "spread": spread, "curve": curve, "rho": rho} | fixed
        for S, spread in runs
        for T in CHECKPOINTS
        for rho in CORRELATIONS
        for curve in curves
    ]


def cell(S: int, T: int, spread: float, curve: str, rho: float, **rest: Any) -> Cell:
    return {"S": S, "T": T, "spread": spread, "curve": curve, "rho": rho} | rest


WIDTH = [cell(3, 200, 0.2, "exponential", 0.5), cell(3, 200, 0.0, "exponential", 0.5)]
IID = [cell(S, 200, 0.0, curve, 0.9) for S in (1, 3) for curve in ("hinge", "exponential")]
COMMON = [
    cell(S, 200, 0.2, curve, rho) for S in (3, 5) for curve in ("hinge", "exponential") for rho in (0.0, 0.5)
]
TAILS = "heteroscedastic t5"

BARS = [
    Bar(
        "fit_onset, curves of the families",
        "onset of a model",
        coverage,
        grid(SMOOTH),
        [
            cell(1, 12, 0.0, "exponential", 0.9),
            cell(3, 40, 0.2, "hinge", 0.5),
            cell(3, 12, 0.0, "logarithmic", 0.0),
            cell(5, 40, 0.2, "stretched", 0.9),
        ],
        1000,
        at_least=0.90,
    ),
    Bar(
        "fit_onset, mean over families, lengths and correlations",
        "onset of a model",
        mean_coverage,
        [{"S": S, "spread": spread} for S, spread in ((1, 0.0), (3, 0.0), (3, 0.2), (5, 0.0), (5, 0.2))],
        [],
        200,
        at_least=0.94,
    ),
    Bar(
        "fit_onset, noise with t5 tails that fades",
        "onset of a model",
        coverage,
        grid(("hinge", "exponential"), noise=TAILS),
        [cell(3, 40, 0.2, "exponential", 0.5, noise=TAILS), cell(1, 200, 0.0, "hinge", 0.5, noise=TAILS)],
        1000,
        at_least=0.87,
    ),
    Bar(
        "fit_onset, curves of no family",
        "onset of a model",
        coverage,
        grid(("sigmoid", "creep of a tenth")),
        [cell(3, 40, 0.2, "sigmoid", 0.5), cell(3, 40, 0.2, "creep of a tenth", 0.9)],
        1000,
        at_least=0.85,
    ),
    Bar(
        "fit_onset, median width as a share of training",
        "onset of a model",
        width,
        WIDTH,
        WIDTH[:1],
        1000,
        at_most=0.31,
        quantity="width",
    ),
    Bar(
        "fit_onset with independent noise assumed",
        "onset of a model",
        iid_coverage,
        IID,
        IID[:1],
        1000,
        at_most=0.60,
        control=True,
    ),
    Bar(
        "fit_onset with one onset for all runs",
        "onset of a model",
        common_coverage,
        COMMON,
        COMMON[:1],
        1000,
        at_most=0.85,
        control=True,
    ),
    Bar(
        "fit_onset, curves of no family in independent noise, faster creep, random walks (reported)",
        "onset of a model",
        coverage,
        [
            *(cell(S, T, 0.0, "creep of a fifth", 0.5) for S in (1, 3) for T in CHECKPOINTS),
            *(
                cell(S, T, 0.0, curve, 0.0, noise="random walk")
                for S in (1, 3)
                for T in CHECKPOINTS
                for curve in ("exponential", "creep of a tenth")
            ),
        ],
        [],
        1000,
    ),
]
