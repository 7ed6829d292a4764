"""Coverage of bootstrap intervals for a mean: from how many runs, and from how few not."""

import warnings

import numpy as np
import xarray as xr

from bars.bar import Bar, Number, Share
from geostat.errors import SmallSampleWarning
from geostat.statistics.bootstraps.bootstrap import bootstrap_ci
from geostat.statistics.bootstraps.bootstrap_scope import SIMULATED_COVERAGE

BATCHES = 20
"""Sets of resamples: replicates of one call share theirs, whose chance would not average out otherwise."""


def run_effects(effects: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Effects of mean 0 and variance 1."""
    if effects == "normal":
        return rng.normal(size=shape)
    if effects == "lognormal":  # skewness 6.2
        return (np.exp(rng.normal(size=shape)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)
    return rng.exponential(size=shape) - 1  # skewness 2


def covers(result) -> int:
    return int(((result.low <= 0) & (result.high >= 0)).sum())


def bootstrap(data: xr.DataArray, rng: np.random.Generator, **options) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        return covers(
            bootstrap_ci(data, dim=None, n_resamples=999, rng=rng, allow_undercoverage=True, **options)
        )


def over_runs(*, method: str, S: int, effects: str, n_rep: int, rng: np.random.Generator) -> Share:
    hits = 0
    for _ in range(BATCHES):
        values = run_effects(effects, (n_rep // BATCHES, S), rng)
        data = xr.DataArray(values, dims=("replicate", "run"), attrs={"units": "1"}, name="metric")
        hits += bootstrap(data, rng, method=method)
    return Share(hits, n_rep // BATCHES * BATCHES)


def against_the_table(*, n_rep: int, rng: np.random.Generator, **cell) -> Number:
    """Coverage minus what refusals and warnings say of it."""
    measured = over_runs(effects="normal", n_rep=n_rep, rng=rng, **cell)
    return Number(measured.value - SIMULATED_COVERAGE[cell["method"]][cell["S"]], measured.error)


def over_clusters(
    *, method: str, clusters: int, sizes: str, ignore: bool, n_rep: int, rng: np.random.Generator
) -> Share:
    """Runs that share a base share an effect of the base; sizes of clusters equal, or 1 to 5."""
    hits = 0
    counts = {"equal": [3], "unequal": [1, 1, 2, 3, 5]}[sizes]
    base = np.repeat(np.arange(clusters), np.resize(counts, clusters))
    for _ in range(BATCHES):
        shared = rng.normal(size=(n_rep // BATCHES, clusters))[:, base]
        values = shared + rng.normal(size=shared.shape)
        data = xr.DataArray(
            values,
            dims=("replicate", "run"),
            coords={"base": ("run", base)},
            attrs={"units": "1"},
            name="metric",
        )
        hits += bootstrap(data, rng, method=method, cluster=None if ignore else "base")
    return Share(hits, n_rep // BATCHES * BATCHES)


def cells(method: str, sizes, effects: str = "normal") -> list[dict[str, object]]:
    return [{"method": method, "S": S, "effects": effects} for S in sizes]


SECTION = "bootstraps"
QUANTILES = ("percentile", "basic", "bca")
BARS = [
    Bar(
        "bootstrap-t from 5 runs on, normal effects",
        SECTION,
        over_runs,
        cells("bootstrap-t", (5, 6, 8, 10, 15, 20)),
        cells("bootstrap-t", (5, 10)),
        2000,
        at_least=0.93,
    ),
    Bar(
        "percentile, basic and BCa from 10 runs on, normal effects: short of nominal",
        SECTION,
        over_runs,
        [cell for method in QUANTILES for cell in cells(method, (10, 15, 20))],
        cells("bca", (10,)),
        2000,
        at_least=0.88,
    ),
    Bar(
        "percentile, basic and BCa from 2 or 3 runs",
        SECTION,
        over_runs,
        [cell for method in QUANTILES for cell in cells(method, (2, 3))],
        cells("percentile", (3,)),
        2000,
        at_most=0.80,
        control=True,
    ),
    Bar(
        "percentile, basic and BCa from 4 or 5 runs",
        SECTION,
        over_runs,
        [cell for method in QUANTILES for cell in cells(method, (4, 5))],
        cells("bca", (5,)),
        2000,
        at_most=0.87,
        control=True,
    ),
    Bar(
        "coverages that refusals and warnings quote",
        SECTION,
        against_the_table,
        [{"method": method, "S": S} for method, table in SIMULATED_COVERAGE.items() for S in table],
        [{"method": "percentile", "S": 3}],
        4000,
        at_least=-0.02,
        at_most=0.02,
        quantity="measured minus quoted",
    ),
    Bar(
        "bootstraps with skewed effects, reported",
        SECTION,
        over_runs,
        [
            cell
            for effects in ("exponential", "lognormal")
            for method in (*QUANTILES, "bootstrap-t")
            for cell in cells(method, (5, 10, 20), effects)
        ],
        [],
        2000,
    ),
    Bar(
        "bootstrap-t over clusters of runs, from 5 clusters on",
        SECTION,
        over_clusters,
        [
            {"method": "bootstrap-t", "clusters": clusters, "sizes": sizes, "ignore": False}
            for clusters in (5, 10, 20)
            for sizes in ("equal", "unequal")
        ],
        [{"method": "bootstrap-t", "clusters": 5, "sizes": "unequal", "ignore": False}],
        2000,
        at_least=0.93,
    ),
    Bar(
        "bootstrap-t over runs although they share bases",
        SECTION,
        over_clusters,
        [
            {"method": "bootstrap-t", "clusters": clusters, "sizes": "equal", "ignore": True}
            for clusters in (5, 10)
        ],
        [{"method": "bootstrap-t", "clusters": 5, "sizes": "equal", "ignore": True}],
        2000,
        at_most=0.88,
        control=True,
    ),
]
