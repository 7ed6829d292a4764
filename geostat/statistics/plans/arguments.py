"""Arguments that a plan gives to a procedure, and how a call departs from them."""

import inspect
from collections.abc import Mapping
from typing import Any

import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.canonical import plain
from geostat.statistics.plans.procedures import Planned
from geostat.statistics.regimes.boundaries import load_boundaries

__all__ = ["departures", "planned_arguments", "planned_data"]

_FREE = frozenset({"rng", "leave_one_out"})
"""Arguments that change no claim."""


def planned_data(plan: Analysis, procedure: Planned, data: Any) -> Any:
    """Select the declared metrics from a dataset.

    Parameters
    ----------
    plan : Analysis
        With its metrics.
    procedure : Planned
        Some need other variables beside the metrics.
    data : xarray.DataArray or xarray.Dataset
        What the caller passed.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        The dataset with the declared metrics alone, anything else as it is.

    Raises
    ------
    SampleError
        If none of the declared metrics was measured.
    """
    if procedure.whole or not isinstance(data, xr.Dataset):
        return data
    kept = [name for name in plan.metrics if name in data]
    if not kept:
        raise SampleError(
            f"the plan declares {', '.join(plan.metrics)}, the data hold {', '.join(map(str, data.data_vars))}. "
            "Pass a DataArray to look at a metric outside the plan."
        )
    return data[kept]


def planned_arguments(plan: Analysis, procedure: Planned, data: Any) -> dict[str, Any]:
    """Keyword arguments as declared.

    Parameters
    ----------
    plan : Analysis
        The declarations.
    procedure : Planned
        What is run.
    data : xarray.DataArray or xarray.Dataset
        Margins are given for its metrics alone.

    Returns
    -------
    dict
        Only what the plan decides; the rest keeps the procedure's defaults.
    """
    found = {name: getattr(plan, field) for name, field in procedure.governed.items()}
    if "metrics" in found:
        found["metrics"] = _regime_metrics(plan)
    if procedure.governed.get("margin") == "margins":
        found["margin"] = _margins(plan, data)
    given = {name: value for name, value in found.items() if not _empty(name, value)}
    return given | dict(plan.settings.get(procedure.name, {}))


def _empty(name: str, value: Any) -> bool:
    return name != "dim" and (value is None or (isinstance(value, Mapping) and not value))


def _regime_metrics(plan: Analysis) -> list[str] | None:
    """Declared metrics that say something about regimes."""
    known = load_boundaries("published" if plan.boundaries is None else plan.boundaries).metrics
    return [name for name in plan.metrics if name in known] or None


def _margins(plan: Analysis, data: Any) -> Any:
    names = [str(data.name)] if isinstance(data, xr.DataArray) else [str(name) for name in data.data_vars]
    return {name: plan.margins[name] for name in names if name in plan.margins}


def departures(
    plan: Analysis, procedure: Planned, planned: Mapping[str, Any], given: Mapping[str, Any]
) -> list[str]:
    """How the arguments of a call differ from the plan, each in a few words.

    Parameters
    ----------
    plan : Analysis
        The declarations.
    procedure : Planned
        What is run.
    planned : mapping
        What `planned_arguments` gave.
    given : mapping
        Arguments of the call.

    Returns
    -------
    list of str
        Empty where the call keeps to the plan.
    """
    defaults = {n: p.default for n, p in inspect.signature(procedure.function).parameters.items()}
    told = []
    for name, value in given.items():
        wanted = planned.get(name, defaults.get(name))
        if name in _FREE or (procedure.contrast and name in ("a", "b")) or _same(value, wanted):
            continue
        declared = name in planned
        told.append(
            f"{name} {_shown(value)} instead of {_shown(wanted)}" if declared else f"{name} was not declared"
        )
    return told


def _same(value: Any, wanted: Any) -> bool:
    if value is wanted:
        return True
    try:
        return bool(plain(value, "") == plain(wanted, ""))
    except SampleError:
        return False


def _shown(value: Any) -> str:
    return str(dict(value)) if isinstance(value, Mapping) else str(value)
