"""Chance of a figure whose entries depend on each other along rows and along columns."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geostat.nulls.gates.counts import GateCounts

__all__ = ["jackknife_sd"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def jackknife_sd(figure: Callable[[Integers], Floats], counts: GateCounts) -> Floats:
    r"""Standard deviation of figures by leaving out blocks of rows, of columns, and of diagonals.

    .. math:: V = V_{rows} + V_{columns} - V_{diagonals}, \qquad V \ge V_{diagonals}

    Diagonals of the grid of row and column blocks share neither rows nor columns, so their variance is that of
    independent cells, which the other two both contain.

    Parameters
    ----------
    figure : callable
        Figures of counts of shape (levels, codes).
    counts : GateCounts
        Steps.

    Returns
    -------
    numpy.ndarray
        Shape of what `figure` gives.

    References
    ----------
    :cite:t:`cameron2011`.
    """
    total = counts.total
    by_rows, by_columns, alone = (
        _variance(figure, total, each) for each in (counts.rows, counts.columns, counts.diagonals)
    )
    return np.sqrt(np.maximum(by_rows + by_columns - alone, alone))


def _variance(figure: Callable[[Integers], Floats], total: Integers, blocks: Integers) -> Floats:
    if len(blocks) < 2:
        return np.zeros_like(figure(total))
    left = np.array([figure(total - block) for block in blocks])
    return np.asarray((len(blocks) - 1) * left.var(axis=0))
