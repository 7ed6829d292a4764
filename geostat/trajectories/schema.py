"""How a measurement is labelled: dims, coordinates, attributes, version."""

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from geostat.checkpoints import MatrixRef
from geostat.diagnostics import AUDITS
from geostat.linalg import Method
from geostat.protocols import Protocol
from geostat.spec import DIAGNOSTICS, Diagnostic, Reason
from geostat.trajectories.plans import SCHEMA_VERSION, Plan
from geostat.trajectories.record import DECOMPOSED, DEVICES, Record
from geostat.trajectories.sweep import sweep_shape, swept_fields

__all__ = ["describe", "labelled", "strings", "variable_attrs"]

_MATRIX_COORDS = ("layer", "module", "expert", "rows", "cols", "n_params")


def strings(values: Iterable[str]) -> Any:
    """Variable-length strings: fixed-width ones break appends and zarr's third format.

    Parameters
    ----------
    values : iterable of str
        The strings.

    Returns
    -------
    numpy.ndarray
        Shape (number of strings,), dtype StringDType.
    """
    return np.array(list(values), dtype=np.dtypes.StringDType())


def describe(plan: Plan) -> dict[str, Any]:
    """What a journal must keep so that its records can be labelled without the checkpoints.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    dict
        Serialisable.
    """
    return {
        "matrices": [_matrix_row(ref) for ref in plan.refs],
        "steps": list(plan.steps),
        "training_steps": plan.training_steps,
        "protocol": plan.protocol.to_json(),
        "diagnostics": list(plan.diagnostics),
        "longest_rank": plan.longest_rank,
        "attrs": _attrs(plan),
    }


def _matrix_row(ref: MatrixRef) -> dict[str, Any]:
    return {"matrix": ref.name, **{name: getattr(ref, name) for name in _MATRIX_COORDS}}


def _attrs(plan: Plan) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.11",
        "title": "geometry of a training run: diagnostics per weight matrix and checkpoint",
        "schema_version": SCHEMA_VERSION,
        "protocol": plan.protocol.name,
        "protocol_hash": plan.protocol.hash,
        "protocol_settings": plan.protocol.to_json(),
        "storage": plan.storage,
        "tier": plan.tier,
        "audited": int(plan.audited),
        "training_steps": plan.training_steps,
        "horizon": plan.horizon if plan.horizon is not None else "undeclared: the steps are uneven",
        "matrices_left_out": json.dumps(plan.missing),
        "vectors_left_out": json.dumps([ref.name for ref in plan.refs if ref.name not in plan.vectors]),
        "inputs": json.dumps([entry.identity() for entry in plan.inputs]),
        "fingerprints": json.dumps(plan.fingerprints()),
    }


def labelled(description: dict[str, Any], records: list[Record]) -> xr.Dataset:
    """Label the finished units of a measurement.

    Parameters
    ----------
    description : dict
        What `describe` returned.
    records : list of Record
        Finished units; matrices without a record do not appear, and attribute `complete` is then 0.

    Returns
    -------
    xarray.Dataset
        Dims step and matrix, and those of the swept settings; one variable per diagnostic, `reason` and
        `audit`, `method`, `residual` and `computed_on` beside them.
    """
    by_name = {record.matrix: record for record in records}
    rows = [row for row in description["matrices"] if row["matrix"] in by_name]
    ordered = [by_name[row["matrix"]] for row in rows]
    protocol = Protocol.from_json(description["protocol"])
    specs = [DIAGNOSTICS[name] for name in description["diagnostics"]]
    coords = _coords(description, rows, ordered, protocol, specs)
    variables = {spec.name: _variable(spec, protocol, ordered, description) for spec in specs}
    complete = int(len(rows) == len(description["matrices"]))
    return xr.Dataset(
        {
            **variables,
            "reason": _reasons(specs, ordered, description),
            "audit": _audits(ordered, description),
            **_certificates(ordered, description),
            "computed_on": _devices(ordered),
        },
        coords=coords,
        attrs={**description["attrs"], "complete": complete},
    )


def _coords(
    description: dict[str, Any],
    rows: list[dict[str, Any]],
    records: list[Record],
    protocol: Protocol,
    specs: list[Diagnostic],
) -> dict[str, Any]:
    steps = np.asarray(description["steps"], dtype=np.int64)
    coords: dict[str, Any] = {
        "step": ("step", steps, {"long_name": "Optimizer step", "units": "1", "axis": "T"}),
        "progress": (
            "step",
            steps / description["training_steps"],
            {"long_name": "Share of training", "units": "1"},
        ),
        "matrix": ("matrix", strings(row["matrix"] for row in rows), {"long_name": "Weight matrix"}),
        "operand": ("operand", strings(DECOMPOSED), {"long_name": "Decomposed matrix"}),
        "diagnostic": ("diagnostic", strings(spec.name for spec in specs)),
        **{name: _matrix_coord(name, rows) for name in _MATRIX_COORDS},
        "initial_hash": (
            "matrix",
            strings(record.initial_hash for record in records),
            {"long_name": "Fingerprint of the initial weight"},
        ),
        **_used(records, protocol),
    }
    for field in dict.fromkeys(field for spec in specs for field in swept_fields(spec, protocol)):
        values = getattr(protocol, field)
        coords[field] = (field, strings(values) if field == "side" else np.asarray(values))
    if any(spec.dims for spec in specs):
        coords["rank"] = ("rank", np.arange(1, description["longest_rank"] + 1))
    return coords


_MATRIX_LABELS = {
    "layer": "Layer, -1 where there is none",
    "module": "Module",
    "expert": "Expert, -1 where there is none",
    "rows": "Rows (outputs)",
    "cols": "Columns (inputs)",
    "n_params": "Number of entries",
}


def _matrix_coord(name: str, rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    values = [row[name] for row in rows]
    attrs = {"long_name": _MATRIX_LABELS[name]}
    return ("matrix", strings(values) if name == "module" else np.asarray(values, dtype=np.int64), attrs)


def _used(records: list[Record], protocol: Protocol) -> dict[str, Any]:
    labels = {
        "k_used": "Principal directions used",
        "r_used": "Rank of the reconstruction used",
        "hill_k_used": "Order statistics used",
    }
    coords: dict[str, Any] = {}
    for name, label in labels.items():
        dims = ("matrix", "k") if name == "k_used" and isinstance(protocol.k, tuple) else ("matrix",)
        shape = (
            (len(records), len(protocol.k))
            if isinstance(protocol.k, tuple) and len(dims) > 1
            else (len(records),)
        )
        values = np.array([record.used[name] for record in records], dtype=np.int64).reshape(shape)
        coords[name] = (dims, values, {"long_name": label})
    return coords


def _stacked(arrays: list[Any], n_steps: int, empty_shape: tuple[int, ...] = ()) -> Any:
    """(matrix) arrays of shape (step, ...) to one of shape (step, matrix, ...)."""
    return np.stack(arrays, axis=1) if arrays else np.zeros((n_steps, 0, *empty_shape))


def _variable(
    spec: Diagnostic, protocol: Protocol, records: list[Record], description: dict[str, Any]
) -> tuple[Any, ...]:
    dims = ("step", "matrix", *swept_fields(spec, protocol), *spec.dims)
    own = (description["longest_rank"],) * len(spec.dims)
    arrays = [record.values[spec.name] for record in records]
    values = _stacked(arrays, len(description["steps"]), sweep_shape(spec, protocol) + own)
    return (dims, values, variable_attrs(spec, protocol))


def variable_attrs(spec: Diagnostic, protocol: Protocol) -> dict[str, Any]:
    """What a diagnostic's values say of themselves in a dataset.

    Parameters
    ----------
    spec : Diagnostic
        The diagnostic.
    protocol : Protocol
        The convention under which it was measured.

    Returns
    -------
    dict
        Units, bounds, names, weighting, convention.
    """
    weighting = protocol.sparsity_weighting if spec.weighting == "parameters" else spec.weighting
    attrs = {
        "long_name": spec.long_name,
        "units": spec.units,
        "symbol": spec.symbol,
        "reference": spec.reference,
        "weighting": weighting,
        "diagnostic": spec.name,
        "protocol": protocol.name,
        "protocol_hash": protocol.hash,
        "ancillary_variables": "reason audit",
        "looks_ahead": int(spec.looks_ahead),
    }
    bounds = dict(zip(("valid_min", "valid_max"), spec.bounds, strict=True))
    return attrs | {key: value for key, value in bounds.items() if math.isfinite(value)}


def _reasons(specs: list[Diagnostic], records: list[Record], description: dict[str, Any]) -> tuple[Any, ...]:
    steps = len(description["steps"])
    values = np.stack([_stacked([r.reasons[spec.name] for r in records], steps) for spec in specs])
    attrs = {
        "long_name": "Why a cell has no value",
        "flag_values": [reason.value for reason in Reason],
        "flag_meanings": " ".join(reason.name for reason in Reason),
        "flag_sentences": [reason.sentence for reason in Reason],
    }
    return (("diagnostic", "step", "matrix"), values.astype(np.int8), attrs)


def _audits(records: list[Record], description: dict[str, Any]) -> tuple[Any, ...]:
    attrs = {
        "long_name": "Inequalities that the row violates",
        "flag_masks": [1 << bit for bit in range(len(AUDITS))],
        "flag_meanings": " ".join(AUDITS),
    }
    values = _stacked([record.audit for record in records], len(description["steps"]))
    return (("step", "matrix"), values.astype(np.int8), attrs)


def _certificates(records: list[Record], description: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    steps, operands = len(description["steps"]), (len(DECOMPOSED),)
    dims = ("step", "matrix", "operand")
    methods = _stacked([record.methods for record in records], steps, operands).astype(np.int8)
    residuals = _stacked([record.residuals for record in records], steps, operands).astype(np.float32)
    return {
        "method": (dims, methods, _METHOD_ATTRS),
        "residual": (
            dims,
            residuals,
            {"long_name": "Worst residual over the largest singular value", "units": "1"},
        ),
    }


def _devices(records: list[Record]) -> tuple[Any, ...]:
    codes = np.array([DEVICES.index(record.computed_on) for record in records], dtype=np.int8)
    attrs = {
        "long_name": "Device that computed the matrix",
        "flag_values": list(range(len(DEVICES))),
        "flag_meanings": " ".join(DEVICES),
    }
    return (("matrix",), codes, attrs)


_METHOD_ATTRS = {
    "long_name": "How the matrix was decomposed",
    "flag_values": [method.value for method in Method],
    "flag_meanings": " ".join(method.name for method in Method),
    "flag_sentences": [method.sentence for method in Method],
}
