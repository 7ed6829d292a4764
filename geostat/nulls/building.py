"""From labelled numbers to a `NullResult`: excess, names, units, in one place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from geostat.diagnostics import DIAGNOSTICS
from geostat.nulls.null_result import NullResult
from geostat.results.base import Scope, Variable

__all__ = ["null_result", "variable_of"]

_QUANTITIES = ("observed", "null_mean", "null_sd", "excess", "low", "high", "p_value")


def variable_of(statistic: str, *, units: str = "1", long_name: str = "") -> Variable:
    """Name and units of a statistic: its diagnostic's, where it is one.

    Parameters
    ----------
    statistic : str
        Identifier.
    units, long_name : str
        For what is no diagnostic.

    Returns
    -------
    Variable
        As results carry it.
    """
    if statistic not in DIAGNOSTICS:
        return Variable(statistic, long_name=long_name or statistic.replace("_", " "), units=units)
    spec = DIAGNOSTICS[statistic]
    low, high = spec.bounds
    return Variable(
        statistic,
        long_name=spec.long_name,
        units=spec.units,
        symbol=spec.symbol,
        reference=spec.reference,
        valid_min=low if np.isfinite(low) else None,
        valid_max=high if np.isfinite(high) else None,
    )


def null_result(
    cells: Mapping[str, xr.Dataset],
    *,
    variables: Mapping[str, Variable] | None = None,
    title: str,
    estimand: str,
    method: str,
    conditions_on: str,
    cannot_see: str,
    scope: Scope = "descriptive",
    level: float = 0.95,
    n_runs: int = 1,
    n_matrices: int = 1,
    n_steps: int = 1,
    **told: Any,
) -> NullResult:
    """Result of a null from its numbers.

    Parameters
    ----------
    cells : mapping of str to xarray.Dataset
        Per statistic ``observed``, ``null_mean``, ``null_sd``, ``low``, ``high``, ``p_value`` and, where some are
        NaN, ``reason``; coordinates name the cells. The excess is added.
    variables : mapping of str to Variable, optional
        Names and units; those of the diagnostics by default.
    title, estimand, method, conditions_on, cannot_see, scope, level, n_runs, n_matrices, n_steps
        As the result holds them.
    **told
        Other fields of a result: assumptions, warnings, settings, seed.

    Returns
    -------
    NullResult
        Tables, sentences and arrays from these numbers.
    """
    told_variables = {name: variable_of(name) for name in cells} | dict(variables or {})
    return NullResult(
        cells={name: _with_excess(each) for name, each in cells.items()},
        variables={name: told_variables[name] for name in cells},
        single=len(cells) == 1,
        title=title,
        estimand=estimand,
        method=method,
        conditions_on=conditions_on,
        cannot_see=cannot_see,
        scope=scope,
        level=level,
        n_runs=n_runs,
        n_matrices=n_matrices,
        n_steps=n_steps,
        **told,
    )


def _with_excess(cells: xr.Dataset) -> xr.Dataset:
    found = cells.assign(excess=cells["observed"] - cells["null_mean"])
    return found[[name for name in (*_QUANTITIES, *found.data_vars) if name in found]]
