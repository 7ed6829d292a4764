"""Several runs as one labelled dataset."""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, ProtocolError, SampleError, ShapeError
from geostat.spec import DIAGNOSTICS, Reason
from geostat.trajectories.schema import strings
from geostat.trajectories.store import open_trajectory

__all__ = ["combine"]

Runs = dict[tuple[str, int], xr.Dataset]

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
    _require_labels(runs)
    opened = {key: _open(key, value) for key, value in runs.items()}
    _require_one_protocol(opened)
    _require_distinct(runs, opened)
    _require_same_dims(opened)
    opened = _without_lags(opened)
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
    if not joined.sizes["step"] or not joined.sizes["matrix"]:
        raise SampleError(
            "the runs share no step or no matrix, so join='inner' leaves nothing. Use join='outer'."
        )
    return _labelled(joined, opened)


def _require_labels(runs: Any) -> None:
    if not isinstance(runs, Mapping) or not runs:
        raise SampleError("combine was given no run. Pass {(recipe, seed): store, ...}.")
    for key in runs:
        if not (
            isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str) and isinstance(key[1], int)
        ):
            raise SampleError(
                f"a run is labelled {key!r}. Label each with (recipe, seed), such as ('opd', 0)."
            )


def _open(key: tuple[str, int], run: Any) -> xr.Dataset:
    dataset = run if isinstance(run, xr.Dataset) else open_trajectory(run)
    if "run" in dataset.coords:
        raise SampleError(f"run {key} is a combined dataset already. combine takes single runs, all at once.")
    if not {"step", "matrix"} <= set(dataset.dims) or not {"protocol_hash", "training_steps"} <= set(
        dataset.attrs
    ):
        raise SampleError(
            f"run {key} lacks the dims step and matrix, or the attributes of a measurement. Pass what measure "
            "returned, or its store; select steps and matrices with slices or lists, which keep the dims."
        )
    return dataset


def _settings(dataset: xr.Dataset) -> dict[str, Any]:
    """What must agree between runs; horizons are compared as they were used, not as they were declared."""
    found: dict[str, Any] = json.loads(dataset.attrs["protocol_settings"])
    return {key: value for key, value in found.items() if key not in ("name", "horizon", "matrices")}


def _without_lags(opened: Runs) -> Runs:
    """Take out the diagnostics of one horizon where runs differ in it: they are other quantities in each."""
    horizons = {key: dataset.attrs["horizon"] for key, dataset in opened.items() if dataset.sizes["step"] > 1}
    if len(set(horizons.values())) <= 1:
        return opened
    lagged = [
        name
        for name, spec in DIAGNOSTICS.items()
        if {"later", "increment"} & set(spec.operands) and any(name in dataset for dataset in opened.values())
    ]
    warnings.warn(
        f"the runs look ahead by different horizons ({', '.join(f'{k}: {h}' for k, h in horizons.items())} steps), "
        f"so {', '.join(lagged)} are left out. Measure all runs with one declared horizon to have them.",
        GeostatWarning,
        stacklevel=3,
    )
    return {key: _blanked(dataset, lagged) for key, dataset in opened.items()}


def _blanked(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    there = [name for name in names if name in dataset]
    codes = dataset["reason"].where(
        ~dataset["diagnostic"].astype(object).isin(there), Reason.different_horizons.value
    )
    changed = {name: dataset[name].where(False) for name in there}
    changed["reason"] = codes.astype(np.int8).assign_attrs(dataset["reason"].attrs)
    return dataset.assign(changed)


def _require_one_protocol(opened: dict[tuple[str, int], xr.Dataset]) -> None:
    (first, reference), *others = opened.items()
    for key, dataset in others:
        if _settings(dataset) != _settings(reference):
            raise ProtocolError(
                f"runs {first} and {key} were measured under different protocols: {_difference(reference, dataset)}. "
                "Their figures are different quantities. Measure both under one protocol."
            )


def _difference(first: xr.Dataset, second: xr.Dataset) -> str:
    a, b = _settings(first), _settings(second)
    return ", ".join(f"{key} is {a[key]!r} and {b[key]!r}" for key in a if a[key] != b.get(key))


def _require_distinct(runs: Mapping[tuple[str, int], Any], opened: Runs) -> None:
    """Refuse one run under two labels, however it was named."""
    seen: dict[Any, tuple[str, int]] = {}
    for key, run in runs.items():
        place = None if isinstance(run, xr.Dataset) else os.path.realpath(os.fspath(run))
        for mark in (id(run), place, opened[key].attrs.get("identity")):
            if mark is not None and seen.setdefault(mark, key) != key:
                raise SampleError(
                    f"{seen[mark]} and {key} name the same data{f' ({place})' if place else ''}. "
                    "Two seeds need two runs."
                )


def _require_same_dims(opened: Runs) -> None:
    """Refuse runs of which one was cut down to one setting: xarray would repeat it for the others."""
    (first, reference), *others = opened.items()
    for key, dataset in others:
        for name in set(map(str, reference.data_vars)) & set(map(str, dataset.data_vars)):
            a, b = (_setting_labels(ds[name]) for ds in (reference, dataset))
            if a != b:
                raise ProtocolError(
                    f"{name} has {a or 'no settings'} in run {first} but {b or 'no settings'} in run {key}. "
                    "Combine whole runs, and select a setting afterwards."
                )


def _setting_labels(variable: xr.DataArray) -> dict[str, list[str]]:
    """Values of the swept settings, whether a dim or what a selection left as a label."""
    return {
        str(name): [str(value) for value in np.atleast_1d(coord.values)]
        for name, coord in variable.coords.items()
        if name not in ("step", "progress", "diagnostic") and "matrix" not in coord.dims
    }


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
    horizons = [ds.attrs["horizon"] for ds in runs]
    lengths = np.array([ds.attrs["training_steps"] for ds in runs])
    progress = joined["step"].values[None, :] / lengths[:, None]
    labelled = joined.assign_coords(_matrix_labels(joined["matrix"], runs)).assign_coords(
        recipe=("run", strings(recipes), {"long_name": "Recipe"}),
        seed=("run", np.array(seeds), {"long_name": "Seed"}),
        base=("run", strings(_bases(runs)), {"long_name": "Fingerprint of the initial weights"}),
        storage=("run", strings(ds.attrs["storage"] for ds in runs), {"long_name": "Storage"}),
        horizon=("run", [float(h) if isinstance(h, int | float | np.integer) else np.nan for h in horizons]),
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
