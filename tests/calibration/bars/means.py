"""What is claimed of means, contrasts and equivalence from few runs."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from bars.bar import Bar, Number, Share
from geostat.errors import GeostatWarning
from geostat.statistics.means.comparison import compare
from geostat.statistics.means.equivalence import equivalence
from geostat.statistics.means.mean import mean_ci

LEVEL = 0.95
RECIPES = ("sft", "opd", "rlvr")


def labelled(values: np.ndarray, recipes: list[str] | None = None) -> xr.DataArray:
    """Replicates of runs: (replicate, run) or (replicate, run, matrix)."""
    dims = ("replicate", "run", "matrix")[: values.ndim]
    coords = {} if recipes is None else {"recipe": ("run", recipes)}
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"units": "1"}, name="metric")


def layered(n_rep: int, rng: np.random.Generator, S: int, L: int, rho: float, fixed: float) -> xr.DataArray:
    """S runs of L layers: fixed layer effects of mean zero, seed effects that layers share by rho."""
    layers = rng.normal(0, fixed, L)
    shared, own = rng.normal(size=(n_rep, S, 1)), rng.normal(size=(n_rep, S, L))
    return labelled(layers - layers.mean() + math.sqrt(rho) * shared + math.sqrt(1 - rho) * own)


def covers(result: Any, truth: float = 0.0) -> Share:
    hits = (result.low <= truth) & (result.high >= truth)
    return Share(int(hits.sum()), hits.size)


def mean_coverage(*, n_rep: int, rng: np.random.Generator, S: int, L: int, rho: float) -> Share:
    return covers(mean_ci(layered(n_rep, rng, S, L, rho, fixed=2.0), level=LEVEL))


def layer_bootstrap_coverage(*, n_rep: int, rng: np.random.Generator, S: int, L: int, rho: float) -> Share:
    """The percentile interval that resamples layers as if they were the sample."""
    values = layered(n_rep, rng, S, L, rho, fixed=0.0).mean("run").values
    means = values @ rng.multinomial(L, np.full(L, 1 / L), size=499).T / L
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return Share(int(((low <= 0) & (high >= 0)).sum()), n_rep)


def study(n_rep: int, rng: np.random.Generator, S: int, unlike: float) -> tuple[xr.DataArray, np.ndarray]:
    """S runs of three recipes, whose log standard deviations over seeds vary by `unlike`."""
    sd = np.exp(unlike * rng.normal(size=(n_rep, len(RECIPES), 1)))
    values = sd * rng.normal(size=(n_rep, len(RECIPES), S))
    return labelled(values.reshape(n_rep, -1), [r for r in RECIPES for _ in range(S)]), sd[..., 0]


def shared_coverage(*, n_rep: int, rng: np.random.Generator, variance: Any, S: int, unlike: float) -> Share:
    data, _ = study(n_rep, rng, S, unlike)
    found = covers(mean_ci(data, dim=None, level=LEVEL, variance=variance))
    # The recipes of a replicate share a variance estimate: they count as one for the Monte Carlo error.
    return Share(round(found.value * n_rep), n_rep)


def shared_contrast_coverage(
    *, n_rep: int, rng: np.random.Generator, variance: Any, S: int, unlike: float
) -> Share:
    data, _ = study(n_rep, rng, S, unlike)
    return covers(compare(data, "sft", "opd", dim=None, level=LEVEL, variance=variance))


def shortening(*, n_rep: int, rng: np.random.Generator, variance: Any, S: int, unlike: float) -> Number:
    """By which share the mean half-width is shorter than with each recipe's own variance."""
    data, _ = study(n_rep, rng, S, unlike)
    own, shared = (mean_ci(data, dim=None, level=LEVEL, variance=v) for v in ("own", variance))
    widths = [(result.high - result.low).mean("recipe").values for result in (own, shared)]
    ratio = widths[1].mean() / widths[0].mean()
    spread = np.std(widths[1] - ratio * widths[0], ddof=1) / math.sqrt(n_rep) / widths[0].mean()
    return Number(1 - ratio, spread)


def most_varying_coverage(
    *, n_rep: int, rng: np.random.Generator, variance: Any, S: int, unlike: float
) -> Share:
    """Coverage of the recipe that varies most over seeds: what sharing costs where it is untrue."""
    data, sd = study(n_rep, rng, S, unlike)
    found = mean_ci(data, dim=None, level=LEVEL, variance=variance)
    hits = ((found.low <= 0) & (found.high >= 0)).transpose("replicate", "recipe").values
    return Share(int(hits[np.arange(n_rep), sd.argmax(axis=1)].sum()), n_rep)


def welch_coverage(*, n_rep: int, rng: np.random.Generator, S: int, ratio: float) -> Share:
    values = np.concatenate([rng.normal(size=(n_rep, S)), ratio * rng.normal(size=(n_rep, S))], axis=1)
    return covers(compare(labelled(values, ["a"] * S + ["b"] * S), "a", "b", dim=None, level=LEVEL))


SKEWED: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "log-normal": (lambda rng, size: rng.lognormal(sigma=1.0, size=size), math.exp(0.5)),
}


def skewed_coverage(*, n_rep: int, rng: np.random.Generator, S: int, effects: str) -> Share:
    draw, truth = SKEWED[effects]
    return covers(mean_ci(labelled(draw(rng, (n_rep, S))), dim=None, level=LEVEL), truth)


def declared(
    n_rep: int, rng: np.random.Generator, S: int, difference: float, sd: float, design: str, variance: Any
) -> Share:
    """How often equivalence within a margin of 1 is established."""
    asked: dict[str, Any] = {"margin": 1.0, "dim": None, "level": LEVEL}
    if design == "one sample":
        data = labelled(difference + sd * rng.normal(size=(n_rep, S)))
        asked |= {"reference": 0.0}
    else:
        shared = rng.normal(size=(n_rep, S)) if design == "paired" else 0.0
        a, b = (shared + sd * rng.normal(size=(n_rep, S)) + shift for shift in (difference, 0.0))
        data = labelled(np.concatenate([a, b], axis=1), ["a"] * S + ["b"] * S)
        data = data.assign_coords(seed=("run", [*range(S), *range(S)]))
        asked |= {"a": "a", "b": "b", "paired": design == "paired", "variance": variance}
    with warnings.catch_warnings():
        # Replicates that hardly vary are narrower than the margin, which is warned of.
        warnings.simplefilter("ignore", GeostatWarning)
        found = equivalence(data, **asked)
    return Share(int(found.equivalent.sum()), n_rep)


def size_at_margin(
    *, n_rep: int, rng: np.random.Generator, S: int, sd: float, design: str, variance: Any = "own"
) -> Share:
    return declared(n_rep, rng, S, 1.0, sd, design, variance)


def power_at_zero(
    *, n_rep: int, rng: np.random.Generator, S: int, sd: float, design: str, variance: Any = "own"
) -> Share:
    return declared(n_rep, rng, S, 0.0, sd, design, variance)


MEAN_CELLS = [{"S": S, "L": L, "rho": rho} for S in (2, 3, 5, 10) for L in (24, 144) for rho in (0.0, 0.3)]
LAYER_CELLS = [{"S": S, "L": L, "rho": 0.3} for S in (1, 3) for L in (24, 144)]
SHARED = [
    {"variance": v, "S": S, "unlike": u}
    for v, unlikes in (("pooled", (0.0,)), ("moderated", (0.0, 0.3, 0.6)))
    for S in (2, 3, 5)
    for u in unlikes
]
AT_TWO = [cell for cell in SHARED if cell["S"] == 2]
UNTRUE = [{"variance": v, "S": S, "unlike": 0.6} for v in ("own", "moderated", "pooled") for S in (2, 3, 5)]
TOST = [
    {"S": S, "sd": sd, "design": design}
    for S in (2, 3, 5, 10)
    for sd in (0.1, 0.25, 0.5)
    for design in ("two samples", "paired", "one sample")
]
TOST_POOLED = [
    {"S": S, "sd": sd, "design": "two samples", "variance": "pooled"} for S in (2, 3, 5) for sd in (0.1, 0.25)
]

BARS = [
    Bar(
        "mean_ci covers",
        "means",
        mean_coverage,
        MEAN_CELLS,
        [MEAN_CELLS[1], MEAN_CELLS[7], MEAN_CELLS[12]],
        2000,
        at_least=0.93,
        at_most=0.97,
    ),
    Bar(
        "bootstrap over layers does not cover",
        "means",
        layer_bootstrap_coverage,
        LAYER_CELLS,
        LAYER_CELLS[2:3],
        2000,
        at_most=0.80,
        control=True,
    ),
    Bar(
        "mean_ci with a shared variance covers",
        "means",
        shared_coverage,
        SHARED,
        [AT_TWO[0], AT_TWO[2]],
        2000,
        at_least=0.93,
        at_most=0.97,
    ),
    Bar(
        "sharing the variance shortens intervals of two runs",
        "means",
        shortening,
        AT_TWO,
        AT_TWO[2:3],
        2000,
        at_least=0.40,
        quantity="share by which the half-width is shorter",
    ),
    Bar(
        "compare with a shared variance covers",
        "means",
        shared_contrast_coverage,
        SHARED,
        [AT_TWO[0], AT_TWO[3]],
        2000,
        at_least=0.93,
        at_most=0.97,
    ),
    Bar(
        "the recipe that varies most, when variances differ",
        "means",
        most_varying_coverage,
        UNTRUE,
        [],
        2000,
    ),
    Bar(
        "compare (Welch) covers",
        "means",
        welch_coverage,
        [{"S": S, "ratio": r} for S in (2, 3, 5, 10) for r in (1.0, 3.0)],
        [{"S": 3, "ratio": 3.0}],
        2000,
        at_least=0.93,
    ),
    Bar(
        "mean_ci under skewed seed effects",
        "bootstraps",
        skewed_coverage,
        [{"S": S, "effects": e} for S in (2, 3, 5, 10, 30) for e in SKEWED],
        [],
        2000,
    ),
    Bar(
        "equivalence is not declared at the margin",
        "comparisons and plans",
        size_at_margin,
        [*TOST, *TOST_POOLED],
        [TOST[9], TOST[12], TOST_POOLED[0]],
        4000,
        at_most=0.05,
        quantity="share declared equivalent",
    ),
    Bar(
        "equivalence is declared where nothing differs",
        "comparisons and plans",
        power_at_zero,
        [*TOST, *TOST_POOLED],
        [],
        2000,
        quantity="share declared equivalent",
    ),
]
