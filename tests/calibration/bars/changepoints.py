"""Change points: Bai's interval and sup-F, with independent and with autocorrelated errors."""

import itertools
import math
import warnings

import numpy as np
import xarray as xr

from bars.bar import Bar, Share
from geostat.errors import GeostatWarning
from geostat.statistics.changepoints.changepoint import ChangepointResult, fit_changepoint

SECTION = "change points"


def series(n_rep: int, rng: np.random.Generator, T: int, rho: float, shift: float, at: float) -> xr.DataArray:
    """Replicates of a shift, in standard deviations of stationary autoregressive errors."""
    errors = rng.normal(size=(n_rep, T))
    for t in range(1, T):
        errors[:, t] = rho * errors[:, t - 1] + math.sqrt(1 - rho**2) * errors[:, t]
    values = errors + shift * (np.arange(T) >= round(at * T))
    return xr.DataArray(values, dims=("replicate", "step"), attrs={"units": "1"}, name="metric")


def fitted(data: xr.DataArray, **arguments: object) -> ChangepointResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        return fit_changepoint(data, dim=None, **arguments)


def coverage(
    *,
    n_rep: int,
    rng: np.random.Generator,
    T: int,
    rho: float,
    shift: float,
    at: float,
    errors: str,
    equal_variance: bool = True,
) -> Share:
    """How often the 95% interval holds the last observation before the shift."""
    result = fitted(series(n_rep, rng, T, rho, shift, at), errors=errors, equal_variance=equal_variance)
    truth = round(at * T)
    return Share(int(((result.low <= truth) & (truth <= result.high)).sum()), n_rep)


def significant(
    *, n_rep: int, rng: np.random.Generator, T: int, rho: float, errors: str, shift: float
) -> Share:
    """How often sup-F is significant at .05."""
    result = fitted(series(n_rep, rng, T, rho, shift, 0.5), errors=errors)
    return Share(int((result.p_value < 0.05).sum()), n_rep)


def segmented(*, n_rep: int, rng: np.random.Generator, T: int, rho: float, rule: str, errors: str) -> Share:
    """How often a rule finds a change where there is none."""
    result = fitted(series(n_rep, rng, T, rho, 0.0, 0.5), n_breaks=rule, max_breaks=3, errors=errors)
    return Share(int((result.quantity("n_changes").isel(change=0) > 0).sum()), n_rep)


def grid(**axes: list[object]) -> list[dict[str, object]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


BARS = [
    Bar(
        name="Bai's interval covers a large shift, independent errors",
        section=SECTION,
        measure=coverage,
        cells=[
            *grid(T=[40, 100, 200], shift=[2.0, 3.0], at=[0.3, 0.5], rho=[0.0], errors=["iid"]),
            *grid(T=[40, 100, 200], shift=[2.0], at=[0.5], rho=[0.0], errors=["iid"], equal_variance=[False]),
        ],
        smoke=grid(T=[40, 200], shift=[2.0], at=[0.5], rho=[0.0], errors=["iid"]),
        n_rep=1000,
        at_least=0.93,
    ),
    Bar(
        name="Bai's interval at a shift of one standard deviation, independent errors",
        section=SECTION,
        measure=coverage,
        cells=grid(T=[20, 40, 100, 200], shift=[1.0], at=[0.5], rho=[0.0], errors=["iid"]),
        smoke=[],
        n_rep=1000,
    ),
    Bar(
        name="Bai's interval for independent errors, errors autocorrelated by .9",
        section=SECTION,
        measure=coverage,
        cells=grid(T=[40, 100, 200], shift=[1.0], at=[0.5], rho=[0.9], errors=["iid"]),
        smoke=grid(T=[100], shift=[1.0], at=[0.5], rho=[0.9], errors=["iid"]),
        n_rep=1000,
        at_most=0.60,
        control=True,
    ),
    Bar(
        name="Bai's interval with the long-run variance, autocorrelated errors",
        section=SECTION,
        measure=coverage,
        cells=grid(T=[40, 100, 200], shift=[1.0, 2.0, 3.0], at=[0.5], rho=[0.5, 0.9], errors=["hac"]),
        smoke=[],
        n_rep=1000,
    ),
    Bar(
        name="sup-F finds no change where there is none, independent errors",
        section=SECTION,
        measure=significant,
        cells=grid(T=[20, 40, 100, 200], rho=[0.0], errors=["iid"], shift=[0.0]),
        smoke=grid(T=[40], rho=[0.0], errors=["iid"], shift=[0.0]),
        n_rep=4000,
        at_most=0.06,
        quantity="size",
    ),
    Bar(
        name="sup-F for independent errors, autocorrelated errors without a change",
        section=SECTION,
        measure=significant,
        cells=grid(T=[40, 100, 200], rho=[0.5, 0.9], errors=["iid"], shift=[0.0]),
        smoke=grid(T=[40], rho=[0.5], errors=["iid"], shift=[0.0]),
        n_rep=4000,
        at_least=0.11,
        control=True,
        quantity="size",
    ),
    Bar(
        name="sup-F with the long-run variance, no change",
        section=SECTION,
        measure=significant,
        cells=grid(T=[40, 100, 200], rho=[0.0, 0.5, 0.9], errors=["hac"], shift=[0.0]),
        smoke=[],
        n_rep=4000,
        quantity="size",
    ),
    Bar(
        name="sup-F finds a shift of one standard deviation",
        section=SECTION,
        measure=significant,
        cells=[
            *grid(T=[20, 40, 100, 200], rho=[0.0], errors=["iid"], shift=[1.0]),
            *grid(T=[40, 100, 200], rho=[0.0, 0.5, 0.9], errors=["hac"], shift=[1.0]),
        ],
        smoke=[],
        n_rep=1000,
        quantity="power",
    ),
    Bar(
        name="Rules find no change where there is none, independent errors",
        section=SECTION,
        measure=segmented,
        cells=grid(T=[40, 200], rho=[0.0], rule=["bic", "lwz", "sequential"], errors=["iid"]),
        smoke=[],
        n_rep=1000,
        quantity="changes found",
    ),
    Bar(
        name="Penalised segmentation, autocorrelated errors without a change",
        section=SECTION,
        measure=segmented,
        cells=grid(T=[40, 200], rho=[0.5, 0.9], rule=["bic"], errors=["iid"]),
        smoke=grid(T=[40], rho=[0.9], rule=["bic"], errors=["iid"]),
        n_rep=1000,
        at_least=0.11,
        control=True,
        quantity="changes found",
    ),
    Bar(
        name="Sequential sup-F with the long-run variance, autocorrelated errors without a change",
        section=SECTION,
        measure=segmented,
        cells=grid(T=[40, 200], rho=[0.5, 0.9], rule=["sequential"], errors=["hac"]),
        smoke=[],
        n_rep=1000,
        quantity="changes found",
    ),
]
