"""One matrix at the run's start and at all its checkpoints, read and factored when asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from geostat.checkpoints import Checkpoint, MatrixRef, read_matrix
from geostat.diagnostics.settings import capped_rank
from geostat.linalg import Factored
from geostat.linalg.elementwise import expect
from geostat.linalg.memory import require_memory
from geostat.spec import OPERANDS, Reason
from geostat.trajectories.inputs import fingerprint

if TYPE_CHECKING:
    from geostat.trajectories.plans import Plan

__all__ = ["History", "Operands"]


_RANKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "initial": ("k", "r", "energy_k"),
        "updated": ("k",),
        **dict.fromkeys(("update", "first", "final", "later", "increment", "remaining"), ("K",)),
    }
)
"""Settings that say how many leading directions of an operand a diagnostic asks for."""
_UPDATES = ("update", "first", "final", "later")


class History:
    """One matrix through a run; holds W_0, the ends, and the window from t to t + h, nothing more.

    What it holds are the tensors as they are stored, views of the mapped files where it can be, and of their
    decompositions what diagnostics ask for. Each matrix of each checkpoint is read once.

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

    Raises
    ------
    InsufficientMemoryError
        If it must be decomposed and is larger than half of the free memory; nothing has been read then.
    NonFiniteError
        If W_0 holds NaN or infinity.
    """

    def __init__(
        self, plan: "Plan", ref: MatrixRef, checkpoints: Sequence[Checkpoint], device: torch.device
    ) -> None:
        self.plan = plan
        self._ref = ref
        self._base, *self._checkpoints = checkpoints
        self._device = device
        self._weights: dict[int, Factored] = {}
        self._updates: dict[int, Factored] = {}
        if device.type == "cpu" and any(spec.tier != "elementwise" for spec in plan.specs):
            require_memory(ref.name, ref.rows, ref.cols)
        self.initial = self._read(self._base, "initial")
        expect(self.initial, alphas=_several(plan.protocol.alpha))

    def _read(self, checkpoint: Checkpoint, operand: str) -> Factored:
        stored = read_matrix(checkpoint, self._ref).to(self._device)
        return Factored(stored, wanted=self._wanted(operand), whole=self._whole(operand))

    def _wanted(self, *operands: str) -> int:
        """Leading directions of an operand that the diagnostics of the plan ask for."""
        protocol, smaller = self.plan.protocol, min(self._ref.rows, self._ref.cols)
        fields = {
            field
            for spec in self.plan.specs
            for operand in set(operands) & set(spec.operands)
            for field in set(spec.settings.values()) & set(_RANKS[operand])
        }
        if "update" in operands and self._ref.name in self.plan.vectors:
            fields.add("K")
        return max(
            (
                capped_rank(smaller, each, setting=field) if field in ("k", "r") else min(smaller, int(each))
                for field in fields
                for each in _several(getattr(protocol, field))
            ),
            default=0,
        )

    def _whole(self, *operands: str) -> bool:
        """Whether every singular value of an operand will be asked for."""
        whole = {"exact": set(operands), "angles": set(operands) & {"initial", "updated"}}
        return any(whole.get(spec.tier, set()) & set(spec.operands) for spec in self.plan.specs)

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
            found = self._read(self._checkpoints[index], "updated")
            expect(found, etas=_several(self.plan.protocol.eta))
            self._weights[index] = found
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
            self._updates[index] = self.weight(index).minus(
                self.initial, wanted=self._wanted(*_UPDATES), whole=self._whole(*_UPDATES)
            )
        return self._updates[index]

    def difference(self, index: int, later: int) -> Factored:
        """What is added between two checkpoints, in float64.

        Parameters
        ----------
        index, later : int
            Positions of the two steps in the plan.

        Returns
        -------
        Factored
            W_later - W_index.
        """
        between = ("increment", "remaining")
        return self.weight(later).minus(
            self.weight(index), wanted=self._wanted(*between), whole=self._whole(*between)
        )

    def at(self, index: int) -> "Operands":
        """Return the operands at one step, forgetting what no later step needs.

        The disk is told which weight comes next.

        Parameters
        ----------
        index : int
            Position of the step in the plan.

        Returns
        -------
        Operands
            All matrices that a diagnostic may ask for.
        """
        self._forget(self._weights, [each for each in self._weights if each < index])
        self._forget(self._updates, [each for each in self._updates if 0 < each < index])
        later = self.plan.later_index(index)
        following = 1 + (index if isinstance(later, Reason) else later)
        if following < len(self._checkpoints) and following not in self._weights:
            self._ref.advise(self._checkpoints[following], "willneed")
        return Operands(self, index)

    def _forget(self, kept: dict[int, Factored], stale: Iterable[int]) -> None:
        for index in list(stale):
            del kept[index]
            self._ref.advise(self._checkpoints[index], "dontneed")

    def release(self) -> None:
        """Forget every weight, and let the system have the pages of the mapped files back."""
        self._forget(self._weights, self._weights)
        self._forget(self._updates, self._updates)
        self._ref.advise(self._base, "dontneed")


def _several(setting: Any) -> tuple[Any, ...]:
    return setting if isinstance(setting, tuple) else (setting,)


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
        return index if isinstance(index, Reason) else self._history.difference(self._index, index)

    @cached_property
    def remaining(self) -> Factored | Reason:
        """W_{t_end} - W_t; the increment itself where the horizon reaches the end."""
        if self._index == self._last:
            return Reason.no_later_checkpoint
        if self._history.plan.later_index(self._index) == self._last:
            return self.increment
        return self._history.difference(self._index, self._last)
