"""From a finished journal to a sealed store: block by block, written aside, renamed into place."""

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from geostat.errors import JournalError, StoreError
from geostat.trajectories.chunks import block_length, chunk_shape
from geostat.trajectories.files import local_path, replace_folder
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.provenance import joined_provenance
from geostat.trajectories.record import Record
from geostat.trajectories.schema import labelled
from geostat.trajectories.shards import owners
from geostat.trajectories.store import open_trajectory, vectors_group

__all__ = ["seal", "write_store"]


def seal(store: Any) -> xr.Dataset:
    """Sealed store of a measurement whose shares were measured one by one.

    `measure` with ``shard="1/3"``, ``"2/3"``, ``"3/3"`` writes finished matrices to one journal beside the
    store, in whatever order and on whatever machines; this joins them. The store is the one that a single
    call of `measure` would have made.

    Parameters
    ----------
    store : path
        What was given to `measure` as `store`.

    Returns
    -------
    xarray.Dataset
        The store, as `open_trajectory` opens it. One that is sealed already is opened.

    Raises
    ------
    JournalError
        If matrices are missing, with the shares that lack them; or if a share is measured at this moment.
    StoreError
        If there is neither a journal nor a store, or the store cannot be written.

    Examples
    --------
    >>> import tempfile, torch
    >>> import geostat as gs
    >>> start, end = ({f"blocks.{i}.attention.query.weight": c * torch.eye(4) for i in range(3)} for c in (1, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for share in ("1/2", "2/2"):
    ...         _ = gs.measure(start, {10: end}, store=f"{folder}/run.zarr", shard=share, progress=False)
    ...     seal(f"{folder}/run.zarr").sizes["matrix"]
    3
    """
    path = local_path(store)
    folder = journal_path(path)
    if path.exists():
        sealed = open_trajectory(path)
        if not folder.exists():
            return sealed
    if not folder.exists():
        raise StoreError(f"there is no journal {folder}. Measure first, or check the path.")
    journal = Journal(folder)
    journal.locks.hold_all()
    try:
        write_store(journal, path)
    finally:
        journal.release()
    return open_trajectory(path)


def write_store(journal: Journal, store: Path) -> None:
    """Write the store of a finished journal, then remove the journal.

    The store stands under its name only once it is whole. What is held in memory does not grow with the
    number of matrices.

    Parameters
    ----------
    journal : Journal
        Every unit finished.
    store : Path
        Where the store shall stand; an older one there is replaced.

    Raises
    ------
    JournalError
        If units are missing or damaged.
    StoreError
        If the disk refuses; the journal is whole.
    """
    content = journal.content
    _require_all(journal, content["description"])
    aside = store.with_name(f".{store.name}.sealing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with _quiet_zarr():
            _write_blocks(aside, journal, content)
            _write_vectors(aside, journal, content["description"])
            zarr.consolidate_metadata(os.fspath(aside))
        replace_folder(aside, store)
    except JournalError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise StoreError(
            f"cannot write the store {store}: {error}. Every figure is kept in {journal.folder}: make room and "
            "run the same call again, it only seals."
        ) from error
    journal.discard()


@contextmanager
def _quiet_zarr() -> Iterator[None]:
    """Consolidated metadata are what makes a plain xarray.open_zarr quiet; writing them warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


def _require_all(journal: Journal, description: dict[str, Any]) -> None:
    names = [row["matrix"] for row in description["matrices"]]
    missing = set(names) - journal.present(names)
    if not missing:
        return
    some = ", ".join([name for name in names if name in missing][:5])
    lacking = [
        f"share {index}/{count} lacks {found}"
        for count in sorted({shard.count for shard in journal.locks.begun()})
        for index, found in sorted(_lacking(description, missing, count).items())
    ]
    raise JournalError(
        f"{len(missing)} of {len(names)} matrices are not measured yet, so {journal.folder} cannot be sealed: "
        f"{some}{' ...' if len(missing) > 5 else ''}. {'; '.join(lacking) or 'No share was begun'}. Run these again; "
        "what is finished is kept."
    )


def _lacking(description: dict[str, Any], missing: set[str], count: int) -> Counter[int]:
    rows = description["matrices"]
    shares = owners(rows, description["attrs"]["tier"], count)
    return Counter(share for row, share in zip(rows, shares, strict=True) if row["matrix"] in missing)


def _write_blocks(aside: Path, journal: Journal, content: dict[str, Any]) -> None:
    description = content["description"]
    rows = description["matrices"]
    length = block_length(journal.require(rows[0]["matrix"]).nbytes, len(rows))
    labels: list[xr.Dataset] = []
    for start in range(0, len(rows), length):
        part = {**description, "matrices": rows[start : start + length]}
        block = labelled(part, [journal.require(row["matrix"]).without_vectors() for row in part["matrices"]])
        if start == 0:
            block.attrs |= {"identity": content["identity"], "provenance": _provenance(journal)}
            _begin(aside, block, length, len(rows))
        group = zarr.open_group(os.fspath(aside), mode="r+", use_consolidated=False)
        names = [name for name, variable in block.variables.items() if "matrix" in variable.dims]
        stepped = [str(name) for name in names if "step" in block[name].dims]
        if start:
            _fill(group, block[stepped], start)
        labels.append(block.drop_vars(stepped))
    _label(group, labels)


def _provenance(journal: Journal) -> str:
    return json.dumps(joined_provenance(journal.makings()))


def _begin(aside: Path, block: xr.Dataset, length: int, n_matrices: int) -> None:
    """Write the first block as xarray does, then make room for the others."""
    chunks = {str(name): chunk_shape(v, length, n_matrices) for name, v in block.variables.items()}
    encoding = {name: {"chunks": chunk} for name, chunk in chunks.items()}
    block.to_zarr(aside, mode="w", consolidated=False, zarr_format=3, encoding=encoding)
    group = zarr.open_group(os.fspath(aside), mode="r+", use_consolidated=False)
    for name, variable in block.variables.items():
        if "matrix" in variable.dims:
            sizes = {**variable.sizes, "matrix": n_matrices}
            _array(group, str(name)).resize(tuple(sizes[dim] for dim in variable.dims))


def _fill(group: zarr.Group, block: xr.Dataset, start: int) -> None:
    """Write the figures of a later block."""
    for name, variable in block.data_vars.items():
        stop = start + variable.sizes["matrix"]
        place = tuple(slice(start, stop) if dim == "matrix" else slice(None) for dim in variable.dims)
        _array(group, str(name))[place] = variable.values


def _label(group: zarr.Group, labels: Sequence[xr.Dataset]) -> None:
    """Write the labels of all blocks at once: each is one chunk."""
    for name, variable in labels[0].variables.items():
        if "matrix" in variable.dims and len(labels) > 1:
            values = np.concatenate([np.asarray(part[name].values) for part in labels])
            _array(group, str(name))[...] = values.astype(variable.dtype)


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise StoreError(f"{name} in {group.store} is no array.")
    return found


def _write_vectors(aside: Path, journal: Journal, description: dict[str, Any]) -> None:
    left_out = set(json.loads(description["attrs"]["vectors_left_out"]))
    for row in description["matrices"]:
        if row["matrix"] not in left_out:
            _write_group(aside, journal.require(row["matrix"]), description["steps"])


def _write_group(aside: Path, record: Record, steps: list[int]) -> None:
    if record.vectors is None:
        return
    attrs = {"long_name": "Leading singular vectors of the update", "units": "1", "matrix": record.matrix}
    left, right = record.vectors.left, record.vectors.right
    group = xr.Dataset(
        {
            "left": (("step", "rows", "component"), left, attrs | {"side": "left"}),
            "right": (("step", "cols", "component"), right, attrs | {"side": "right"}),
        },
        coords={"step": np.asarray(steps, dtype=np.int64), "component": np.arange(1, left.shape[2] + 1)},
    )
    group.to_zarr(aside, group=vectors_group(record.matrix), mode="w", consolidated=False, zarr_format=3)
