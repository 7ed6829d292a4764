"""Measure a run: plan, journal, seal."""

import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from geostat.checkpoints import MatrixRef, Naming
from geostat.checkpoints.mapped import IO
from geostat.errors import ProtocolError, StoreError
from geostat.protocols import Protocol
from geostat.spec import Tier
from geostat.trajectories.cost import estimate
from geostat.trajectories.engines import Job, at_once, find_engine, require_workers
from geostat.trajectories.engines.devices import devices_here
from geostat.trajectories.files import local_path, require_space
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.plans import Plan
from geostat.trajectories.progress import followed
from geostat.trajectories.provenance import provenance
from geostat.trajectories.record import Record
from geostat.trajectories.schema import describe, labelled
from geostat.trajectories.sealing import write_store
from geostat.trajectories.shards import Shard, owners
from geostat.trajectories.store import open_trajectory

__all__ = ["measure", "run_plan"]


def measure(
    base: Any,
    checkpoints: Any,
    *,
    store: Any = None,
    matrices: Any = None,
    protocol: str | Protocol = "shen2026",
    diagnostics: Iterable[str] | None = None,
    vectors: bool | int | str = "auto",
    training_steps: int | None = None,
    naming: Naming | None = None,
    strict: bool = True,
    trust: bool = False,
    checksum: bool = False,
    tier: Tier = "exact",
    device: str = "auto",
    io: IO = "mmap",
    engine: str = "serial",
    workers: int | None = None,
    shard: str | None = None,
    resume: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    """Geometry of a run: every diagnostic of every matrix at every checkpoint.

    Each finished matrix is written to a journal beside the store, so that a measurement that was
    stopped or killed goes on where it was; the store itself appears once it is whole. A second call
    with the same arguments opens it and computes nothing.

    Parameters
    ----------
    base : path, state dict or module
        The weights at the run's start, W_0.
    checkpoints : path, glob, list or mapping of step to path
        The run's checkpoints: ``"runs/opd-0/step-*"``, a folder of them, or ``{100: "a.pt"}``.
    store : path, optional
        Where the labelled store goes, by habit ``run.zarr``. None returns the Dataset only.
    matrices : str, list of str or callable, optional
        "attention" (what the default protocol says), "linear", "all", a glob, several, or a predicate.
    protocol : str or Protocol
        The convention: "shen2026", "zhu2025", "yu2026", "mukherjee2025", or your own.
    diagnostics : iterable of str, optional
        Names of `geostat.DIAGNOSTICS`; by default all but those on request.
    vectors : "auto", bool or int
        Leading singular vectors in the store: up to 1 GiB, all, none, or a budget in bytes.
    training_steps : int, optional
        Length of the whole training, for the progress coordinate; the last step by default.
    naming : callable or mapping, optional
        Layer, module and expert of tensors whose names are not known, see `geostat.list_matrices`.
    strict : bool
        Whether a matrix without partner in some checkpoint is an error. Otherwise it is left out, with
        a warning, and the store's attribute `matrices_left_out` names it.
    trust : bool
        Whether formats that need unpickling may be opened. Never needed for safetensors.
    checksum : bool
        Whether the SHA-256 of every input goes into the store's provenance.
    tier : {"exact", "angles", "top", "elementwise"}
        What it may cost, dearest first: "elementwise" gives sparsity and norms in one pass over the entries,
        "top" the leading directions of updates as well, "angles" rotations too, "exact" every spectrum.
    device : str
        "auto", "cpu", "cuda", "cuda:1". Arithmetic is float64 everywhere. Where a device fails or its
        memory is too small, the matrix is measured on the CPU, with a warning; `computed_on` keeps it.
    io : {"mmap", "read"}
        How weights are read: mapped into memory, or read into buffers, for disks on a network.
    engine : {"serial", "processes", "dask"} or address
        One process; several of one thread each, on accelerators one for each; a dask cluster started here;
        or the cluster whose scheduler listens at "tcp://host:8786". The store is the same.
    workers : int, optional
        Number of processes.
    shard : str, optional
        "2/3" measures the second of three shares of about equal cost, into one journal with the others, on
        any machine that sees the disk. Nothing is sealed: `geostat.seal` joins the shares. The Dataset
        returned holds this share, and its attribute `missing` names what the others still owe.
    resume : bool
        Whether to go on from a journal or store that is there. Otherwise it is dropped and replaced.
    progress : bool
        Whether to show a progress bar on standard error.

    Returns
    -------
    xarray.Dataset
        Dims `step` and `matrix`, and those of swept settings (`side`, `alpha`, ...). Undefined cells
        are NaN, and `reason` says why.

    Raises
    ------
    CheckpointError
        If checkpoints are missing, unreadable, or do not fit together.
    ProtocolError
        If a setting is not known.
    EngineError
        If workers cannot be had, or a matrix costs its worker's life twice; all others are kept.
    JournalError
        If the store or its journal belongs to another measurement.
    StoreError
        If the store cannot be written.

    Examples
    --------
    >>> import torch
    >>> import geostat as gs
    >>> start = {"blocks.0.attention.query.weight": torch.eye(4)}
    >>> end = {"blocks.0.attention.query.weight": torch.diag(torch.tensor([2.0, 1.0, 1.0, 1.0]))}
    >>> run = gs.measure(start, {100: end}, progress=False)
    >>> run.update_sparsity.values
    array([[0.9375]])
    >>> run.stable_rank.dims
    ('step', 'matrix')
    """
    asked = make_plan(
        base,
        checkpoints,
        matrices=matrices,
        protocol=protocol,
        diagnostics=diagnostics,
        vectors=vectors if store is not None else False,
        training_steps=training_steps,
        naming=naming,
        strict=strict,
        trust=trust,
        tier=tier,
    )
    return run_plan(
        asked,
        store=store,
        checksum=checksum,
        device=device,
        io=io,
        engine=engine,
        workers=workers,
        shard=shard,
        resume=resume,
        progress=progress,
    )


def run_plan(
    plan: Plan,
    *,
    store: Any = None,
    checksum: bool = False,
    device: str = "auto",
    io: IO = "mmap",
    engine: str = "serial",
    workers: int | None = None,
    shard: str | None = None,
    resume: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    """Carry out a plan; see `measure` for the arguments.

    Parameters
    ----------
    plan : Plan
        What to measure.
    store, checksum, device, io, engine, workers, shard, resume, progress
        See `measure`.

    Returns
    -------
    xarray.Dataset
        The measurement.
    """
    compute = find_engine(engine)
    require_workers(workers)
    share = None if shard is None else Shard.parse(shard)
    job = Job(plan, device, io)
    if store is None:
        _require_store_for(share)
        made = compute(job, plan.refs, workers)
        records = followed(made, plan.refs, plan, workers=at_once(engine, workers), show=progress)
        return labelled(describe(plan), list(records))
    devices = ", ".join(devices_here(device))
    path = local_path(store)
    if path.exists():
        _require_replaceable(path, plan)
        if resume and not Journal(journal_path(path)).belongs_to(plan):
            return _sealed_already(path, plan)
    journal = _journal(path, plan, resume, share)
    try:
        measured = partial(compute, job, workers=workers)
        show = partial(followed, plan=plan, workers=at_once(engine, workers), show=progress)
        _finish(journal, plan, measured, show, share, resume=resume)
        journal.note_making(provenance(plan, device=devices, engine=engine, checksum=checksum), share)
        if share is not None:
            return _so_far(journal, plan, share)
        write_store(journal, path)
    finally:
        journal.release()
    return open_trajectory(path)


def _require_store_for(share: Shard | None) -> None:
    if share is not None:
        raise ProtocolError(f"shard='{share}' needs a store in which the shares meet. Pass store='run.zarr'.")


def _finish(
    journal: Journal,
    plan: Plan,
    compute: Callable[[list[MatrixRef]], Iterable[Record]],
    show: Callable[..., Iterable[Record]],
    share: Shard | None,
    *,
    resume: bool,
) -> None:
    """Measure what the journal does not have yet."""
    mine = _share_of(plan, share)
    if share is not None and not resume:
        journal.drop(ref.name for ref in mine)
    finished = journal.finished(ref.name for ref in mine)
    waiting = [ref for ref in mine if ref.name not in finished]
    if waiting:
        for record in show(compute(waiting), mine, finished=finished):
            journal.write(record)


def _share_of(plan: Plan, share: Shard | None) -> list[MatrixRef]:
    if share is None:
        return list(plan.refs)
    shapes = [{"rows": ref.rows, "cols": ref.cols} for ref in plan.refs]
    owned = owners(shapes, plan.tier, share.count)
    return [ref for ref, owner in zip(plan.refs, owned, strict=True) if owner == share.index]


def _so_far(journal: Journal, plan: Plan, share: Shard) -> xr.Dataset:
    """The share's own matrices, and in attribute `missing` what other shares still owe."""
    names = [ref.name for ref in plan.refs]
    there = journal.present(names)
    records = [record.without_vectors() for record in journal.records(r.name for r in _share_of(plan, share))]
    dataset = labelled(describe(plan), records)
    dataset.attrs |= {"shard": str(share), "missing": json.dumps([n for n in names if n not in there])}
    return dataset


def _sealed_already(path: Path, plan: Plan) -> xr.Dataset:
    dataset = open_trajectory(path)
    if dataset.attrs.get("identity") != plan.identity:
        raise StoreError(
            f"{path} holds another measurement: {_differences(plan, dataset)} other than asked now. "
            "Give this one another store, or pass resume=False (--no-resume) to replace it."
        )
    return dataset


def _differences(plan: Plan, dataset: xr.Dataset) -> str:
    return plan.differences(json.loads(dataset.attrs.get("fingerprints", "{}")))


def _require_replaceable(path: Path, plan: Plan) -> None:
    """Never put a store where something else stands, the weights above all."""
    try:
        open_trajectory(path)
    except StoreError as error:
        raise StoreError(
            f"something stands at {path} already, and it is no store of geostat's: it is not replaced. "
            "Choose another place for the store."
        ) from error
    for entry in plan.inputs:
        if entry.content is None and path in Path(os.path.realpath(entry.path)).parents:
            raise StoreError(f"{path} holds the weights {entry.path}. Choose another place for the store.")


def _journal(path: Path, plan: Plan, resume: bool, share: Shard | None) -> Journal:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {path.parent}: {error.strerror}. Choose another place.") from error
    require_space(path.parent, 2 * estimate(plan).disk_bytes)
    return Journal.start(journal_path(path), plan, describe(plan), resume=resume, shard=share)
