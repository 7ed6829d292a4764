"""Twins of a branch on disk: one small record for each, written when it has ended.

twins/opd-0/
    free.json
    channel-16.json
    ...
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from geostat.errors import StoreError
from geostat.lab.arms import Arm
from geostat.lab.branches import BranchTask
from geostat.lab.directions import activation_directions
from geostat.lab.evaluation import Accuracy, evaluate
from geostat.lab.halting import continued, halted
from geostat.lab.problems import evaluation_problems
from geostat.linalg import subspace_similarity
from geostat.training.channels import Channel

__all__ = ["TWINS", "Twin", "TwinTask", "activation_overlap", "read_twin", "write_twin"]

TWINS = "twins"


@dataclass(frozen=True)
class Twin:
    """How one continuation ended.

    Attributes
    ----------
    arm : Arm
        Where it could move.
    step, steps : int
        When the twins parted, and when they ended.
    width : int
        Of the model: the directions of its inputs, of which a channel takes some.
    before, parted, end : Accuracy
        At the start of the branch, at the parting, and at the end.
    kept : float or None
        Mean over matrices of the share of the gradients' (or updates') energy that was inside; None where free.
    leak : float or None
        Mean over matrices of the share of the movement's norm that lies outside all the same.
    activation_overlap : float or None
        Mean over matrices of the similarity of its directions of inputs with those along which the inputs had most
        energy; None where it has no such directions.
    """

    arm: Arm
    step: int
    steps: int
    width: int
    before: Accuracy
    parted: Accuracy
    end: Accuracy
    kept: float | None = None
    leak: float | None = None
    activation_overlap: float | None = None


@dataclass(frozen=True)
class TwinTask:
    """All twins of one branch: what is there is kept, and the run halted again only for the rest.

    Attributes
    ----------
    branch : BranchTask
        The run that they continue.
    step : int
        When they part.
    arms : tuple of Arm
        Where they may move.
    """

    branch: BranchTask
    step: int
    arms: tuple[Arm, ...]

    @property
    def name(self) -> str:
        """Folder of the records, in the study's."""
        return f"{TWINS}/{self.branch.name}-at-{self.step}"

    @property
    def out(self) -> Path:
        """Folder of the study."""
        return self.branch.out

    @property
    def start(self) -> str | None:
        """Branch that has to be there before."""
        return self.branch.start

    @property
    def missing(self) -> tuple[Arm, ...]:
        """Arms without a record."""
        return tuple(arm for arm in self.arms if not self.record(arm).is_file())

    @property
    def done(self) -> bool:
        """Whether every arm has its record."""
        return not self.missing

    @property
    def steps(self) -> int:
        """Training steps of all arms."""
        return self.step + (self.branch.recipe.training.steps - self.step) * len(self.arms)

    def record(self, arm: Arm) -> Path:
        """File of one twin."""
        return self.out / self.name / f"{arm.name}.json"

    def run(self, on_step: Callable[[int], None]) -> None:
        """Train what is missing."""
        missing = self.missing
        if not missing:
            return
        problems = evaluation_problems(self.branch.problems)
        state = halted(self.branch, self.step, on_step)
        before, parted = (evaluate(each, problems) for each in (state.start, state.model))
        steps, width = self.branch.steps, self.branch.model.width
        for count, arm in enumerate(missing):
            earlier = (len(self.arms) - len(missing) + count) * (steps - self.step)
            model, report = continued(state, arm, partial(_shifted, on_step, earlier))
            kept, leak = (None if report is None else float(report[each].mean()) for each in ("kept", "leak"))
            channels = {} if arm.kind == "free" else state.channels(arm)
            end, overlap = evaluate(model, problems), activation_overlap(arm, channels, state.activations)
            record = Twin(arm, self.step, steps, width, before, parted, end, kept, leak, overlap)
            write_twin(self.record(arm), record)


def _shifted(on_step: Callable[[int], None], earlier: int, step: int) -> None:
    on_step(earlier + step)


def activation_overlap(
    arm: Arm, channels: Mapping[str, Channel], activations: Mapping[str, Tensor]
) -> float | None:
    """Similarity of an arm's directions of inputs with those along which the inputs had most energy.

    Parameters
    ----------
    arm : Arm
        Which.
    channels : mapping of str to Channel
        Its channels.
    activations : mapping of str to torch.Tensor
        By matrix, (n, n) second moments of its inputs; the others are left out.

    Returns
    -------
    float or None
        Mean over matrices; None where there is nothing to compare.
    """
    if arm.kind == "free" or arm.side == "left" or not activations:
        return None
    inputs = activation_directions(activations, arm.K)
    return fmean(
        subspace_similarity(channel.right.double(), inputs[name])
        for name, channel in channels.items()
        if channel.right is not None and name in inputs
    )


def write_twin(path: Path, twin: Twin) -> None:
    """Write one record, whole or not at all.

    Parameters
    ----------
    path : Path
        JSON file.
    twin : Twin
        What.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(asdict(twin), indent=2) + "\n")
    aside.rename(path)


def read_twin(path: Path) -> Twin:
    """Read one record.

    Parameters
    ----------
    path : Path
        Of `TwinTask.record`.

    Returns
    -------
    Twin
        What it holds.

    Raises
    ------
    StoreError
        If the file is no such record.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        found |= {name: Accuracy(**found[name]) for name in ("before", "parted", "end")}
        return Twin(**{**found, "arm": Arm(**found["arm"])})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{path} was expected to be the record of a twin, but does not read as one ({error}). Remove it, and call "
            "again to train that twin anew."
        ) from error
