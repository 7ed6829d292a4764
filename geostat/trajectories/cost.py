"""What a measurement will cost, told before it starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geostat.trajectories.cost_samples import sampled_seconds
from geostat.trajectories.engines.order import shares
from geostat.trajectories.plans import Plan

__all__ = ["START_SECONDS", "Cost", "Forecast", "estimate", "estimate_seconds", "forecasts"]

_BASE_BYTES = 240 * 2**20
"""Memory of an interpreter with torch, scipy and xarray loaded, without files that are only mapped."""
_ENTRY_BYTES = {"elementwise": 4, "top": 48, "angles": 48, "exact": 48}
"""Bytes for every entry of the largest matrix that live at once at the peak."""
_RECORD_COPIES = 3
"""A record with its singular vectors is there thrice while it is written."""
START_SECONDS = 4.0
"""Until a process has loaded its libraries and read the headers; and to seal a small store."""
_RESOLUTION = 1e-6


@dataclass(frozen=True)
class Cost:
    """What a measurement takes beside time.

    Attributes
    ----------
    memory_bytes : int
        Peak memory of one process.
    disk_bytes : int
        Size of the store; while it is sealed the journal lies beside it.
    """

    memory_bytes: int
    disk_bytes: int


def estimate(plan: Plan) -> Cost:
    """Estimate memory and disk from shapes alone.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    Cost
        Memory of one process, disk of the store.
    """
    largest = max(ref.n_params for ref in plan.refs)
    stored = [ref for ref in plan.refs if ref.name in plan.vectors]
    sides = [4 * len(plan.steps) * plan.protocol.K * (ref.rows + ref.cols) for ref in stored]
    cells = 16 * len(plan.specs) * len(plan.steps) * len(plan.refs)
    memory = _BASE_BYTES + _ENTRY_BYTES[plan.tier] * largest + _RECORD_COPIES * max(sides, default=0)
    return Cost(memory, sum(sides) + cells + 2**20)


@dataclass(frozen=True)
class Forecast:
    """Time that a measurement will take.

    Attributes
    ----------
    matrices : mapping of str to float
        Seconds of arithmetic for each matrix over all checkpoints, one thread.
    reading : float
        Seconds to read all weights once; while one matrix is computed the disk fetches the next.
    """

    matrices: Mapping[str, float]
    reading: float

    def seconds(self, workers: int = 1) -> float:
        """Time from start to store.

        Parameters
        ----------
        workers : int
            Processes of one thread each, every one on a core of its own.

        Returns
        -------
        float
            Seconds: of the busiest process, or of the disk if that takes longer; and to start.
        """
        units = list(self.matrices.values())
        if workers <= 1:
            return START_SECONDS + max(sum(units), self.reading)
        owner = shares([max(1, round(unit / _RESOLUTION)) for unit in units], workers)
        loads = [0.0] * workers
        for unit, share in zip(units, owner, strict=True):
            loads[share] += unit
        return START_SECONDS + max(*loads, self.reading)


def forecasts(plans: Sequence[Plan], device: str = "cpu") -> list[Forecast]:
    """Time that a measurement will take here under several tiers.

    Pieces of the run's own weights are measured by the code that will measure the whole: what it costs to
    decompose these spectra on this machine is seen, not assumed. See `geostat.trajectories.cost_samples`.

    Parameters
    ----------
    plans : sequence of Plan
        The same measurement under several tiers, the dearest last.
    device : str
        Where the arithmetic will run.

    Returns
    -------
    list of Forecast
        Seconds for every matrix, and for reading.
    """
    sampled, reading = sampled_seconds(plans, device)
    found: list[Forecast] = []
    for seconds in sampled:  # a dearer tier does all that a cheaper one does
        before = found[-1].matrices if found else {}
        found.append(Forecast({n: max(s, before.get(n, 0.0)) for n, s in seconds.items()}, reading))
    return found


def estimate_seconds(plan: Plan) -> float:
    """Estimate the time of a single process on this machine.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    float
        Seconds; see `forecasts`.
    """
    return forecasts([plan])[0].seconds()
