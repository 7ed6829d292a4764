"""How far a measurement is, by cost and not by count: matrices differ a hundredfold."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

from tqdm import tqdm

from geostat.checkpoints import MatrixRef
from geostat.trajectories.cost_running import RunningEstimate
from geostat.trajectories.durations import duration
from geostat.trajectories.engines.order import relative_cost
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import Record

__all__ = ["followed"]

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"


def followed(
    records: Iterable[Record],
    refs: Sequence[MatrixRef],
    plan: Plan,
    finished: Collection[str] = (),
    *,
    workers: int = 1,
    show: bool = True,
) -> Iterator[Record]:
    """Show a bar while records arrive: share of the cost done, matrices done, time remaining.

    The estimate counts cost and not matrices, see `RunningEstimate`, so that it is steady while dear and cheap
    ones alternate.

    Parameters
    ----------
    records : iterable of Record
        As they finish.
    refs : sequence of MatrixRef
        All matrices, finished ones included.
    plan : Plan
        What is measured.
    finished : collection of str
        Names of those done in earlier calls.
    workers : int
        How many matrices are measured at once.
    show : bool
        Whether to show it, on standard error.

    Yields
    ------
    Record
        The same.
    """
    costs = {ref.name: relative_cost(ref.rows, ref.cols, plan.tier) for ref in refs}
    done = len(finished)
    waiting = {name: float(cost) for name, cost in costs.items() if name not in finished}
    estimate, begun = RunningEstimate(waiting, workers), time.monotonic()
    with tqdm(
        total=sum(costs.values()),
        initial=sum(costs[name] for name in finished),
        desc=f"{len(plan.steps)} checkpoints",
        postfix=f"{done}/{len(refs)} matrices",
        bar_format=_FORMAT,
        disable=not show,
        file=sys.stderr,
        dynamic_ncols=True,
    ) as bar:
        for record in records:
            yield record
            done += 1
            now = time.monotonic() - begun
            estimate.finished(record.matrix, now)
            left = "" if done == len(refs) else f", {duration(estimate.remaining(now) or 0.0)} left"
            bar.set_postfix_str(f"{done}/{len(refs)} matrices{left}", refresh=False)
            bar.update(costs[record.matrix])
