"""Boundaries on the metrics' scales: from a file, or half-way between the user's own reference runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geostat.statistics.means.scales import Scale
from geostat.statistics.regimes.boundaries import MetricCuts
from geostat.statistics.regimes.evidence import Mean, Part, Sides, tail

__all__ = ["Lines", "passed", "published_lines", "reference_lines"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lines:
    """Boundaries in the order of the regimes: a value with its standard error and degrees of freedom.

    Attributes
    ----------
    low, high : ndarray
        Shape (boundary, metric, ...): ends that differ by the tolerance. NaN where a boundary cannot be used.
    parts : tuple of Part
        Uncertainty of the means that boundaries were made of; none for published values.
    exists : ndarray of bool
        Shape (boundary, metric).
    direction : ndarray
        Shape (metric, ...): 1 where the metric grows from the first regime to the last, otherwise -1.
    separation : ndarray or None
        P-values that neighbouring references differ in the published direction.
    ordered : ndarray or None
        1 where their means lie as published, 0 where not, NaN where unknown.
    """

    low: Array
    high: Array
    parts: tuple[Part, ...]
    exists: Mask
    direction: Array
    separation: Array | None = None
    ordered: Array | None = None

    def sides(self, mean: Mean) -> Sides:
        """Test a recipe's means against every boundary, from the far end of its tolerance.

        Parameters
        ----------
        mean : Mean
            Made of other runs than the boundaries.

        Returns
        -------
        Sides
            P-values.
        """
        above = tail(mean.value - self.high, (mean.part, *self.parts))
        below = tail(self.low - mean.value, (mean.part, *self.parts))
        grows = self.direction > 0
        return Sides(np.where(grows, above, below), np.where(grows, below, above), self.exists)


def published_lines(metrics: Sequence[MetricCuts], scales: Sequence[Scale], n_dims: int) -> Lines:
    """Boundaries of a file, widened by their tolerance.

    Parameters
    ----------
    metrics : sequence of MetricCuts
        In the metrics' units.
    scales : sequence of Scale
        Where they are compared.
    n_dims : int
        Dimensions of a cell.

    Returns
    -------
    Lines
        Fixed values.
    """
    ends = np.stack([_ends(metric, scale) for metric, scale in zip(metrics, scales, strict=True)], axis=2)
    low, high = (end.reshape(*end.shape, *[1] * n_dims) for end in (ends.min(axis=0), ends.max(axis=0)))
    exists = np.array([[cut is not None for cut in metric.cuts] for metric in metrics]).T
    direction = np.array([float(metric.direction) for metric in metrics]).reshape(-1, *[1] * n_dims)
    return Lines(low, high, (), exists, direction)


def _ends(metric: MetricCuts, scale: Scale) -> Array:
    """Shape (2, boundary)."""
    cuts = np.array([np.nan if cut is None else cut for cut in metric.cuts])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([scale.forward(cuts - metric.tolerance), scale.forward(cuts + metric.tolerance)])


def reference_lines(references: Sequence[Mean], published: Array, level: float) -> Lines:
    r"""Boundaries half-way between neighbouring references.

    .. math:: c = (\bar x_a + \bar x_b) / 2, \qquad
        \mathrm{Var}(c) = (s_a^2 / S_a + s_b^2 / S_b) / 4

    A boundary between two references that the metric does not tell apart in the published direction
    separates nothing and is not used.

    Parameters
    ----------
    references : sequence of Mean
        In the order of their regimes.
    published : ndarray
        Shape (metric,): published directions; 0 to take that of the first and last reference.
    level : float
        At which references must be told apart.

    Returns
    -------
    Lines
        With what separates them.
    """
    across = references[-1].value - references[0].value
    stated = np.broadcast_to(published.reshape(-1, *[1] * (across.ndim - 1)), across.shape)
    direction = np.where(stated == 0, np.where(across < 0, -1.0, 1.0), stated)
    pairs = list(pairwise(references))
    ahead = np.stack([(b.value - a.value) * direction for a, b in pairs])
    parts = tuple(_joined([pair[i].part for pair in pairs]) for i in (0, 1))
    one_sided = tail(ahead, parts)
    separation = np.where(stated == 0, np.minimum(2 * one_sided, 1.0), one_sided)
    middle = np.stack([(a.value + b.value) / 2 for a, b in pairs])
    usable = np.where(separation <= 1 - level, middle, np.nan)
    exists = np.ones(middle.shape[:2], dtype=bool)
    ordered = np.where(np.isnan(ahead), np.nan, ahead > 0)
    quarters = tuple(part.times(0.25) for part in parts)
    return Lines(usable, usable, quarters, exists, direction, separation, ordered)


def _joined(parts: Sequence[Part]) -> Part:
    return Part(np.stack([p.variance for p in parts]), np.stack([p.df for p in parts]))


def passed(values: Array, centres: Sequence[Array], direction: Array) -> Array:
    """How many boundaries values lie past, without any inference: the place of their regime.

    Parameters
    ----------
    values : ndarray
        Shape (metric, ...).
    centres : sequence of ndarray
        Means of the references, in order.
    direction : ndarray
        As in `Lines`.

    Returns
    -------
    ndarray
        Shape (metric, ...); NaN where a mean is unknown.
    """
    beyond = [(values - (a + b) / 2) * direction for a, b in pairwise(centres)]
    count: Array = np.sum([np.where(np.isnan(d), np.nan, d > 0) for d in beyond], axis=0)
    return count
