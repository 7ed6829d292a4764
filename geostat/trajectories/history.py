"""One matrix at the run's start and at all its checkpoints, read and factored when asked for."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from geostat.checkpoints import Checkpoint, MatrixRef, read_matrix
from geostat.linalg import Factored
from geostat.spec import OPERANDS, Reason
from geostat.trajectories.inputs import fingerprint

if TYPE_CHECKING:
    from geostat.trajectories.plan import Plan

__all__ = ["History", "Operands"]


class History:
    """One matrix through a run; holds W_0, the ends, and the window from t to t + h, nothing more.

    Parameters
    ----------
    plan : Plan
        What is measured.
    ref : MatrixRef
        Which matrix.
    checkpoints : sequence of Checkpoint
        The open base, then one per step.
    device : torch.device
        Where the arithmetic runs.
    """

    def __init__(
        self, plan: "Plan", ref: MatrixRef, checkpoints: list[Checkpoint], device: torch.device
    ) -> None:
        self.plan = plan
        self._ref = ref
        self._base, *self._checkpoints = checkpoints
        self._device = device
        self._weights: dict[int, Factored] = {}
        self._updates: dict[int, Factored] = {}
        self.initial = self._read(self._base)

    def _read(self, checkpoint: Checkpoint) -> Factored:
        return Factored(read_matrix(checkpoint, self._ref).to(self._device))

    def initial_hash(self) -> str:
        """Fingerprint of W_0: shape, dtype and bytes.

        Returns
        -------
        str
            16 hex digits.
        """
        return fingerprint(self.initial.stored)

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
        """
        if index not in self._weights:
            self._weights[index] = self._read(self._checkpoints[index])
        return self._weights[index]

    def update(self, index: int) -> Factored:
        """Cumulative update at a checkpoint, in float64.

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
            self._updates[index] = self.weight(index).minus(self.initial)
        return self._updates[index]

    def at(self, index: int) -> "Operands":
        """Return the operands at one step, forgetting what no later step needs.

        Parameters
        ----------
        index : int
            Position of the step in the plan.

        Returns
        -------
        Operands
            All matrices that a diagnostic may ask for.
        """
        needed: set[int | Reason] = {0, len(self._checkpoints) - 1, index, self.plan.later_index(index)}
        for cache in (self._weights, self._updates):
            for stale in set(cache) - needed:
                del cache[stale]
        return Operands(self, index)


class Operands(Mapping[str, Factored | Reason]):
    """The matrices at one step by operand name; absent ones are the reason for their absence.

    Parameters
    ----------
    history : History
        The matrix through the run.
    index : int
        Position of the step in the plan.
    """

    def __init__(self, history: History, index: int) -> None:
        self._history = history
        self._index = index
        self._last = len(history.plan.steps) - 1

    def __getitem__(self, name: str) -> Factored | Reason:
        """Return the operand, or why there is none."""
        if name not in OPERANDS:
            raise KeyError(name)
        found: Factored | Reason = getattr(self, name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the operands' names."""
        return iter(OPERANDS)

    def __len__(self) -> int:
        """Return the number of operands."""
        return len(OPERANDS)

    def made(self, name: str) -> Factored | None:
        """Return an operand that has been asked for already; None where it was not, or does not exist.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Factored or None
            The matrix, with what is known of its decomposition.
        """
        if name in ("increment", "remaining") and name not in self.__dict__:
            return None
        found = self[name]
        return found if isinstance(found, Factored) else None

    @property
    def initial(self) -> Factored:
        """W_0."""
        return self._history.initial

    @property
    def updated(self) -> Factored:
        """W_t."""
        return self._history.weight(self._index)

    @property
    def update(self) -> Factored:
        """W_t - W_0."""
        return self._history.update(self._index)

    @property
    def first(self) -> Factored:
        """The first cumulative update."""
        return self._history.update(0)

    @property
    def final(self) -> Factored:
        """The last cumulative update."""
        return self._history.update(self._last)

    @property
    def later(self) -> Factored | Reason:
        """The cumulative update one horizon later."""
        index = self._history.plan.later_index(self._index)
        return index if isinstance(index, Reason) else self._history.update(index)

    @cached_property
    def increment(self) -> Factored | Reason:
        """W_{t+h} - W_t."""
        index = self._history.plan.later_index(self._index)
        return index if isinstance(index, Reason) else self._difference_to(index)

    @cached_property
    def remaining(self) -> Factored | Reason:
        """W_{t_end} - W_t; the increment itself where the horizon reaches the end."""
        if self._index == self._last:
            return Reason.no_later_checkpoint
        if self._history.plan.later_index(self._index) == self._last:
            return self.increment
        return self._difference_to(self._last)

    def _difference_to(self, index: int) -> Factored:
        return self._history.weight(index).minus(self._history.weight(self._index))
