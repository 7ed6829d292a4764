"""Nulls of a run as one table: figures averaged over matrices, beside what rounding alone gives."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.nulls.whole_runs.request import REASONS
from geostat.results import Row, Table
from geostat.results.numbers import number_text
from geostat.results.table import DASH, Column, Text, build_table
from geostat.statistics import mean_ci

__all__ = ["run_nulls_table"]

ALPHA = 0.05
"""Below which a matrix's p-value is counted."""


def run_nulls_table(
    nulls: xr.Dataset, measured: xr.Dataset | None = None, *, step: int | None = None
) -> Table:
    """Nulls of a run, averaged over its matrices as the diagnostics define.

    Parameters
    ----------
    nulls : xarray.Dataset
        What `run_nulls` returned.
    measured : xarray.Dataset, optional
        The measurement: figures that have a floor and no null are taken from it.
    step : int, optional
        Checkpoint; the last one by default.

    Returns
    -------
    Table
        Metric, observed, null, excess, floor, and for how many matrices the p-value is at most .05. One run, so
        there is no interval. Below stands what each null conditions on, and what it cannot see.

    Raises
    ------
    SampleError
        If there is no such step.
    """
    steps = nulls["step"].values.tolist()
    chosen = steps[-1] if step is None else step
    if chosen not in steps:
        raise SampleError(f"the nulls hold no step {chosen}. Steps: {', '.join(map(str, steps))}.")
    here = nulls.sel(step=chosen)
    beside = None
    if measured is not None and chosen in measured["step"].values:
        beside = measured.sel(step=chosen, matrix=nulls["matrix"].values)
    rows = [row for metric in _metrics(nulls) for row in _rows(metric, here, beside)]
    return build_table(rows, _columns(rows), [_told(nulls, chosen), *_blind(nulls), *_gaps(here)])


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    """Columns in which any row has a number."""
    told = [n for n in ("null", "excess", "floor", "latent") if any(not np.isnan(row[n]) for row in rows)]
    numbers = [Column(name, lambda row, name=name: number_text(row[name])) for name in told]  # type: ignore[misc]
    return [
        Column("metric", lambda row: Text(row["metric"]), number=False),
        Column("observed", _observed),
        *numbers,
        Column(f"p <= {ALPHA:g}", lambda row: Text(row["rejected"])),
    ]


def _observed(row: Row) -> Text:
    value, floor = row["observed"], row["floor"]
    if not np.isnan(floor) and not np.isnan(value) and row["rule"]:
        if row["rule"] == "at most" and value <= floor:
            return Text(f"{number_text(value).plain} <= floor")
        if row["rule"] == "at least" and value >= floor:
            return Text(f"{number_text(value).plain} >= floor")
    return number_text(value)


def _metrics(nulls: xr.Dataset) -> list[str]:
    endings = ("_excess", "_floor", "_latent")
    named = [str(name) for name in nulls.data_vars]
    return list(dict.fromkeys(name.removesuffix(e) for name in named for e in endings if name.endswith(e)))


def _rows(metric: str, here: xr.Dataset, beside: xr.Dataset | None) -> Iterator[dict[str, Any]]:
    found = {
        e: here[f"{metric}_{e}"] for e in ("null", "excess", "floor", "latent") if f"{metric}_{e}" in here
    }
    like = next(iter(found.values()))
    if f"{metric}_observed" in here:
        found["observed"] = here[f"{metric}_observed"].assign_attrs(like.attrs)
    elif beside is not None and metric in beside:
        found["observed"] = beside[metric]
    means = {name: _mean(array) for name, array in found.items()}
    p_value = here.get(f"{metric}_p_value")
    dims = max((mean.dims for mean in means.values()), key=len)
    full = xr.broadcast(*means.values())
    by_name = dict(zip(means, full, strict=True))
    shape = tuple(
        by_name["observed" if "observed" in by_name else next(iter(by_name))].sizes[d] for d in dims
    )
    for place in np.ndindex(shape):
        at = {str(dim): i for dim, i in zip(dims, place, strict=True)}
        told = ", ".join(f"{dim} {_label(full[0][dim].values[i])}" for dim, i in at.items())
        values = {
            name: float(by_name[name].isel(at)) if name in by_name else np.nan
            for name in ("observed", "null", "excess", "floor", "latent")
        }
        yield {
            "metric": f"{metric} ({told})" if told else metric,
            "rule": found["floor"].attrs["floor"] if "floor" in found else "",
            "rejected": _rejected(p_value, at),
            **values,
        }


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mean(array: xr.DataArray) -> xr.DataArray:
    """Average over matrices as `mean_ci` does."""
    weighting = "parameters" if array.attrs.get("weighting") == "both" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)  # gaps are told below the table
        found = mean_ci(array, weighting=weighting).estimate  # type: ignore[arg-type]
    mean = xr.DataArray(found)
    return mean.drop_vars([name for name in mean.coords if name not in mean.dims])


def _rejected(p_value: xr.DataArray | None, at: Mapping[str, int]) -> str:
    if p_value is None:
        return DASH
    here = p_value.isel({dim: i for dim, i in at.items() if dim in p_value.dims})
    known = int(here.notnull().sum())
    return f"{int((here <= ALPHA).sum())} of {known}" if known else DASH


def _told(nulls: xr.Dataset, step: int) -> str:
    return (
        f"Step {step}, {nulls.sizes['matrix']} matrices, one run: no interval. A p-value speaks of its own matrix; "
        "matrices are no random sample."
    )


def _blind(nulls: xr.Dataset) -> list[str]:
    """What each kind of null conditions on and cannot see, once."""
    told: dict[str, None] = {}
    for name, array in nulls.data_vars.items():
        kind = next((e for e in ("null", "floor", "latent") if str(name).endswith(f"_{e}")), "")
        if kind:
            what = {
                "null": array.attrs.get("null", "null"),
                "floor": "noise floor",
                "latent": "latent update",
            }[kind]
            conditions, blind = array.attrs["conditions_on"], array.attrs["cannot_see"]
            told[f"{what}: conditions on {conditions.rstrip('.')}. Cannot see {blind.rstrip('.')}."] = None
    return [text[0].upper() + text[1:] for text in told]


def _gaps(here: xr.Dataset) -> list[str]:
    if "null_reason" not in here:
        return []
    codes, counts = np.unique(here["null_reason"].values, return_counts=True)
    told = [
        f"{count} without a null: {REASONS[code]}" for code, count in zip(codes, counts, strict=True) if code
    ]
    return [f"Of {here['null_reason'].size} (matrices by nulls): {'; '.join(told)}."] if told else []
