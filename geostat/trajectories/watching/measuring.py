"""Measuring one checkpoint of a watched run, matrix by matrix."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.linalg import Factored, own_arithmetic
from geostat.spec import Reason
from geostat.trajectories.files import write_whole
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import DECOMPOSED, Record
from geostat.trajectories.unit import measure_step
from geostat.trajectories.watching.folder import WatchFolder
from geostat.trajectories.watching.kept import EntriesGone, Kept
from geostat.trajectories.watching.steps import KeptHistory, KeptOperands, Needs, empty_record, only

__all__ = ["Arrival", "mean_of", "measure_arrival", "measure_cells", "row"]

_INCREMENT = DECOMPOSED.index("increment")


@dataclass(frozen=True)
class Arrival:
    """A checkpoint that is measured now, and what of the past it meets.

    Attributes
    ----------
    plan : Plan
        What is measured; its only step is the checkpoint's own.
    first : int
        The first step that was measured.
    before : int or None
        The step one horizon earlier, if it was measured and is looked ahead from.
    keeps : bool
        Whether its weights are kept until the one a horizon later is measured.
    device : torch.device
        Where the arithmetic runs.
    """

    plan: Plan
    first: int
    before: int | None
    keeps: bool
    device: torch.device

    @property
    def step(self) -> int:
        """The checkpoint's own step."""
        return self.plan.steps[0]

    @property
    def local(self) -> Plan:
        """The plan at the steps that meet here: the first, the one a horizon earlier, this one."""
        steps = sorted({self.first, self.step, *(() if self.before is None else (self.before,))})
        horizon = self.step - (self.first if self.before is None else self.before)
        protocol = replace(self.plan.protocol, horizon=max(1, horizon))
        return replace(self.plan, steps=tuple(steps), protocol=protocol)


def measure_arrival(
    arrival: Arrival, ref: MatrixRef, base: Checkpoint, opened: Mapping[int, Checkpoint], folder: WatchFolder
) -> Record:
    """Measure one matrix of a checkpoint, and what an earlier one waited for; keep what later ones need.

    Parameters
    ----------
    arrival : Arrival
        The checkpoint.
    ref : MatrixRef
        The matrix.
    base : Checkpoint
        W_0.
    opened : mapping of int to Checkpoint
        The checkpoint itself, by its step.
    folder : WatchFolder
        Where it is written.

    Returns
    -------
    Record
        One row.
    """
    known = folder.record(arrival.step, ref.name)
    if known is not None:  # it was measured before the watch was stopped
        return known
    plan, needs = arrival.local, Needs(arrival.plan)
    history = KeptHistory(plan, ref, base, opened, arrival.device, folder)
    written = history.initial.certificate.method
    record = empty_record(plan, ref, history.initial_hash(), arrival.device)
    here = plan.steps.index(arrival.step)
    with own_arithmetic():
        if arrival.before is not None and needs.ahead:
            _look_ahead(arrival.before, needs, history, record, folder)
        measure_cells(history, needs.own, record, here)
        update = _touched(history.update(here), plan, ref)
    if written is not history.initial.certificate.method or folder.kept(None, ref.name) is None:
        _keep(folder, None, ref, history.initial)
    _keep(folder, arrival.step, ref, update)
    if arrival.keeps:
        folder.keep_copy(arrival.step, ref.name, history.weight(here).stored)
    found = row(record, here)
    write_whole(folder.place(arrival.step, ref.name, "record"), found.to_bytes())
    ref.advise(base, "dontneed")
    return found


def measure_cells(history: KeptHistory, names: Sequence[str], record: Record, index: int) -> None:
    """Measure some diagnostics at one step; those that need weights that are gone are undefined.

    Parameters
    ----------
    history : KeptHistory
        The matrix.
    names : sequence of str
        Diagnostics.
    record : Record
        Where the figures are written.
    index : int
        Position of the step in the history's plan.
    """
    operands = KeptOperands(history, index)
    try:
        measure_step(only(history.plan, names), record, operands, index)
    except EntriesGone:
        for name in names:
            try:
                measure_step(only(history.plan, (name,)), record, operands, index)
            except EntriesGone:
                record.values[name][index] = np.nan
                record.reasons[name][index] = Reason.checkpoint_deleted.value


def _touched(update: Factored, plan: Plan, ref: MatrixRef) -> Factored:
    """The update, with the channel that only later steps or the store will ask for."""
    wanted = ref.name in plan.vectors or any(
        "K" in spec.settings.values() and spec.tier != "elementwise" for spec in plan.specs
    )
    if wanted and not update.is_zero:
        update.channel(plan.protocol.K, "right")
    return update


def _keep(folder: WatchFolder, step: int | None, ref: MatrixRef, matrix: Factored) -> None:
    if isinstance(matrix, Kept):
        write_whole(folder.place(step, ref.name, "kept"), matrix.written())


def _look_ahead(before: int, needs: Needs, history: KeptHistory, record: Record, folder: WatchFolder) -> None:
    """Fill the cells of an earlier step that waited for this one, and write its record anew."""
    earlier = folder.record(before, record.matrix)
    if earlier is None:
        return
    index = history.plan.steps.index(before)
    measure_cells(history, needs.ahead, record, index)
    for name in needs.ahead:
        earlier.values[name] = record.values[name][index : index + 1]
        earlier.reasons[name] = record.reasons[name][index : index + 1]
    methods, residuals = earlier.methods.copy(), earlier.residuals.copy()
    methods[0, _INCREMENT] = record.methods[index, _INCREMENT]
    residuals[0, _INCREMENT] = record.residuals[index, _INCREMENT]
    patched = replace(earlier, methods=methods, residuals=residuals)
    write_whole(folder.place(before, record.matrix, "record"), patched.to_bytes())


def row(record: Record, index: int) -> Record:
    """Cut one step out of a record.

    Parameters
    ----------
    record : Record
        Over several steps.
    index : int
        Which.

    Returns
    -------
    Record
        Over one.
    """
    here = slice(index, index + 1)
    return replace(
        record,
        values={name: values[here] for name, values in record.values.items()},
        reasons={name: reasons[here] for name, reasons in record.reasons.items()},
        audit=record.audit[here],
        methods=record.methods[here],
        residuals=record.residuals[here],
    )


def mean_of(records: list[Record], name: str, weights: list[int] | None = None) -> float:
    """Mean of a diagnostic over matrices, for a line of progress.

    Parameters
    ----------
    records : list of Record
        One row each.
    name : str
        The diagnostic.
    weights : list of int, optional
        One for each record.

    Returns
    -------
    float
        NaN where it is not measured, or defined nowhere.
    """
    if not records or name not in records[0].values:
        return math.nan
    values = np.array([float(np.ravel(record.values[name])[0]) for record in records])
    there = np.isfinite(values)
    if not there.any():
        return math.nan
    return float(np.average(values[there], weights=None if weights is None else np.array(weights)[there]))
