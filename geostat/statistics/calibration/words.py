"""A calibration as a table and as a sentence."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from geostat.results.base import percent
from geostat.results.table import DASH, Column, Row, Text, build_table

__all__ = ["calibration_sentence", "calibration_table"]

_COLUMNS = {
    "coverage": "coverage",
    "width_median": "median width",
    "answered": "answered",
    "size": "size (false declarations)",
    "power": "power",
}


def calibration_table(found: xr.Dataset) -> str:
    """Lay a calibration out for a terminal: value, plus or minus its Monte Carlo standard error.

    Parameters
    ----------
    found : xarray.Dataset
        From `calibrate`.

    Returns
    -------
    str
        One line per cell; columns that say nothing are left out.

    Examples
    --------
    >>> from geostat.statistics.calibration.calibration import calibrate
    >>> found = calibrate("mean_ci", "fixed_layers", {"S": 3}, n_rep=100, rng=1, progress=False)
    >>> "coverage" in calibration_table(found)
    True
    """
    rows = list(_rows(found))
    told = [name for name in _COLUMNS if any(not math.isnan(row[name]) for row in rows)]
    if all(row["answered"] == 1 for row in rows) and "answered" in told:
        told.remove("answered")
    labels = [Column(str(dim), _label(str(dim))) for dim in found.dims]
    return build_table(rows, [*labels, *(Column(_COLUMNS[name], _figure(name)) for name in told)]).to_text()


def _rows(found: xr.Dataset) -> Iterator[dict[str, Any]]:
    for place in np.ndindex(*found.sizes.values()):
        at = dict(zip(found.sizes, place, strict=True))
        here = found.isel(at)
        labels = {
            str(dim): found[dim].values[i].item()
            if found[dim].dtype.kind in "fiu"
            else str(found[dim].values[i])
            for dim, i in at.items()
        }
        yield labels | {str(name): float(here[name]) for name in here.data_vars}


def _label(dim: str) -> Any:
    return lambda row: Text(f"{row[dim]:g}" if isinstance(row[dim], float) else str(row[dim]))


def _figure(name: str) -> Any:
    return lambda row: Text(_with_error(row, name))


def _with_error(row: Row, name: str) -> str:
    value, error = row[name], row[f"{name}_error"]
    if math.isnan(value):
        return DASH
    if name == "width_median":
        return f"{value:.3g}" + ("" if math.isnan(error) else f" ± {error:.1g}")
    return f"{100 * value:.1f}% ± {100 * error:.1f}%"


def calibration_sentence(found: xr.Dataset) -> str:
    """Say a calibration in plain words.

    Parameters
    ----------
    found : xarray.Dataset
        From `calibrate`.

    Returns
    -------
    str
        Coverage, width, size and power; over several cells their range.

    Examples
    --------
    >>> from geostat.statistics.calibration.calibration import calibrate
    >>> found = calibrate("mean_ci", "fixed_layers", {"S": 3}, n_rep=2000, rng=1, progress=False)
    >>> calibration_sentence(found).startswith("A 95% interval from mean_ci with 3 seeds covered the truth in 9")
    True
    """
    rows = list(_rows(found))
    parts = [part for part in (_coverage(found, rows), _claims(found, rows)) if part]
    return " ".join(parts) or f"{found.attrs['procedure']} gave no interval and declared nothing."


def _coverage(found: xr.Dataset, rows: list[dict[str, Any]]) -> str:
    if not any(row["answered"] > 0 for row in rows):
        if all(math.isnan(row["answered"]) for row in rows):
            return ""
        return f"{found.attrs['procedure']} gave an interval in none of {found.attrs['n_rep']} simulated studies."
    level, name = percent(found.attrs["level"]), found.attrs["procedure"]
    interval = f"{'An' if level.startswith('8') else 'A'} {level} interval from {name}{_seeds(found)}"
    studies = f"{found.attrs['n_rep']} simulated studies{_each(rows)}"
    width = _width(rows, found["width_median"].attrs["units"])
    if all(math.isnan(row["coverage"]) for row in rows):
        told = f"{interval} had no truth to cover in {studies}; its {width}."
    else:
        told = f"{interval} covered the truth in {_range(rows, 'coverage')} of {studies}; its {width}."
    answered = [row["answered"] for row in rows]
    if min(answered) < 1:
        told += f" It answered {_range(rows, 'answered')} of the time; coverage is of those answers."
    return told


def _claims(found: xr.Dataset, rows: list[dict[str, Any]]) -> str:
    words = {
        "size": "Where there was nothing to declare, {name} declared it in {range} of studies.",
        "power": "Where the claim was true, {name} declared it in {range} of studies.",
    }
    return " ".join(
        text.format(name=found.attrs["procedure"], range=_range(rows, quantity))
        for quantity, text in words.items()
        if any(not math.isnan(row[quantity]) for row in rows)
    )


def _seeds(found: xr.Dataset) -> str:
    fixed = json.loads(found.attrs["settings"])
    if "S" in found.dims:
        values = found["S"].values.tolist()
        return (
            f" with {values[0]} to {values[-1]} seeds" if len(values) > 1 else f" with {_counted(values[0])}"
        )
    return f" with {_counted(fixed['S'])}" if "S" in fixed else ""


def _counted(seeds: int) -> str:
    return f"{seeds} seed{'' if seeds == 1 else 's'}"


def _each(rows: list[dict[str, Any]]) -> str:
    return f" in each of {len(rows)} cells" if len(rows) > 1 else ""


def _range(rows: list[dict[str, Any]], name: str) -> str:
    known = sorted((row for row in rows if not math.isnan(row[name])), key=lambda row: row[name])
    low, high = known[0], known[-1]
    if low is high or low[name] == high[name]:
        return _with_error(low, name)
    return f"{_with_error(low, name)} to {_with_error(high, name)}"


def _width(rows: list[dict[str, Any]], units: str) -> str:
    known = [row for row in rows if not math.isnan(row["width_median"])]
    in_sds = all(row["seed_sd"] > 0 for row in known)
    widths = sorted(row["width_median"] / (row["seed_sd"] if in_sds else 1) for row in known)
    unit = " seed SDs" if in_sds else f" {units}"
    several = " to ".join(dict.fromkeys((f"{widths[0]:.2g}", f"{widths[-1]:.2g}")))
    return f"median width was {several.replace('inf', 'infinite')}{unit}".rstrip()
