"""What the matrices of a plan cost relative to each other, and who gets which."""

import heapq
from collections.abc import Sequence

from geostat.checkpoints import MatrixRef

__all__ = ["costliest_first", "relative_cost", "shares"]


def relative_cost(rows: int, cols: int, tier: str) -> int:
    r"""Cost of a matrix relative to others of the same measurement.

    .. math:: m n \min(m, n), \quad\text{or}\\quad m n

    where nothing is decomposed.

    Parameters
    ----------
    rows, cols : int
        Shape.
    tier : str
        One of `geostat.TIERS`.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, rows * cols * (1 if tier == "elementwise" else min(rows, cols)))


def costliest_first(refs: Sequence[MatrixRef], tier: str) -> list[MatrixRef]:
    """Order matrices so that no long one is left for the end.

    Parameters
    ----------
    refs : sequence of MatrixRef
        In any order.
    tier : str
        One of `geostat.TIERS`.

    Returns
    -------
    list of MatrixRef
        Longest job first; equal ones in the order given.
    """
    return sorted(refs, key=lambda ref: -relative_cost(ref.rows, ref.cols, tier))


def shares(costs: Sequence[int], count: int) -> list[int]:
    """Split units among equals: the longest first, each to whoever has the least so far.

    The largest share exceeds the best possible by at most a third (Graham, 1969, "Bounds on multiprocessing
    timing anomalies", SIAM J. Appl. Math. 17).

    Parameters
    ----------
    costs : sequence of int
        One per unit.
    count : int
        Number of shares.

    Returns
    -------
    list of int
        For each unit the share that has it, from 0; the same for the same costs, on any machine.
    """
    loads = [(0, share) for share in range(count)]
    owner = [0] * len(costs)
    for unit in sorted(range(len(costs)), key=lambda unit: -costs[unit]):
        load, share = heapq.heappop(loads)
        owner[unit] = share
        heapq.heappush(loads, (load + costs[unit], share))
    return owner
