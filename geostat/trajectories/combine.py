"""Several runs as one labelled dataset."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.spec import Reason
from geostat.trajectories.schema import strings
from geostat.trajectories.store import open_trajectory

__all__ = ["combine"]

_SHARED = ("protocol", "protocol_hash", "protocol_settings", "schema_version", "Conventions")


def combine(runs: Mapping[tuple[str, int], Any], *, join: Literal["outer", "inner"] = "outer") -> xr.Dataset:
    """Runs side by side along the dim `run`, labelled with recipe and seed.

    Runs may differ in their steps and matrices: cells that a run does not have are NaN with the
    reason `not_measured`. They may not differ in their protocol.

    Parameters
    ----------
    runs : mapping of (recipe, seed) to path or Dataset
        One measured run each.
    join : {"outer", "inner"}
        All steps and matrices that any run has, or only those that every run has.

    Returns
    -------
    xarray.Dataset
        Dims `run`, `step`, `matrix` and those of swept settings; coordinates `recipe`, `seed`,
        `storage` and `base` along run, of which the first two can be selected by:
        ``ds.sel(recipe="opd")``. `base` is equal where runs started from the same weights.
        `progress` has dims run and step.

    Raises
    ------
    ProtocolError
        If two runs were measured under different protocols.
    ShapeError
        If a matrix has different shapes in two runs.
    SampleError
        If there is no run, or the same data stand under two labels.

    Examples
    --------
    >>> import torch
    >>> import geostat as gs
    >>> def run(size):
    ...     start = {"blocks.0.attention.query.weight": torch.eye(4)}
    ...     end = {"blocks.0.attention.query.weight": (1 + size) * torch.eye(4)}
    ...     return gs.measure(start, {10: end}, progress=False)
    >>> runs = gs.combine({("opd", 0): run(0.1), ("opd", 1): run(0.2), ("sft", 0): run(1.0)})
    >>> runs.sel(recipe="opd").seed.values
    array([0, 1])
    """
    if not runs:
        raise SampleError("combine was given no run. Pass {(recipe, seed): store, ...}.")
    opened = {key: _open(value) for key, value in runs.items()}
    _require_one_protocol(opened)
    _require_distinct(runs)
    labels = strings(f"{recipe}-{seed}" for recipe, seed in opened)
    _require_same_shapes(opened)
    prepared = [_bare(dataset) for dataset in opened.values()]
    joined = xr.concat(
        prepared,
        dim=xr.Variable("run", labels),
        join=join,
        fill_value={"reason": Reason.not_measured.value, "audit": 0},
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )
    return _labelled(joined, opened)


def _open(run: Any) -> xr.Dataset:
    dataset = run if isinstance(run, xr.Dataset) else open_trajectory(run)
    if "run" in dataset.dims:
        raise SampleError("a dataset with a run dim was given: combine takes single runs, all at once.")
    return dataset


def _require_one_protocol(opened: dict[tuple[str, int], xr.Dataset]) -> None:
    (first, reference), *others = opened.items()
    for key, dataset in others:
        if dataset.attrs["protocol_hash"] != reference.attrs["protocol_hash"]:
            raise ProtocolError(
                f"runs {first} and {key} were measured under different protocols: {_difference(reference, dataset)}. "
                "Their figures are different quantities. Measure both under one protocol."
            )


def _difference(first: xr.Dataset, second: xr.Dataset) -> str:
    a, b = (json.loads(ds.attrs["protocol_settings"]) for ds in (first, second))
    return ", ".join(f"{key} is {a[key]!r} and {b[key]!r}" for key in a if key != "name" and a[key] != b[key])


def _require_distinct(runs: Mapping[tuple[str, int], Any]) -> None:
    seen: dict[Any, tuple[str, int]] = {}
    for key, run in runs.items():
        identity = id(run) if isinstance(run, xr.Dataset) else str(run)
        if identity in seen:
            raise SampleError(
                f"{seen[identity]} and {key} name the same data, {run if isinstance(run, str) else 'one object'}. "
                "Two seeds need two runs."
            )
        seen[identity] = key


def _per_matrix(dataset: xr.Dataset) -> list[str]:
    found = (str(name) for name, coord in dataset.coords.items() if "matrix" in coord.dims)
    return [name for name in found if name not in ("matrix", "initial_hash")]


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    """Drop the labels that are put back once all runs stand side by side."""
    return dataset.drop_vars(["progress", "initial_hash", *_per_matrix(dataset)])


def _matrix_labels(matrices: xr.DataArray, runs: list[xr.Dataset]) -> dict[str, xr.Variable]:
    """Labels of every matrix, from the first run that has it."""
    labels: dict[str, xr.Variable] = {}
    position = {str(name): i for i, name in enumerate(matrices.values)}
    for name in _per_matrix(runs[0]):
        first = runs[0][name].variable.load()
        values = np.empty((len(position), *first.shape[1:]), dtype=first.dtype)
        for run in reversed(runs):
            common = [str(each) in position for each in run["matrix"].values]
            rows = [position[str(each)] for each in run["matrix"].values[common]]
            values[rows] = run[name].values[common]
        labels[name] = xr.Variable(first.dims, values, first.attrs)
    return labels


def _bases(runs: list[xr.Dataset]) -> list[str]:
    """One fingerprint per run, over the matrices that all runs have."""
    tables = [
        dict(zip(map(str, run["matrix"].values), map(str, run["initial_hash"].values), strict=True))
        for run in runs
    ]
    common = sorted(set.intersection(*(set(table) for table in tables)))
    return [
        hashlib.sha256("".join(table[name] for name in common).encode()).hexdigest()[:16] for table in tables
    ]


def _require_same_shapes(opened: dict[tuple[str, int], xr.Dataset]) -> None:
    seen: dict[str, tuple[tuple[str, int], tuple[int, int]]] = {}
    for key, dataset in opened.items():
        for name, rows, cols in zip(
            dataset["matrix"].values, dataset["rows"].values, dataset["cols"].values, strict=True
        ):
            other, shape = seen.setdefault(str(name), (key, (int(rows), int(cols))))
            if shape != (rows, cols):
                raise ShapeError(
                    f"{name} is {shape} in run {other} but {(int(rows), int(cols))} in run {key}: these are "
                    "different models. Combine runs of one architecture."
                )


def _labelled(joined: xr.Dataset, opened: dict[tuple[str, int], xr.Dataset]) -> xr.Dataset:
    recipes, seeds = zip(*opened, strict=True)
    runs = list(opened.values())
    lengths = np.array([ds.attrs["training_steps"] for ds in runs])
    progress = joined["step"].values[None, :] / lengths[:, None]
    labelled = joined.assign_coords(_matrix_labels(joined["matrix"], runs)).assign_coords(
        recipe=("run", strings(recipes), {"long_name": "Recipe"}),
        seed=("run", np.array(seeds), {"long_name": "Seed"}),
        base=("run", strings(_bases(runs)), {"long_name": "Fingerprint of the initial weights"}),
        storage=("run", strings(ds.attrs["storage"] for ds in runs), {"long_name": "Storage"}),
        training_steps=("run", lengths, {"long_name": "Length of training", "units": "1"}),
        progress=(("run", "step"), progress, {"long_name": "Share of training", "units": "1"}),
    )
    labelled.attrs = {key: joined.attrs[key] for key in _SHARED}
    labelled.attrs["title"] = "geometry of training runs: diagnostics per run, weight matrix and checkpoint"
    labelled.attrs["storage"] = "/".join(sorted({str(ds.attrs["storage"]) for ds in runs}))
    labelled.attrs["runs"] = json.dumps(
        {f"{r}-{s}": ds.attrs.get("identity", "in memory") for (r, s), ds in opened.items()}
    )
    return labelled.set_xindex("recipe").set_xindex("seed")
