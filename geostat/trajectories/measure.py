"""Measure a run: plan, journal, seal."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr
from tqdm import tqdm

from geostat.checkpoints import Naming
from geostat.errors import StoreError
from geostat.protocols import Protocol
from geostat.spec import Tier
from geostat.trajectories.cost import estimate
from geostat.trajectories.engines import Engine, find_engine
from geostat.trajectories.files import local_path, require_space
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.plan import Plan
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.provenance import provenance
from geostat.trajectories.record import Record
from geostat.trajectories.schema import describe, labelled
from geostat.trajectories.store import open_trajectory, seal
from geostat.trajectories.unit import choose_device

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
    engine: str = "serial",
    workers: int | None = None,
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
        "auto", "cpu", "cuda", "cuda:1". Arithmetic is float64 everywhere.
    engine : {"serial", "processes"}
        One process, or several of one thread each. The figures are the same.
    workers : int, optional
        Number of processes.
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
        engine=engine,
        workers=workers,
        resume=resume,
        progress=progress,
    )


def run_plan(
    plan: Plan,
    *,
    store: Any = None,
    checksum: bool = False,
    device: str = "auto",
    engine: str = "serial",
    workers: int | None = None,
    resume: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    """Carry out a plan; see `measure` for the arguments.

    Parameters
    ----------
    plan : Plan
        What to measure.
    store, checksum, device, engine, workers, resume, progress
        See `measure`.

    Returns
    -------
    xarray.Dataset
        The measurement.
    """
    compute = find_engine(engine)
    if store is None:
        records = _with_bar(plan, compute(plan, list(plan.refs), device, workers), progress, 0)
        return labelled(describe(plan), list(records))
    choose_device(device)
    path = local_path(store)
    if path.exists():
        _require_replaceable(path, plan)
        if resume and not Journal(journal_path(path)).belongs_to(plan):
            return _sealed_already(path, plan)
    journal = _journal(path, plan, resume)
    try:
        _finish(journal, plan, compute, device=device, workers=workers, progress=progress)
        made = provenance(plan, device=str(choose_device(device)), engine=engine, checksum=checksum)
        seal(journal, path, made)
    finally:
        journal.release()
    return open_trajectory(path)


def _finish(
    journal: Journal, plan: Plan, compute: Engine, *, device: str, workers: int | None, progress: bool
) -> None:
    """Measure what the journal does not have yet."""
    finished = journal.finished(tuple(ref.name for ref in plan.refs))
    waiting = [ref for ref in plan.refs if ref.name not in finished]
    if waiting:
        for record in _with_bar(plan, compute(plan, waiting, device, workers), progress, len(finished)):
            journal.write(record)


def _with_bar(plan: Plan, records: Iterable[Record], show: bool, done: int) -> Iterable[Record]:
    """Count matrices, with rate and remaining time."""
    with tqdm(
        records,
        total=len(plan.refs),
        initial=done,
        unit="matrix",
        desc=f"{len(plan.steps)} checkpoints",
        disable=not show,
        file=sys.stderr,
        dynamic_ncols=True,
    ) as bar:
        yield from bar


def _sealed_already(path: Path, plan: Plan) -> xr.Dataset:
    dataset = open_trajectory(path)
    if dataset.attrs.get("identity") != plan.identity:
        raise StoreError(
            f"{path} holds another measurement: {_differences(plan, dataset)} differ from what is asked now. "
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


def _journal(path: Path, plan: Plan, resume: bool) -> Journal:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {path.parent}: {error.strerror}. Choose another place.") from error
    require_space(path.parent, 2 * estimate(plan).disk_bytes)
    return Journal.start(journal_path(path), plan, describe(plan), resume=resume)
