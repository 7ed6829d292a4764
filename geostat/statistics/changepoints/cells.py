"""From fits of curves to labelled cells, and what is to be warned of."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, UndefinedWarning
from geostat.statistics.changepoints.fit import Search
from geostat.statistics.changepoints.series import CurveFit
from geostat.statistics.words.notices import Notice

__all__ = ["change_cells", "change_notices"]

FEW = 40
"""Checkpoints below which a kernel estimate of the long-run variance, and BIC, find changes in pure noise."""

_SEARCHED = ("change", "no change")

ONE_SIDED = 1.645
"""Normal quantile: an autocorrelation beyond this over the root of T is clearly positive."""


def change_cells(like: xr.DataArray, found: Sequence[CurveFit]) -> xr.Dataset:
    """Lay out every change of every curve.

    Parameters
    ----------
    like : xarray.DataArray
        One cell per curve.
    found : sequence of CurveFit
        In the order of the cells.

    Returns
    -------
    xarray.Dataset
        Every quantity along the cells and dim ``change``; those of a whole curve repeat along it.
    """
    slots = max([1, *(len(curve.fit.changes) for curve in found)])
    rows = [_change(curve, slot) | _curve(curve) for curve in found for slot in range(slots)]
    dims, shape = (*map(str, like.dims), "change"), (*like.shape, slots)
    arrays = {name: (dims, _values(rows, name).reshape(shape)) for name in rows[0]}
    return xr.Dataset(arrays, like.coords).assign_coords(change=np.arange(1, slots + 1))


def _values(rows: Sequence[dict[str, Any]], name: str) -> Any:
    values = [row[name] for row in rows]
    return np.array(values, dtype=np.dtypes.StringDType() if isinstance(values[0], str) else None)


def _change(curve: CurveFit, slot: int) -> dict[str, Any]:
    fit = curve.fit
    if slot >= len(fit.changes):
        n = len(fit.changes)
        reason = fit.reason or f"this run has {n} change{'s' if n > 1 else ''} only"
        return dict.fromkeys(_NUMBERS, math.nan) | {"reason": reason}
    change = fit.changes[slot]
    return {
        "estimate": _step(curve, change.last_before),
        "low": _step(curve, change.low),
        "high": _step(curve, change.high),
        "first_after": _step(curve, change.last_before + 1),
        "observation": float(change.last_before),
        "observation_low": math.nan if change.low is None else float(change.low),
        "observation_high": math.nan if change.high is None else float(change.high),
        "mean_before": change.mean_before,
        "mean_after": change.mean_after,
        "shift": change.mean_after - change.mean_before,
        "reason": change.reason,
    }


_NUMBERS = (
    "estimate",
    "low",
    "high",
    "first_after",
    "observation",
    "observation_low",
    "observation_high",
    "mean_before",
    "mean_after",
    "shift",
)


def _step(curve: CurveFit, observation: int | None) -> float:
    return math.nan if observation is None else float(curve.steps[observation - 1])


def _curve(curve: CurveFit) -> dict[str, Any]:
    fit = curve.fit
    return {
        "outcome": fit.outcome,
        "n_changes": len(fit.changes),
        "sup_f": fit.sup_f,
        "p_value": fit.p_value,
        "rss": fit.rss,
        "rss_without": fit.rss_without,
        "autocorrelation": fit.autocorrelation,
        "n_checkpoints": len(curve.steps),
        "n_missing": curve.n_missing,
    }


def change_notices(name: str, found: Sequence[CurveFit], search: Search) -> list[Notice]:
    """Notices about curves that do not meet what the intervals assume.

    Parameters
    ----------
    name : str
        The metric.
    found : sequence of CurveFit
        All of its curves.
    search : Search
        What was sought.

    Returns
    -------
    list of Notice
        At most one of a kind.
    """
    told = [
        _autocorrelated(name, found, search),
        _short(name, found, search),
        _not_significant(name, found, search),
        _gaps(name, found),
    ]
    if search.errors == "hac" and search.n_breaks in ("bic", "lwz"):
        text = (
            f"{name}: {str(search.n_breaks).upper()} takes errors for independent, whatever `errors` says of "
            "intervals. Pass n_breaks='sequential', whose tests allow for autocorrelation."
        )
        told.append(Notice(GeostatWarning, text))
    return [notice for notice in told if notice is not None]


def _autocorrelated(name: str, found: Sequence[CurveFit], search: Search) -> Notice | None:
    if search.errors == "hac":
        return None
    clear = [
        curve.fit.autocorrelation
        for curve in found
        if curve.fit.autocorrelation > ONE_SIDED / math.sqrt(max(len(curve.steps), 1))
    ]
    if not clear:
        return None
    enough = max(len(curve.steps) for curve in found) >= FEW
    remedy = (
        "Pass errors='hac'."
        if enough
        else f"errors='hac' mends that from about {FEW} checkpoints on, not here."
    )
    return Notice(
        GeostatWarning,
        f"{name}: successive residuals are correlated, by up to {max(clear):.2f} ({_of(clear, found)}), and "
        "errors='iid' takes them for independent: the intervals are too narrow and sup-F finds changes where "
        f"there are none. {remedy}",
    )


def _short(name: str, found: Sequence[CurveFit], search: Search) -> Notice | None:
    short = [
        len(curve.steps) for curve in found if 0 < len(curve.steps) < FEW and curve.fit.outcome in _SEARCHED
    ]
    culprits = [f"errors={search.errors!r}"] * (search.errors == "hac")
    culprits += [f"n_breaks={search.n_breaks!r}"] * (search.n_breaks == "bic")
    if not short or not culprits:
        return None
    return Notice(
        GeostatWarning,
        f"{name}: {_of(short, found)} have fewer than {FEW} checkpoints, where {' and '.join(culprits)} reports "
        "changes in pure noise (in one series of eight at 20 checkpoints, one of five or more at 8). Save more "
        "checkpoints; with independent errors n_breaks='sequential' and errors='iid' keep their level.",
    )


def _not_significant(name: str, found: Sequence[CurveFit], search: Search) -> Notice | None:
    doubtful = [c.fit.p_value for c in found if c.fit.changes and c.fit.p_value > 1 - search.level]
    if not doubtful or not isinstance(search.n_breaks, int):
        return None
    return Notice(
        GeostatWarning,
        f"{name}: a change is dated because n_breaks={search.n_breaks} asks for it, but sup-F finds none "
        f"(p up to {max(doubtful):.2f}; {_of(doubtful, found)}). The interval takes the change for real.",
    )


def _gaps(name: str, found: Sequence[CurveFit]) -> Notice | None:
    missing = [curve.n_missing for curve in found if curve.n_missing]
    if not missing:
        return None
    return Notice(
        UndefinedWarning,
        f"{name}: {sum(missing)} step{'s' if sum(missing) > 1 else ''} within {_of(missing, found)} "
        "have no value and are left out; the change is dated among the checkpoints that have one.",
    )


def _of(some: Sequence[object], found: Sequence[CurveFit]) -> str:
    return f"{len(some)} of {len(found)} curve{'s' if len(found) > 1 else ''}"
