"""Pieces of a run's own weights, measured to know what the whole will cost.

A matrix that takes a moment is measured as it is, over two checkpoints and over three: the difference is what one
more costs. Of a larger one a corner is cut, smaller by a factor s on both sides, and the numbers of directions with
it, so that every product and every reduction shrinks by :math:`s^3`, and passes over the entries by :math:`s^2`.
How times grow from a small corner to a large one, whose products are as efficient as those of the whole, is seen
under the dearest tier alone.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.checkpoints.memory import MemoryCheckpoint
from geostat.trajectories.cost_leading import leading_correction
from geostat.trajectories.engines.order import relative_cost
from geostat.trajectories.plans import Plan
from geostat.trajectories.unit import choose_device, measure_matrix

__all__ = ["sampled_seconds"]

_SMALL = 448
"""Corners, by m n min(m, n), are no larger than a square matrix of this size."""
_LARGE = 1024
"""The same of the large corner, which shows how times grow."""
_WHOLE = 640
"""Up to this size matrices are measured as they are."""
_SHAPES = 4
"""Shapes that are sampled; others are scaled from the nearest."""
_LONG = 0.2
_REPEATS = 3
"""A sample shorter than a fifth of a second is taken three times, and the fastest counts."""
_SCALED = ("k", "r", "energy_k")
"""Settings that count directions and shrink with a corner."""


@dataclass(frozen=True)
class _Corner:
    """A piece of one matrix at the start and at some checkpoints."""

    plan: Plan
    ref: MatrixRef
    checkpoints: tuple[Checkpoint, ...]

    def seconds(self, device: str) -> float:
        """Time it: of the thread on a CPU, so that other processes do not matter; short ones again."""
        clock = time.thread_time if choose_device(device).type == "cpu" else time.perf_counter
        best = math.inf
        for _ in range(_REPEATS):
            started = clock()
            measure_matrix(self.plan, self.ref, list(self.checkpoints), device)
            best = min(best, max(1e-7, clock() - started))
            if best > _LONG:
                break
        return best


def sampled_seconds(plans: Sequence[Plan], device: str) -> tuple[list[dict[str, float]], float]:
    """Seconds of arithmetic for every matrix of a plan under several tiers, and seconds to read them all.

    Parameters
    ----------
    plans : sequence of Plan
        The same measurement under several tiers, the dearest last.
    device : str
        Where the arithmetic will run.

    Returns
    -------
    seconds : list of dict of str to float
        For each plan: matrix -> seconds on one thread.
    reading : float
        Seconds for reading every weight once.
    """
    dearest = plans[-1]
    opened = dearest.open()
    try:
        sampled = _representatives(dearest)
        refs = list(sampled.values())
        reading = _reading_seconds(dearest, opened, refs)
        _warm_up(dearest, refs[0], opened, device)
        growth = {shape: _growth(dearest, ref, opened, device) for shape, ref in sampled.items()}
        found = []
        for plan in plans:
            costs = {s: _unit_seconds(plan, ref, opened, device, growth[s]) for s, ref in sampled.items()}
            found.append({ref.name: _scaled(ref, costs, plan) for ref in plan.refs})
    finally:
        for checkpoint in opened:
            checkpoint.close()
    return found, reading


def _warm_up(plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], device: str) -> None:
    """Load libraries and touch memory, so that the first sample does not pay for it."""
    scale = min(1.0, 64 / min(ref.rows, ref.cols))
    _corner(plan, ref, opened, scale, 1).seconds(device)


def _representatives(plan: Plan) -> dict[tuple[int, int], MatrixRef]:
    """One matrix for each shape, at most a handful, spread over the costs."""
    groups: dict[tuple[int, int], list[MatrixRef]] = {}
    for ref in plan.refs:
        groups.setdefault((ref.rows, ref.cols), []).append(ref)
    shapes = sorted(groups, key=lambda shape: _weight(*shape))
    if len(shapes) > _SHAPES:
        places = np.linspace(0, len(shapes) - 1, _SHAPES).round().astype(int)
        shapes = [shapes[place] for place in places]
    return {shape: groups[shape][len(groups[shape]) // 2] for shape in shapes}


def _weight(rows: int, cols: int) -> int:
    return rows * cols * min(rows, cols)


def _scaled(ref: MatrixRef, costs: dict[tuple[int, int], float], plan: Plan) -> float:
    """Cost of a matrix; of a shape that was not sampled, in proportion to the nearest one that was."""
    own = relative_cost(ref.rows, ref.cols, plan.tier)
    known = {shape: relative_cost(*shape, plan.tier) for shape in costs}
    nearest = min(known, key=lambda shape: (shape != (ref.rows, ref.cols), abs(np.log(known[shape] / own))))
    return costs[nearest] * own / known[nearest]


def _scale(ref: MatrixRef, size: int) -> float:
    """Factor by which a corner is smaller than its matrix; 1 where that is small itself."""
    weight = _weight(ref.rows, ref.cols)
    return 1.0 if weight <= _WHOLE**3 else min(1.0, (size**3 / weight) ** (1 / 3))


def _growth(plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], device: str) -> float:
    """Factor between the small corner and the whole, where matrices are decomposed."""
    small, large = _scale(ref, _SMALL), _scale(ref, _LARGE)
    if small == 1.0 or plan.tier == "elementwise":
        return small**-2
    few = min(2, len(plan.steps))
    before, after = (_corner(plan, ref, opened, scale, few).seconds(device) for scale in (small, large))
    return float(after / before * large**-3)


def _unit_seconds(
    plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], device: str, growth: float
) -> float:
    """Cost of one matrix over all checkpoints."""
    if plan.tier == "elementwise":
        scale = _scale(ref, _LARGE)
        return scale**-2 * _over_steps(plan, ref, opened, device, scale)
    scale = _scale(ref, _SMALL)
    whole = growth * _over_steps(plan, ref, opened, device, scale)
    return max(0.05 * whole, whole + leading_correction(plan, ref, opened, device, scale, growth))


def _over_steps(plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], device: str, scale: float) -> float:
    """Cost of a corner over all checkpoints, from that over two and over three."""
    count = len(plan.steps)
    counts = [count] if count <= 3 else [2, 3]
    times = [_corner(plan, ref, opened, scale, steps).seconds(device) for steps in counts]
    return times[-1] + (count - counts[-1]) * max(0.0, times[-1] - times[0])


def _corner(plan: Plan, ref: MatrixRef, opened: Sequence[Checkpoint], scale: float, count: int) -> _Corner:
    rows, cols = (max(1, round(scale * size)) for size in (ref.rows, ref.cols))
    chosen = [0, *np.linspace(1, len(plan.steps), count).round().astype(int)]
    pieces = [ref.read(opened[index])[:rows, :cols].contiguous().clone() for index in chosen]
    small = MatrixRef(ref.name, ref.tensor, ref.layer, ref.module, ref.expert, rows, cols)
    ahead = any(isinstance(plan.later_index(index), int) for index in range(len(plan.steps)))
    steps = tuple(range(1, count + 1))
    settings = {name: _shrunk(getattr(plan.protocol, name), scale) for name in _SCALED}
    sample = replace(
        plan,
        steps=steps,
        refs=(small,),
        protocol=plan.protocol.replace(horizon=1 if ahead else count + 1, **settings),
        vectors=(ref.name,) if ref.name in plan.vectors else (),
        checkpoints=(),
    )
    return _Corner(sample, small, tuple(MemoryCheckpoint({ref.tensor: piece}) for piece in pieces))


def _shrunk(setting: int | float | tuple[int | float, ...], scale: float) -> object:
    """A number of directions, or several; a share of them stays a share."""
    if isinstance(setting, tuple):
        return tuple(dict.fromkeys(_shrunk(each, scale) for each in setting))
    return max(1, round(scale * setting)) if isinstance(setting, int) else setting


def _reading_seconds(plan: Plan, opened: Sequence[Checkpoint], refs: Sequence[MatrixRef]) -> float:
    """Bytes of all weights over the rate at which a few of the last checkpoint come."""
    sizes: dict[str, int] = {}
    started = time.perf_counter()
    for ref in refs:
        weight = ref.read(opened[-1])
        sizes[ref.name] = weight.element_size()
        weight.view(-1).sum() if weight.is_contiguous() else weight.sum()
    rate = sum(sizes[ref.name] * ref.n_params for ref in refs) / max(1e-6, time.perf_counter() - started)
    per_entry = max(sizes.values())
    return per_entry * (1 + len(plan.steps)) * sum(ref.n_params for ref in plan.refs) / rate
