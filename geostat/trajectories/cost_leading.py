"""What large matrices save when their leading directions are found without a whole decomposition.

Small corners are decomposed whole, large matrices need not be, where block Lanczos converges. Whether it does is a
matter of the spectrum, so it is tried on an update of the run.
"""

import math
import time
from collections.abc import Sequence

import torch

from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.linalg import Factored, own_arithmetic
from geostat.linalg.lanczos import block_lanczos, worth_trying
from geostat.trajectories.plans import Plan
from geostat.trajectories.unit import choose_device

__all__ = ["differences_alone", "leading_correction", "updates_alone"]

_MOST_ENTRIES = 2**24
"""It is tried on no more than a matrix of 4096 x 4096."""


def updates_alone(plan: Plan) -> int:
    """Number of cumulative updates of which only leading directions are asked for.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    int
        One for each checkpoint, or none.
    """
    names = {"update", "first", "final", "later"}
    tiers = {spec.tier for spec in plan.specs if names & set(spec.operands)}
    return len(plan.steps) if "exact" not in tiers and tiers - {"elementwise"} else 0


def differences_alone(plan: Plan) -> int:
    """Number of differences between checkpoints of which leading directions are asked for.

    Parameters
    ----------
    plan : Plan
        The measurement.

    Returns
    -------
    int
        Increments, and what remains from each step to the end where that is no increment.
    """
    asked = {operand for spec in plan.specs for operand in spec.operands}
    last = len(plan.steps) - 1
    later = [plan.later_index(index) for index in range(last)]
    pairs: set[tuple[int, int]] = set()
    if "increment" in asked:
        pairs |= {(index, each) for index, each in enumerate(later) if isinstance(each, int)}
    if "remaining" in asked:
        pairs |= {(index, last) for index in range(last)}
    return len(pairs)


def leading_correction(
    plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], device: str, scale: float, growth: float
) -> float:
    """Seconds to add to what a corner lets expect of a matrix over all checkpoints.

    Parameters
    ----------
    plan : Plan
        The measurement.
    ref : MatrixRef
        The matrix.
    opened : sequence of Checkpoint
        The base, then one per step.
    device : str
        Where the arithmetic will run.
    scale : float
        Size of the corner relative to the matrix.
    growth : float
        Cost of the matrix relative to the corner, where both are decomposed whole.

    Returns
    -------
    float
        Negative where leading directions alone are cheaper, positive where they are tried in vain.
    """
    if plan.tier == "elementwise" or not worth_trying(min(ref.rows, ref.cols), plan.protocol.K):
        return 0.0
    found = 0.0
    counts = (updates_alone(plan), 0), (differences_alone(plan), max(0, len(opened) - 2))
    for count, before in counts:
        if count:
            found += count * _difference(plan, ref, (opened[before], opened[-1]), device, scale, growth)
    return found


def _difference(
    plan: Plan, ref: MatrixRef, pair: Sequence[Checkpoint], device: str, scale: float, growth: float
) -> float:
    """Seconds that one matrix takes more or less than a whole decomposition."""
    size = min(1.0, math.sqrt(_MOST_ENTRIES / ref.n_params))
    earlier, later = (ref.read(each).to(choose_device(device)) for each in pair)
    large, small = (_cut(earlier, later, each) for each in (size, scale))
    clock = time.thread_time if earlier.is_cpu else time.perf_counter
    with own_arithmetic():
        started = clock()
        found = block_lanczos(large, plan.protocol.K)
        alone = (clock() - started) / size**2
        started = clock()
        Factored(small, wanted=plan.protocol.K).leading_values(plan.protocol.K)
        whole = growth * (clock() - started)
    return alone if found is None else alone - whole


def _cut(earlier: torch.Tensor, later: torch.Tensor, scale: float) -> torch.Tensor:
    """A corner of the difference in float64, the smaller side first."""
    rows, cols = (max(1, round(scale * size)) for size in earlier.shape)
    corner = later[:rows, :cols].to(torch.float64) - earlier[:rows, :cols].to(torch.float64)
    return corner if rows <= cols else corner.mT
