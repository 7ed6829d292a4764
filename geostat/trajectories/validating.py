"""Checking that a store is whole and says what it claims."""

from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import StoreError
from geostat.spec import DIAGNOSTICS, Reason
from geostat.trajectories.store import open_trajectory

__all__ = ["to_csv", "validate"]


def validate(store: Any) -> list[str]:
    """Find what is wrong with a store or dataset.

    Parameters
    ----------
    store : path or Dataset
        A store, a journal's store, or a measured dataset.

    Returns
    -------
    list of str
        One sentence per finding; empty where all holds: every unit measured, every value within its
        diagnostic's bounds, every NaN with a reason and every reason with a NaN, no violated inequality.

    Examples
    --------
    >>> import torch
    >>> import geostat as gs
    >>> start = {"blocks.0.attention.query.weight": torch.eye(4)}
    >>> run = gs.measure(start, {10: dict(start)}, progress=False)  # nothing moved: NaN, with reasons
    >>> gs.validate(run)
    []
    """
    dataset = store if isinstance(store, xr.Dataset) else open_trajectory(store)
    findings = [] if dataset.attrs.get("complete", 1) else ["the measurement is not finished"]
    for name in _measured(dataset):
        findings += _check_variable(dataset, name)
    violated = dataset["audit"].fillna(0) != 0
    if bool(violated.any()):
        findings.append(f"{int(violated.sum())} rows violate an inequality that holds for all matrices")
    return findings


def _measured(dataset: xr.Dataset) -> list[str]:
    """Diagnostics that the dataset holds; a selection may have left some behind."""
    if not {"diagnostic", "reason", "audit"} <= set(dataset.variables):
        raise StoreError(
            "the dataset lacks `reason` or `audit`, which stand beside the diagnostics of a measurement. Pass what "
            "measure or combine returned, or keep them in a selection: ds[['stable_rank', 'reason', 'audit']]."
        )
    return [str(name) for name in dataset["diagnostic"].values if str(name) in dataset]


def _check_variable(dataset: xr.Dataset, name: str) -> list[str]:
    values, reason = dataset[name], dataset["reason"].sel(diagnostic=name)
    own = [dim for dim in values.dims if dim not in reason.dims]
    missing = values.isnull()
    some, unexplained = missing.any(own), reason == Reason.defined.value
    findings = []
    if name in DIAGNOSTICS and not DIAGNOSTICS[name].dims and bool((some & unexplained).any()):
        findings.append(f"{name}: {int((some & unexplained).sum())} cells are NaN without a reason")
    if bool((~some & ~unexplained).any()):
        findings.append(
            f"{name}: {int((~some & ~unexplained).sum())} cells have a value and a reason for none"
        )
    for bound, outside in (("valid_min", np.less), ("valid_max", np.greater)):
        limit = values.attrs.get(bound)
        if limit is not None and bool(outside(values.fillna(limit), limit).any()):
            findings.append(f"{name}: values beyond {bound} = {limit}")
    return findings


def to_csv(store: Any, path: Any) -> None:
    """Write one line per cell, with all labels, for tools that read tables.

    Parameters
    ----------
    store : path or Dataset
        A store or a dataset.
    path : path or file object
        Where the lines go. Columns: run labels, step, progress, matrix labels, settings, diagnostic,
        value, reason.
    """
    dataset = store if isinstance(store, xr.Dataset) else open_trajectory(store)
    dataset = dataset.drop_indexes([name for name in ("recipe", "seed") if name in dataset.indexes])
    names = _measured(dataset)
    for position, name in enumerate(names):
        frame = dataset[name].rename("value").to_dataframe().reset_index()
        reason = dataset["reason"].sel(diagnostic=name).rename("code").to_dataframe().reset_index()
        keys = [key for key in ("run", "step", "matrix") if key in reason]
        frame = frame.merge(reason[[*keys, "code"]], on=keys)
        codes = frame.pop("code").where(frame["value"].isna(), Reason.defined.value)
        frame["reason"] = ["" if code == Reason.defined.value else Reason(int(code)).name for code in codes]
        frame.insert(0, "diagnostic", name)
        settings = {label for key in names for label in _setting_labels(dataset[key])}
        frame = frame.reindex(columns=_columns(dataset, settings))
        frame.to_csv(path, index=False, mode="w" if position == 0 else "a", header=position == 0)


def _setting_labels(variable: xr.DataArray) -> set[str]:
    """Swept settings: dims, or what a selection left as labels."""
    dims = {str(dim) for dim in variable.dims}
    scalars = {str(name) for name, coord in variable.coords.items() if not coord.dims}
    return (dims | scalars) - {"run", "recipe", "seed", "step", "progress", "matrix", "diagnostic"}


def _columns(dataset: xr.Dataset, settings: set[str]) -> list[str]:
    runs = [n for n in ("run", "recipe", "seed") if n in dataset.coords]
    matrix = ["matrix", "layer", "module", "expert", "rows", "cols"]
    return [*runs, "step", "progress", *matrix, "diagnostic", *sorted(settings), "value", "reason"]
