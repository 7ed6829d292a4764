"""Several runs as one labelled dataset."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.spec import Reason
from geostat.trajectories.agreement import Runs, require_agreement, require_labels, with_reason, without_lags
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
    require_labels(runs)
    opened = {key: _open(key, value) for key, value in runs.items()}
    require_agreement(runs, opened)
    opened = without_lags(opened)
    labels = strings(f"{recipe}-{seed}" for recipe, seed in opened)
    prepared = [_bare(dataset) for dataset in opened.values()]
    joined = xr.concat(
        prepared,
        dim=xr.Variable("run", labels),
        join=join,
        fill_value={"reason": Reason.not_measured.value, "audit": 0, "method": 0, "computed_on": 0},
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


def _per_matrix(dataset: xr.Dataset) -> list[str]:
    found = (str(name) for name, coord in dataset.coords.items() if "matrix" in coord.dims)
    return [name for name in found if name not in ("matrix", "initial_hash")]


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    """Drop the labels that are put back once all runs stand side by side."""
    absent = (
        [n for n in map(str, dataset["diagnostic"].values) if n not in dataset] if "reason" in dataset else []
    )
    bare = dataset.drop_vars(["progress", "initial_hash", *_per_matrix(dataset)])
    return with_reason(bare, absent, Reason.not_measured)


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
    common = set.intersection(*(set(table) for table in tables))
    hashed = ("".join(table[name] for name in sorted(common or table)) for table in tables)
    return [hashlib.sha256(each.encode()).hexdigest()[:16] for each in hashed]


def _labelled(joined: xr.Dataset, opened: Runs) -> xr.Dataset:
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
