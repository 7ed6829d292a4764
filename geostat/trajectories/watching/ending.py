"""From a watch to a sealed store: what only the end makes known, and the same store as `measure` writes."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geostat.checkpoints import Checkpoint, MatrixRef, open_checkpoint
from geostat.errors import GeostatError
from geostat.linalg import own_arithmetic
from geostat.spec import Reason
from geostat.trajectories.inputs import InputFile
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.planning import within_budget
from geostat.trajectories.plans import Plan
from geostat.trajectories.provenance import provenance
from geostat.trajectories.record import DECOMPOSED, Record, Vectors
from geostat.trajectories.schema import describe
from geostat.trajectories.sealing import write_store
from geostat.trajectories.watching.folder import WatchFolder, joined
from geostat.trajectories.watching.measuring import measure_cells
from geostat.trajectories.watching.steps import KeptHistory, Needs

__all__ = ["plan_so_far", "seal_watch"]

_AT_END = [DECOMPOSED.index("increment"), DECOMPOSED.index("remaining")]


def plan_so_far(
    plan: Plan, steps: Mapping[int, dict[str, Any]], training_steps: int | None, vectors: bool | int | str
) -> Plan:
    """Plan of everything that was measured: the one that `geostat.plan` makes of the same files.

    Parameters
    ----------
    plan : Plan
        That of any one checkpoint.
    steps : mapping of int to dict
        What `WatchFolder.finished` returned.
    training_steps : int, optional
        Length of training; the last step by default.
    vectors : "auto", bool or int
        See `geostat.measure`.

    Returns
    -------
    Plan
        Over all steps.
    """
    common = set.intersection(*(set(told["matrices"]) for told in steps.values()))
    refs = tuple(ref for ref in plan.refs if ref.name in common)
    storages = {told["storage"] for told in steps.values()}
    missing = dict.fromkeys(name for told in steps.values() for name in told["missing"])
    inputs = [entry for entry in plan.inputs if entry.step == 0]
    inputs += [InputFile(**entry) for told in steps.values() for entry in told["inputs"]]
    return replace(
        plan,
        checkpoints=(plan.checkpoints[0], *(told["path"] for told in steps.values())),
        steps=tuple(steps),
        refs=refs,
        training_steps=max(1, *steps, training_steps or 1),
        storage=storages.pop() if len(storages) == 1 else "mixed",
        missing=tuple(missing),
        inputs=tuple(inputs),
        vectors=within_budget(
            refs, len(steps), plan.protocol.K, vectors if plan.tier != "elementwise" else False
        ),
    )


def seal_watch(plan: Plan, folder: WatchFolder, store: Path, device: torch.device) -> int:
    """Measure what the end makes known, and seal the store.

    Parameters
    ----------
    plan : Plan
        From `plan_so_far`.
    folder : WatchFolder
        What was measured.
    store : Path
        Where the store shall stand.
    device : torch.device
        Where the arithmetic runs.

    Returns
    -------
    int
        Number of cells that stay undefined because a checkpoint was deleted.
    """
    lost = 0
    with _still_there(plan) as opened:
        plan = _without_deleted(plan, opened)
        journal = Journal.start(journal_path(store), plan, describe(plan), resume=False)
        try:
            for ref in plan.refs:
                record = _whole(plan, ref, opened, folder, device)
                lost += sum(
                    int((r == Reason.checkpoint_deleted.value).sum()) for r in record.reasons.values()
                )
                journal.write(record)
            journal.note_making(provenance(plan, device=str(device), engine="watch", checksum=False))
            write_store(journal, store)
        finally:
            journal.release()
    folder.remove()
    return lost


def _without_deleted(plan: Plan, opened: Mapping[int, Checkpoint]) -> Plan:
    """Say of inputs that they were deleted, where figures lack for it: that store is not the one of the whole run."""
    if not any("remaining" in spec.operands for spec in plan.specs):
        return plan
    inputs = [
        e if e.step in opened or not e.step else replace(e, version=f"{e.version}, deleted before the end")
        for e in plan.inputs
    ]
    return replace(plan, inputs=tuple(inputs))


@contextmanager
def _still_there(plan: Plan) -> Iterator[dict[int, Checkpoint]]:
    """Base (as step -1) and those checkpoints whose files are what they were when they were measured."""
    with ExitStack() as stack:
        opened = {-1: stack.enter_context(open_checkpoint(plan.checkpoints[0], trust=plan.trust, io="read"))}
        for step, source in zip(plan.steps, plan.checkpoints[1:], strict=True):
            try:
                checkpoint = open_checkpoint(source, trust=plan.trust, io="read")
                found = [(path, size, checkpoint.version_of(path)) for path, size in checkpoint.files]
            except (GeostatError, OSError):
                continue
            if found == [(e.path, e.size, e.version) for e in plan.inputs if e.step == step]:
                opened[step] = stack.enter_context(checkpoint)
        yield opened


def _whole(
    plan: Plan, ref: MatrixRef, opened: dict[int, Checkpoint], folder: WatchFolder, device: torch.device
) -> Record:
    """One matrix over all steps, with what the end makes known."""
    rows = [folder.record(step, ref.name) for step in plan.steps]
    record = joined([each for each in rows if each is not None])
    record = replace(record, values={name: values.copy() for name, values in record.values.items()})
    history = KeptHistory(plan, ref, opened[-1], opened, device, folder)
    with own_arithmetic():
        _fill_end(history, record)
        _settle_ahead(plan, record)
        vectors = _vectors(history, ref) if ref.name in plan.vectors else None
    ref.advise(opened[-1], "dontneed")
    return replace(record, vectors=vectors)


def _fill_end(history: KeptHistory, record: Record) -> None:
    names = Needs(history.plan).end
    if not names:
        return
    last = len(history.plan.steps) - 1
    for index in range(last + 1):
        methods, residuals = record.methods[index].copy(), record.residuals[index].copy()
        measure_cells(history, names, record, index)
        untouched = [place for place in range(len(DECOMPOSED)) if place not in _AT_END]
        for place in untouched + [each for each in _AT_END if not record.methods[index, each]]:
            record.methods[index, place], record.residuals[index, place] = methods[place], residuals[place]
        if index < last:
            history.forget(index)


def _settle_ahead(plan: Plan, record: Record) -> None:
    """Cells that wait for a checkpoint one horizon later, now that no other will come."""
    increment = DECOMPOSED.index("increment")
    for index in range(len(plan.steps)):
        later = plan.later_index(index)
        for name in Needs(plan).ahead:
            waits = record.reasons[name][index] == Reason.not_known_yet.value
            if isinstance(later, int) and not waits:
                continue
            reason = later if isinstance(later, Reason) else Reason.checkpoint_deleted
            record.values[name][index] = math.nan
            record.reasons[name][index] = reason.value
        if isinstance(later, Reason):
            record.methods[index, increment] = record.residuals[index, increment] = 0


def _vectors(history: KeptHistory, ref: MatrixRef) -> Vectors:
    steps, K = len(history.plan.steps), history.plan.protocol.K
    found = Vectors(
        np.full((steps, ref.rows, K), np.nan, dtype=np.float32),
        np.full((steps, ref.cols, K), np.nan, dtype=np.float32),
    )
    for index in range(steps):
        update = history.update(index)
        if not update.is_zero:
            for side, target in (("left", found.left), ("right", found.right)):
                basis = update.channel(K, side).cpu().numpy()  # type: ignore[arg-type]
                target[index, :, : basis.shape[1]] = basis
        history.forget(index)
    return found
