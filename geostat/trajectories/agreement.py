"""What must agree before runs can stand side by side, and what is left out where it does not."""

import json
import os
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, ProtocolError, SampleError, ShapeError
from geostat.spec import DIAGNOSTICS, Reason

__all__ = ["Runs", "require_agreement", "require_labels", "with_reason", "without_lags"]

Runs = dict[tuple[str, int], xr.Dataset]
"""Opened runs by recipe and seed."""


def require_labels(runs: Any) -> None:
    """Raise unless every run is labelled with recipe and seed.

    Parameters
    ----------
    runs : mapping
        As the user gave it.

    Raises
    ------
    SampleError
        If it is empty, or a label is something else.
    """
    if not isinstance(runs, Mapping) or not runs:
        raise SampleError("combine was given no run. Pass {(recipe, seed): store, ...}.")
    for key in runs:
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str) and _is_seed(key[1])):
            raise SampleError(
                f"a run is labelled {key!r}. Label each with (recipe, seed), such as ('opd', 0)."
            )


def _is_seed(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_agreement(runs: Mapping[tuple[str, int], Any], opened: Runs) -> None:
    """Raise where two runs are no measurements of one kind, or one run stands there twice.

    Parameters
    ----------
    runs : mapping
        As the user gave them: paths tell runs apart.
    opened : dict
        The same runs as datasets.

    Raises
    ------
    ProtocolError
        If their conventions or their settings differ.
    SampleError
        If two labels name the same data.
    ShapeError
        If a matrix has different shapes in two runs.
    """
    _require_one_protocol(opened)
    _require_distinct(runs, opened)
    _require_same_dims(opened)
    _require_same_shapes(opened)


def _settings(dataset: xr.Dataset) -> dict[str, Any]:
    """What must agree between runs; horizons are compared as they were used, not as they were declared."""
    found: dict[str, Any] = json.loads(dataset.attrs["protocol_settings"])
    return {key: value for key, value in found.items() if key not in ("name", "horizon")}


def _require_one_protocol(opened: Runs) -> None:
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


def _require_same_shapes(opened: Runs) -> None:
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


def without_lags(opened: Runs) -> Runs:
    """Take out what looks one horizon ahead where runs of one recipe differ in the horizon.

    Averaged over such runs it would mix different quantities. Recipes may differ from each other: that
    `compare` warns of.

    Parameters
    ----------
    opened : dict
        The runs.

    Returns
    -------
    dict
        The same, with a warning and the reason `different_horizons` where anything was taken out.
    """
    there = {str(name) for dataset in opened.values() for name in dataset.data_vars}
    lagged = [name for name, spec in DIAGNOSTICS.items() if spec.looks_ahead and name in there]
    horizons: dict[str, set[Any]] = {}
    for (recipe, _), dataset in opened.items():
        if any(bool(dataset[name].notnull().any()) for name in lagged if name in dataset):
            horizons.setdefault(recipe, set()).add(dataset.attrs["horizon"])
    mixed = {recipe: found for recipe, found in horizons.items() if len(found) > 1}
    if not mixed:
        return opened
    told = "; ".join(f"{recipe}: {', '.join(map(str, sorted(map(str, f))))}" for recipe, f in mixed.items())
    warnings.warn(
        f"runs of one recipe look ahead by different horizons in steps ({told}), so {', '.join(lagged)} are left "
        "out there. Measure these runs with one declared horizon to have them.",
        GeostatWarning,
        stacklevel=3,
    )
    return {key: _blanked(run, lagged) if key[0] in mixed else run for key, run in opened.items()}


def _blanked(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    there = [name for name in names if name in dataset]
    emptied = dataset.assign({name: dataset[name].where(False) for name in there})
    return with_reason(emptied, there, Reason.different_horizons)


def with_reason(dataset: xr.Dataset, names: list[str], reason: Reason) -> xr.Dataset:
    """Write one reason for all cells of some diagnostics, where the dataset keeps reasons.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run.
    names : list of str
        Diagnostics.
    reason : Reason
        Why they have no value.

    Returns
    -------
    xarray.Dataset
        A copy.
    """
    if "reason" not in dataset or not names:
        return dataset
    others = ~dataset["diagnostic"].astype(object).isin(names)
    codes = dataset["reason"].where(others, reason.value).astype(np.int8)
    return dataset.assign(reason=codes.assign_attrs(dataset["reason"].attrs))
