"""Simulated power minus computed power: both must agree within Monte Carlo error."""

import math

import numpy as np
import xarray as xr
from scipy import stats

from bars.bar import Bar, Number
from geostat.statistics.means.comparison import compare
from geostat.statistics.means.mean import mean_ci
from geostat.statistics.sample_size.power import power


def samples(shift: float, S: int, n_rep: int, rng: np.random.Generator) -> xr.DataArray:
    values = rng.normal(size=(n_rep, 2 * S)) + np.repeat([shift, 0.0], S)
    coords = {"recipe": ("run", ["a"] * S + ["b"] * S), "seed": ("run", [*range(S), *range(S)])}
    return xr.DataArray(values, dims=("replicate", "run"), coords=coords, attrs={"units": "1"}, name="metric")


def difference(hits: np.ndarray, computed: float) -> Number:
    return Number(float(hits.mean()) - computed, math.sqrt(max(computed * (1 - computed), 1e-6) / hits.size))


def of_compare(*, design: str, S: int, effect: float, n_rep: int, rng: np.random.Generator) -> Number:
    result = compare(samples(effect, S, n_rep, rng), "a", "b", dim=None, paired=design == "paired")
    computed = power("compare", seed_sd=1.0, effect=effect, design=design, n_runs=[S])
    return difference(np.asarray(result.p_value) < 0.05, float(computed.power.item()))


def of_equivalence(
    *, design: str, S: int, effect: float, margin: float, n_rep: int, rng: np.random.Generator
) -> Number:
    values = samples(effect, S, n_rep, rng).values
    a, b = values[:, :S], values[:, S:]
    larger, smaller = (
        stats.ttest_ind(a + s * margin, b, axis=1, equal_var=design == "pooled", alternative=way).pvalue
        for s, way in ((1, "greater"), (-1, "less"))
    )
    computed = power("equivalence", seed_sd=1.0, effect=effect, margin=margin, design=design, n_runs=[S])
    return difference(np.maximum(larger, smaller) <= 0.05, float(computed.power.item()))


def of_half_width(*, S: int, half_width: float, n_rep: int, rng: np.random.Generator) -> Number:
    data = samples(0.0, S, n_rep, rng).isel(run=slice(0, S)).drop_vars("recipe")
    result = mean_ci(data, dim=None)
    computed = power("mean_ci", seed_sd=1.0, half_width=half_width, n_runs=[S])
    return difference(np.asarray(result.high - result.low) / 2 <= half_width, float(computed.power.item()))


def bar(name: str, measure, cells, smoke) -> Bar:
    return Bar(
        name,
        "comparisons and plans",
        measure,
        cells,
        smoke,
        20000,
        at_least=-0.01,
        at_most=0.01,
        quantity="simulated minus computed",
    )


COMPARED = [
    {"design": design, "S": S, "effect": effect}
    for design in ("welch", "paired")
    for S in (2, 3, 5, 10)
    for effect in (1.0, 2.0, 4.0)
]
EQUIVALENT = [
    {"design": design, "S": S, "effect": effect, "margin": margin}
    for design in ("welch", "pooled")
    for S in (2, 3, 5, 10)
    for effect, margin in ((0.0, 2.0), (1.0, 3.0), (2.0, 2.0))
]
WIDTHS = [{"S": S, "half_width": h} for S, h in ((2, 7.0), (3, 2.0), (5, 1.2), (10, 0.7))]
BARS = [
    bar("power of compare", of_compare, COMPARED, [COMPARED[4]]),
    bar("power of equivalence", of_equivalence, EQUIVALENT, [EQUIVALENT[3]]),
    bar("power of mean_ci's half-width", of_half_width, WIDTHS, [WIDTHS[1]]),
]
