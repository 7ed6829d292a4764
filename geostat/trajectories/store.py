"""Sealed stores, readable with xarray and zarr alone."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import xarray as xr

from geostat.errors import StoreError
from geostat.trajectories.files import local_path
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.schema import labelled
from geostat.trajectories.watching.folder import watch_path, watched

__all__ = ["open_trajectory", "vectors", "vectors_group"]

_RESERVED = {".", "..", "zarr.json"}


def vectors_group(matrix: str) -> str:
    """Name of the group that holds a matrix's vectors: no two names share one, and none is too long for a disk.

    Parameters
    ----------
    matrix : str
        Name of the matrix.

    Returns
    -------
    str
        A path inside the store.
    """
    quoted = quote(matrix, safe="[]")
    if len(quoted) > 200 or quoted in _RESERVED:
        quoted = f"{quoted[:100]}~{hashlib.sha256(matrix.encode()).hexdigest()[:16]}"
    return f"vectors/{quoted}"


def open_trajectory(store: Any) -> xr.Dataset:
    """Open a sealed store, or what an unfinished measurement has so far.

    Parameters
    ----------
    store : path or URL
        What was given to `measure` as `store`.

    Returns
    -------
    xarray.Dataset
        Lazy. Attribute `complete` is 0 while matrices are missing, which then do not appear.

    Raises
    ------
    StoreError
        If there is neither a store nor a journal, or what is there is none of ours.

    Examples
    --------
    >>> import tempfile, torch
    >>> import geostat as gs
    >>> start = {"blocks.0.attention.query.weight": torch.eye(4)}
    >>> end = {"blocks.0.attention.query.weight": torch.eye(4) + 0.1}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = gs.measure(start, {10: end}, store=f"{folder}/run.zarr", progress=False)
    ...     round(float(gs.open_trajectory(f"{folder}/run.zarr").stable_rank[0, 0]), 6)
    1.0
    """
    if _is_url(store):
        return _open_sealed(store)
    path = local_path(store)
    if path.exists():
        return _open_sealed(path)
    folder = journal_path(path)
    if folder.exists():
        journal = Journal(folder)
        description = journal.content["description"]
        return labelled(
            description, list(journal.records(tuple(r["matrix"] for r in description["matrices"])))
        )
    if watch_path(path).exists():
        return watched(watch_path(path))
    raise StoreError(f"there is no store {path} and no journal {folder}. Measure first, or check the path.")


def _open_zarr(store: Any, group: str | None = None) -> xr.Dataset:
    opened: xr.Dataset = xr.open_zarr(store, group=group)
    return opened


def _is_url(store: Any) -> bool:
    return isinstance(store, str) and "://" in store


def _open_sealed(path: Path | str) -> xr.Dataset:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated")
            dataset = _open_zarr(path)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise StoreError(f"{path} is no zarr store that can be opened: {error}. Check the path.") from error
    if "schema_version" not in dataset.attrs:
        raise StoreError(f"{path} is a zarr store, but not one of geostat's. Check the path.")
    names = [str(name) for name in dataset["matrix"].values]
    if not all(names) or len(set(names)) < len(names) or (dataset["step"].diff("step") <= 0).any():
        raise StoreError(f"{path} is damaged: its labels are not whole. Copy it again, or measure again.")
    return dataset


def vectors(store: Any, matrix: str) -> xr.Dataset:
    """Leading singular vectors of one matrix's updates.

    Parameters
    ----------
    store : path
        A sealed store.
    matrix : str
        Name of the matrix.

    Returns
    -------
    xarray.Dataset
        `left` (step, rows, component) and `right` (step, cols, component), float32, lazy; NaN beyond
        the numerical rank of the update.

    Raises
    ------
    StoreError
        If the store holds no vectors of that matrix.
    """
    dataset = open_trajectory(store)
    try:
        return _open_zarr(store if _is_url(store) else local_path(store), group=vectors_group(matrix))
    except (OSError, KeyError, ValueError) as error:
        left_out = matrix in json.loads(dataset.attrs["vectors_left_out"])
        why = "they did not fit the byte budget" if left_out else "the store has no such matrix"
        raise StoreError(
            f"{store} holds no singular vectors of {matrix}: {why}. "
            "Measure again with vectors=True, or check the name."
        ) from error
