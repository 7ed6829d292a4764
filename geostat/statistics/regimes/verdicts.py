"""From p-values per metric and regime to one verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ESTABLISHED", "MIXED", "SPARSITY", "SUBSET", "UNDETERMINED", "Verdicts", "decide", "too_few"]

UNDETERMINED, ESTABLISHED, SUBSET, MIXED = "undetermined", "established", "set", "mixed"

SPARSITY = frozenset({"update_sparsity", "update_density"})
"""Readings of one quantity, on which the published ranges of the regimes overlap."""

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Outcome of every cell.

    Attributes
    ----------
    largest : ndarray
        Shape (regime, ...): the largest p-value over metrics, small where every metric lies inside.
    adjusted : ndarray
        Shape (regime, ...): the smallest p-value, times the number of metrics, that one lies outside.
    kept : ndarray of bool
        Shape (regime, ...): whether a regime is not excluded.
    regime : ndarray
        Shape (...): place of the established regime, or -1.
    """

    largest: Array
    adjusted: Array
    kept: Mask
    regime: npt.NDArray[np.intp]

    @property
    def established(self) -> Mask:
        """Whether a regime is established."""
        return self.regime >= 0

    @property
    def mixed(self) -> Mask:
        """Whether every regime is excluded."""
        return ~self.established & ~self.kept.any(axis=0)

    @property
    def verdict(self) -> npt.NDArray[np.str_]:
        """One of the four verdicts, as text."""
        subset = ~self.kept.all(axis=0)
        return np.select(
            [self.established, self.mixed, subset], [ESTABLISHED, MIXED, SUBSET], default=UNDETERMINED
        )


def too_few(metrics: Sequence[str]) -> str:
    """Why a set of metrics cannot classify; empty where it can.

    Parameters
    ----------
    metrics : sequence of str
        The metrics that can be compared.

    Returns
    -------
    str
        A reason.
    """
    if not metrics:
        return "no metric can be compared with the boundaries"
    if set(metrics) <= SPARSITY:
        return (
            "sparsity alone never classifies: the published ranges of the regimes overlap on it, so a second "
            "metric is needed"
        )
    if len(metrics) < 2:
        return f"{metrics[0]} alone cannot classify: two or more metrics have to agree"
    return ""


def decide(inside: Array, outside: Array, level: float, decisive: bool = True) -> Verdicts:
    r"""Verdict of every cell.

    A regime r is established when :math:`\max_m p_{m,r} \le 1 - \mathrm{level}`: an intersection-union
    test needs no adjustment. It is excluded when :math:`M \min_m q_{m,r} \le 1 - \mathrm{level}` with the
    p-values q of lying outside (Bonferroni). Where every regime is excluded, the metrics lie in different
    ones: mixed.

    Parameters
    ----------
    inside, outside : ndarray
        Shape (regime, metric, ...): p-values; NaN where a metric says nothing.
    level : float
        Confidence level.
    decisive : bool
        Whether the set of metrics may classify at all.

    Returns
    -------
    Verdicts
        For every cell.
    """
    alpha = 1 - level
    largest = inside.max(axis=1)
    adjusted = np.minimum(np.fmin.reduce(outside, axis=1) * outside.shape[1], 1.0)
    kept = ~(adjusted <= alpha) if decisive else np.ones(adjusted.shape, dtype=bool)
    within = (largest <= alpha) & decisive
    # Two regimes at once are regimes that none of the metrics tells apart.
    regime = np.where(within.sum(axis=0) == 1, within.argmax(axis=0), -1)
    return Verdicts(largest, adjusted, kept, regime)
