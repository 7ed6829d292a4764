"""Nulls of a run as a labelled dataset."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from geostat.diagnostics import DIAGNOSTICS
from geostat.nulls.building import variable_of
from geostat.nulls.floors.result import DIAGNOSTICS_WITH_FLOOR
from geostat.nulls.gates.words import CANNOT_SEE, CONDITIONS_ON, METHODS
from geostat.nulls.whole_runs.matrix import LATENT, LATENT_QUANTITIES, QUANTITIES, Numbers
from geostat.nulls.whole_runs.request import REASONS, Request
from geostat.trajectories.plans import Plan
from geostat.trajectories.schema import strings, variable_attrs
from geostat.trajectories.sweep import swept_fields

__all__ = ["labelled_nulls"]

_TITLES = {
    "observed": "{}, as the null saw it",
    "null": "{} that rounding alone gives",
    "null_sd": "{}: standard deviation of observed less null",
    "excess": "{}: observed less what rounding alone gives",
    "p_value": "{}: p-value of this matrix at this step",
}
FLOOR_CONDITIONS_ON = (
    "the stored W_0, from which training started, and the type of storage: every entry of W_t is off by an error "
    "uniform in its rounding cell"
)
FLOOR_CANNOT_SEE = (
    "whether a figure that it covers is storage alone: it is the most that storage of W_t can add, and where entries "
    "did not change less was added. Errors of fp32 weights rounded at the start too (two ends) are larger"
)
_AVERAGED = ("null", "excess")
"""Quantities that carry units: procedures average every variable that has them, which p-values must not be."""


def labelled_nulls(plan: Plan, asked: Request, numbers: Mapping[str, Numbers]) -> xr.Dataset:
    """Label the numbers of all matrices.

    Parameters
    ----------
    plan : Plan
        Matrices and steps.
    asked : Request
        What was asked.
    numbers : mapping of str to dict
        By matrix.

    Returns
    -------
    xarray.Dataset
        Dims step, matrix and alpha, with the labels of a measurement.
    """
    steps = np.asarray(plan.steps, dtype=np.int64)
    coords = {
        "step": ("step", steps, {"long_name": "Optimizer step", "units": "1", "axis": "T"}),
        "matrix": ("matrix", strings(ref.name for ref in plan.refs), {"long_name": "Weight matrix"}),
        "module": ("matrix", strings(ref.module for ref in plan.refs)),
        "layer": ("matrix", np.array([ref.layer for ref in plan.refs], dtype=np.int64)),
        "n_params": ("matrix", np.array([ref.n_params for ref in plan.refs], dtype=np.int64)),
    }
    variables: dict[str, Any] = {}
    for statistic in asked.statistics:
        variables |= _of_gate(statistic, plan, asked, numbers)
    for name in LATENT if asked.latent else ():
        variables |= _of_latent(name, plan, asked, numbers)
    for name in asked.floors:
        variables |= _of_floor(name, plan, asked, numbers)
    for field in dict.fromkeys(dim for dims, *_ in variables.values() for dim in dims):
        if field not in coords:
            values = getattr(asked.protocol, field)
            coords[field] = (field, strings(values) if field == "side" else np.asarray(values))
    variables |= _reasons(plan, asked, numbers)
    if asked.reasoned:
        coords["null_metric"] = ("null_metric", strings(asked.reasoned))
    return xr.Dataset(variables, coords, attrs=_attrs(plan, asked))


def _stacked(name: str, plan: Plan, numbers: Mapping[str, Numbers]) -> Any:
    return np.stack([numbers[ref.name][name] for ref in plan.refs], axis=1)


def _of_gate(
    statistic: str, plan: Plan, asked: Request, numbers: Mapping[str, Numbers]
) -> dict[str, tuple[Any, ...]]:
    found = {}
    for ending in QUANTITIES:
        values = _stacked(f"{statistic}_{ending}", plan, numbers)
        dims = ("step", "matrix", "alpha")[: values.ndim]
        found[f"{statistic}_{ending}"] = (dims, values, _gate_attrs(statistic, ending, asked))
    return found


def _of_latent(
    name: str, plan: Plan, asked: Request, numbers: Mapping[str, Numbers]
) -> dict[str, tuple[Any, ...]]:
    from geostat.nulls.latents.update import BLIND, CONDITIONS

    told = {
        "latent": "{}: estimate before rounding",
        "latent_low": "{}: lower end",
        "latent_high": "{}: upper end",
    }
    attrs = variable_attrs(DIAGNOSTICS[name], asked.protocol)
    found = {}
    for ending in LATENT_QUANTITIES:
        dropped = ("symbol",) if ending == "latent" else ("symbol", "units")
        own = {key: value for key, value in attrs.items() if key not in dropped}
        own |= {
            "long_name": told[ending].format(attrs["long_name"]),
            "conditions_on": CONDITIONS,
            "cannot_see": BLIND,
        }
        values = _stacked(f"{name}_{ending}", plan, numbers)
        found[f"{name}_{ending}"] = (("step", "matrix"), values, own)
    return found


def _of_floor(
    name: str, plan: Plan, asked: Request, numbers: Mapping[str, Numbers]
) -> dict[str, tuple[Any, ...]]:
    spec = DIAGNOSTICS[name]
    values = np.stack([numbers[ref.name][f"{name}_floor"] for ref in plan.refs])
    attrs = variable_attrs(spec, asked.protocol)
    attrs |= {
        "long_name": f"{attrs['long_name']}: end of what storage in {asked.dtype} alone gives",
        "floor": DIAGNOSTICS_WITH_FLOOR[name],
        "conditions_on": FLOOR_CONDITIONS_ON,
        "cannot_see": FLOOR_CANNOT_SEE,
    }
    del attrs["symbol"]
    return {f"{name}_floor": (("matrix", *swept_fields(spec, asked.protocol)), values, attrs)}


def _gate_attrs(statistic: str, ending: str, asked: Request) -> dict[str, Any]:
    if statistic in DIAGNOSTICS:
        attrs = variable_attrs(DIAGNOSTICS[statistic], asked.protocol)
    else:
        attrs = {"long_name": variable_of(statistic).long_name, "units": "1", "weighting": "matrix"}
    shares = asked.method == "law" and statistic in ("update_sparsity", "update_density")
    attrs |= {
        "long_name": _TITLES[ending].format(attrs["long_name"]),
        "diagnostic": statistic,
        "null": METHODS[asked.method],
        "conditions_on": CONDITIONS_ON["law of shares" if shares else asked.method],
        "cannot_see": CANNOT_SEE[asked.method],
        "ancillary_variables": "null_reason",
    }
    dropped = {"symbol"} | (set() if ending in _AVERAGED else {"units"})
    dropped |= {"valid_min", "valid_max"} if ending != "null" else set()
    return {key: value for key, value in attrs.items() if key not in dropped}


def _reasons(plan: Plan, asked: Request, numbers: Mapping[str, Numbers]) -> dict[str, tuple[Any, ...]]:
    if not asked.reasoned:
        return {}
    each = [_stacked(f"{name}_reason", plan, numbers) for name in asked.reasoned]
    attrs = {
        "long_name": "Why a null has no value",
        "flag_values": list(range(len(REASONS))),
        "flag_sentences": list(REASONS),
    }
    return {"null_reason": (("null_metric", "step", "matrix"), np.stack(each).astype(np.int8), attrs)}


def _attrs(plan: Plan, asked: Request) -> dict[str, Any]:
    return {
        "title": "what rounding alone gives: nulls per weight matrix and checkpoint",
        "protocol": asked.protocol.name,
        "protocol_hash": asked.protocol.hash,
        "protocol_settings": asked.protocol.to_json(),
        "storage": plan.storage,
        "training_steps": plan.training_steps,
        "null_method": METHODS[asked.method],
        "null_settings": json.dumps(asked.settings()),
        "seed": asked.seed,
    }
