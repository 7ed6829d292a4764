"""What every engine computes: one matrix of a plan, on one device."""

import warnings
from dataclasses import dataclass

from geostat.checkpoints import Checkpoint, MatrixRef, open_checkpoint, prefetch
from geostat.checkpoints.mapped import IO
from geostat.linalg import using
from geostat.trajectories.engines.devices import with_fallback
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import Record
from geostat.trajectories.unit import measure_matrix

__all__ = ["Job", "Outcome"]

Caught = tuple[str, type[Warning]]
"""A warning's text and category."""


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back.

    Attributes
    ----------
    record : Record
        The measurement of one matrix.
    caught : tuple of (str, type)
        Warnings given on the way, told again where the user sees them.
    """

    record: Record
    caught: tuple[Caught, ...] = ()

    def told(self) -> Record:
        """Give the warnings again, and return the record.

        Returns
        -------
        Record
            The measurement.
        """
        for message, category in self.caught:
            warnings.warn(message, category, stacklevel=3)
        return self.record


@dataclass(frozen=True)
class Job:
    """A plan and how to carry it out; the same wherever it is carried.

    Attributes
    ----------
    plan : Plan
        What is measured.
    device : str
        "auto", "cpu", "cuda", "cuda:1".
    io : {"mmap", "read"}
        How weights are read.
    """

    plan: Plan
    device: str = "auto"
    io: IO = "mmap"

    def open(self) -> list[Checkpoint]:
        """Open the base and every checkpoint, lazily.

        Returns
        -------
        list of Checkpoint
            The base first.
        """
        return [
            open_checkpoint(source, trust=self.plan.trust, io=self.io) for source in self.plan.checkpoints
        ]

    def expect(self, ref: MatrixRef | None, checkpoints: list[Checkpoint]) -> None:
        """Have the disk read what a later matrix needs first, while another is computed.

        Parameters
        ----------
        ref : MatrixRef or None
            The later matrix, if there is one.
        checkpoints : list of Checkpoint
            What `open` returned.
        """
        if ref is not None:
            prefetch(checkpoints[:2], ref)

    def measure(self, ref: MatrixRef, checkpoints: list[Checkpoint], device: str | None = None) -> Record:
        """Measure one matrix over all checkpoints; on the CPU if the device fails.

        Parameters
        ----------
        ref : MatrixRef
            Which matrix.
        checkpoints : list of Checkpoint
            What `open` returned.
        device : str, optional
            Another device than the job's.

        Returns
        -------
        Record
            All diagnostics at all steps.
        """
        with using(self.plan.policy):
            return with_fallback(
                lambda where: measure_matrix(self.plan, ref, checkpoints, where),
                device or self.device,
                ref.name,
            )

    def outcome(self, ref: MatrixRef, checkpoints: list[Checkpoint], device: str | None = None) -> Outcome:
        """Measure one matrix and keep the warnings, to be told in another process.

        Parameters
        ----------
        ref, checkpoints, device
            See `measure`.

        Returns
        -------
        Outcome
            The record and the warnings.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = self.measure(ref, checkpoints, device)
        return Outcome(record, tuple((str(warning.message), warning.category) for warning in caught))
