"""One matrix through a watched run: weights and decompositions from wherever they still are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from geostat.checkpoints import Checkpoint, MatrixRef, read_matrix
from geostat.linalg import Factored
from geostat.linalg.elementwise import expect
from geostat.linalg.entries import Entries
from geostat.spec import Diagnostic, Reason
from geostat.trajectories.history import History, Operands
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import DECOMPOSED, DEVICES, Record
from geostat.trajectories.sweep import sweep_shape
from geostat.trajectories.watching.folder import WatchFolder
from geostat.trajectories.watching.kept import EntriesGone, Kept

__all__ = ["KeptHistory", "KeptOperands", "Needs", "empty_record", "only"]


class Needs:
    """Diagnostics of a plan by when they can be known.

    Parameters
    ----------
    plan : Plan
        What is measured.

    Attributes
    ----------
    own : tuple of str
        At the checkpoint itself.
    ahead : tuple of str
        One horizon later.
    end : tuple of str
        At the end of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self.end = tuple(spec.name for spec in plan.specs if {"final", "remaining"} & set(spec.operands))
        self.ahead = tuple(s.name for s in plan.specs if s.looks_ahead and s.name not in self.end)
        self.own = tuple(name for name in plan.diagnostics if name not in (*self.end, *self.ahead))


def only(plan: Plan, names: Sequence[str]) -> Plan:
    """Return a plan with some of its diagnostics.

    Parameters
    ----------
    plan : Plan
        A measurement.
    names : sequence of str
        Which.

    Returns
    -------
    Plan
        The same but for them.
    """
    return replace(plan, diagnostics=tuple(names))


def empty_record(plan: Plan, ref: MatrixRef, initial_hash: str, device: torch.device) -> Record:
    """Record without a value, whose cells wait for checkpoints.

    Parameters
    ----------
    plan : Plan
        What is measured.
    ref : MatrixRef
        The matrix.
    initial_hash : str
        Fingerprint of W_0.
    device : torch.device
        Where it is computed.

    Returns
    -------
    Record
        One row for each step of the plan.
    """
    steps = len(plan.steps)

    def shape(spec: Diagnostic) -> tuple[int, ...]:
        return (steps, *sweep_shape(spec, plan.protocol), *plan.own_shape(spec))

    return Record(
        matrix=ref.name,
        values={spec.name: np.full(shape(spec), np.nan) for spec in plan.specs},
        reasons={
            name: np.full(steps, Reason.not_known_yet.value, dtype=np.int8) for name in plan.diagnostics
        },
        audit=np.zeros(steps, dtype=np.int8),
        used=plan.used(ref),
        initial_hash=initial_hash,
        methods=np.zeros((steps, len(DECOMPOSED)), dtype=np.int8),
        residuals=np.zeros((steps, len(DECOMPOSED)), dtype=np.float32),
        computed_on=device.type if device.type in DEVICES else "other",
    )


class KeptHistory(History):
    """One matrix at the start and at some checkpoints, of which some may be there no more.

    Weights come from checkpoints, or from kept copies; decompositions are taken up where they were kept.

    Parameters
    ----------
    plan : Plan
        What is measured, at the steps in question.
    ref : MatrixRef
        Which matrix.
    base : Checkpoint
        W_0.
    checkpoints : mapping of int to Checkpoint
        Step -> the open checkpoint, where it is there.
    device : torch.device
        Where the arithmetic runs.
    folder : WatchFolder
        What is kept.
    """

    def __init__(
        self,
        plan: Plan,
        ref: MatrixRef,
        base: Checkpoint,
        checkpoints: Mapping[int, Checkpoint],
        device: torch.device,
        folder: WatchFolder,
    ) -> None:
        self._folder = folder
        self._open = checkpoints
        super().__init__(plan, ref, (base,), device)
        content = folder.kept(None, ref.name)
        if content is not None and isinstance(self.initial, Kept):
            self.initial.take_up(content)

    def _read(self, checkpoint: Checkpoint, operand: str) -> Kept:
        stored = read_matrix(checkpoint, self._ref).to(self._device)
        return Kept(stored, wanted=self._wanted(operand), whole=self._whole(operand))

    def weight(self, index: int) -> Factored:
        """W at a checkpoint.

        Parameters
        ----------
        index : int
            Position of the step in the plan.

        Returns
        -------
        Factored
            Shape (rows, cols).

        Raises
        ------
        EntriesGone
            If neither the checkpoint nor a copy is there.
        """
        if index not in self._weights:
            found = self._found(self.plan.steps[index])
            protocol = self.plan.protocol
            expect(found, etas=protocol.eta if isinstance(protocol.eta, tuple) else (protocol.eta,))
            self._weights[index] = found
        return self._weights[index]

    def _found(self, step: int) -> Kept:
        copy = self._folder.copied(step, self._ref.name)
        if copy is not None:
            wanted, whole = self._wanted("updated"), self._whole("updated")
            return Kept(copy.to(self._device), wanted=wanted, whole=whole)
        if step not in self._open:
            raise EntriesGone
        return self._read(self._open[step], "updated")

    def update(self, index: int) -> Factored:
        """Cumulative update at a checkpoint; what was kept of it where its weight is gone.

        Parameters
        ----------
        index : int
            Position of the step in the plan.

        Returns
        -------
        Factored
            W_t - W_0.
        """
        if index not in self._updates:
            self._updates[index] = self._kept_update(index)
        return self._updates[index]

    def _kept_update(self, index: int) -> Kept:
        content = self._folder.kept(self.plan.steps[index], self._ref.name)
        if content is not None:
            shape = (self._ref.rows, self._ref.cols)
            return Kept.without_entries(shape, self._device, content, lambda: self._difference(index))
        names, entries = ("update", "first", "final", "later"), self._difference(index)
        wanted, whole = self._wanted(*names), self._whole(*names)
        return Kept(entries.given, less=entries.less, wanted=wanted, whole=whole)

    def _difference(self, index: int) -> Entries:
        return Entries(self.weight(index).stored, self.initial.stored)

    def forget(self, index: int) -> None:
        """Let go of what is held of one step.

        Parameters
        ----------
        index : int
            Position of the step in the plan.
        """
        self._weights.pop(index, None)
        self._updates.pop(index, None)

    def holds(self, index: int) -> bool:
        """Whether the weight of a step was asked for.

        Parameters
        ----------
        index : int
            Position of the step in the plan.

        Returns
        -------
        bool
            False where it would have to be read.
        """
        return index in self._weights


class KeptOperands(Operands):
    """The matrices at one step of a watched run; looking at what was decomposed reads no weight.

    Parameters
    ----------
    history : KeptHistory
        The matrix through the run.
    index : int
        Position of the step in the plan.
    """

    def __init__(self, history: KeptHistory, index: int) -> None:
        super().__init__(history, index)
        self._holds = history.holds

    def made(self, name: str) -> Factored | None:
        """Return an operand that has been asked for already.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Factored or None
            None where it was not.
        """
        if name == "updated" and not self._holds(self._index):
            return None
        return super().made(name)
