"""What a measurement will cost, told before it starts."""

import time
from dataclasses import dataclass

import torch

from geostat.checkpoints import MatrixRef
from geostat.trajectories.plan import Plan

__all__ = ["Cost", "estimate", "estimate_seconds"]

_BASE_BYTES = 350 * 2**20
"""Memory of an interpreter with torch and xarray loaded."""
_LARGE_ARRAYS = 24
"""Float64 arrays of the size of one matrix that live at once at the peak."""
_CALIBRATION_SIZE = 512


@dataclass(frozen=True)
class Cost:
    """An estimate.

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
    vectors = sum(4 * len(plan.steps) * plan.protocol.K * (ref.rows + ref.cols) for ref in stored)
    cells = 16 * len(plan.specs) * len(plan.steps) * len(plan.refs)
    return Cost(_BASE_BYTES + 8 * _LARGE_ARRAYS * largest, vectors + cells + 2**20)


def _decomposition_flops(rows: int, cols: int) -> float:
    """Golub and Van Loan's count for a thin decomposition with both sides (divide and conquer)."""
    small, large = sorted((rows, cols))
    return 6.0 * large * small**2 + 20.0 * small**3


def _matrix_flops(ref: MatrixRef, n_steps: int) -> float:
    """W_0 once; W_t, the update, the increment and the remainder at every step."""
    return (1 + 4 * n_steps) * _decomposition_flops(ref.rows, ref.cols)


def estimate_seconds(plan: Plan) -> float:
    """Estimate the time on one thread of this machine, from one timed decomposition.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    float
        Seconds for a single process; reading from a slow disk comes on top.
    """
    size = min(_CALIBRATION_SIZE, max(min(ref.rows, ref.cols) for ref in plan.refs))
    sample = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.linalg.svd(sample, full_matrices=False)
        started = time.thread_time()
        torch.linalg.svd(sample, full_matrices=False)
        rate = _decomposition_flops(size, size) / max(1e-6, time.thread_time() - started)
    finally:
        torch.set_num_threads(threads)
    return sum(_matrix_flops(ref, len(plan.steps)) for ref in plan.refs) / rate
