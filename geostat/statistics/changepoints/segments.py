"""The best partition of a series into segments of constant mean, by exact search over all of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geostat.statistics.changepoints.single_break import single_breaks

__all__ = ["Partitions", "optimal_partitions", "residuals_of", "segment_means", "segment_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

AT_ONCE = 1_000_000
"""Numbers of the table of best costs that are held in memory together."""


class Partitions(NamedTuple):
    """The best partitions of each series, by number of breaks.

    Attributes
    ----------
    breaks : tuple of ndarray of int
        Entry m has shape (..., m): last observation of each segment but the last, counted from 1.
    rss : ndarray
        Residual sum of squares about the segment means, shape (..., M + 1), one column per m.
    """

    breaks: tuple[Ints, ...]
    rss: Floats


def optimal_partitions(values: Floats, max_breaks: int, min_segment: int) -> Partitions:
    r"""Find, for every number of breaks up to `max_breaks`, the partition of least squares.

    .. math:: F_m(j) = \min_i \; F_{m-1}(i) + \sum_{t=i+1}^{j} (x_t - \bar x_{i+1:j})^2

    over all admissible i: no candidate is skipped. The cost of a segment comes from cumulative sums of
    the series about its median; the sums of squares returned are computed again from the residuals.

    Parameters
    ----------
    values : ndarray
        Finite, shape (..., T).
    max_breaks : int
        With ``(max_breaks + 1) * min_segment <= T``.
    min_segment : int
        Observations that a segment has at least.

    Returns
    -------
    Partitions
        Of equally good partitions the one with the earliest last break.
    """
    shape, length = values.shape[:-1], values.shape[-1]
    series = values.reshape(-1, length)
    rows = max(1, AT_ONCE // (length * (max_breaks + 1)))
    parts = [
        _partitioned(series[i : i + rows], max_breaks, min_segment)
        for i in range(0, max(len(series), 1), rows)
    ]
    breaks = tuple(np.concatenate(found) for found in zip(*parts, strict=True))
    rss = np.stack([(residuals_of(series, found) ** 2).sum(axis=1) for found in breaks], axis=1)
    return Partitions(
        tuple(found.reshape(*shape, found.shape[1]) for found in breaks),
        rss.reshape(*shape, max_breaks + 1),
    )


def _partitioned(series: Floats, max_breaks: int, min_segment: int) -> list[Ints]:
    if max_breaks == 1:  # no table is needed: every candidate is the last break of the whole series
        return [np.zeros((len(series), 0), dtype=np.int64), single_breaks(series, min_segment)[:, None]]
    came_from = _search(series - np.median(series, axis=1, keepdims=True), max_breaks, min_segment)
    return [_traced(came_from, m, series.shape[1]) for m in range(max_breaks + 1)]


def _search(series: Floats, max_breaks: int, min_segment: int) -> Ints:
    """Last break of the best partition of the first j observations, shape (m, series, j)."""
    count, length = series.shape
    sums = np.pad(series, ((0, 0), (1, 0))).cumsum(axis=1)
    squares = np.pad(series**2, ((0, 0), (1, 0))).cumsum(axis=1)
    best = np.full((max_breaks + 1, count, length + 1), np.inf)
    sizes = np.arange(min_segment, length + 1)
    best[0, :, min_segment:] = squares[:, sizes] - sums[:, sizes] ** 2 / sizes
    came_from = np.zeros((max_breaks + 1, count, length + 1), dtype=np.int64)
    for end in range(2 * min_segment, length + 1) if max_breaks else ():
        starts = np.arange(min_segment, end - min_segment + 1)
        within = sums[:, [end]] - sums[:, starts]
        cost = squares[:, [end]] - squares[:, starts] - within**2 / (end - starts)
        total = best[:-1, :, starts] + cost
        chosen = total.argmin(axis=2)
        best[1:, :, end] = np.take_along_axis(total, chosen[..., None], axis=2)[..., 0]
        came_from[1:, :, end] = starts[chosen]
    return came_from


def _traced(came_from: Ints, n_breaks: int, length: int) -> Ints:
    count = came_from.shape[1]
    breaks = np.zeros((count, n_breaks), dtype=np.int64)
    end = np.full(count, length)
    for m in range(n_breaks, 0, -1):
        end = came_from[m, np.arange(count), end]
        breaks[:, m - 1] = end
    return breaks


def segment_of(breaks: Ints, length: int) -> Ints:
    """Number of the segment that each observation lies in.

    Parameters
    ----------
    breaks : ndarray of int
        Shape (n, m).
    length : int
        Observations T.

    Returns
    -------
    ndarray of int
        Shape (n, T), from 0.
    """
    number: Ints = (np.arange(1, length + 1) > breaks[:, :, None]).sum(axis=1)
    return number


def segment_means(series: Floats, breaks: Ints) -> Floats:
    """Mean of every segment.

    Parameters
    ----------
    series : ndarray
        Shape (n, T).
    breaks : ndarray of int
        Shape (n, m).

    Returns
    -------
    ndarray
        Shape (n, m + 1).
    """
    count, length = series.shape
    segments = breaks.shape[1] + 1
    place = (segment_of(breaks, length) + segments * np.arange(count)[:, None]).ravel()
    centre = np.median(series, axis=1)
    sums = np.bincount(place, (series - centre[:, None]).ravel(), minlength=count * segments)
    return centre[:, None] + (sums / np.bincount(place, minlength=count * segments)).reshape(count, segments)


def residuals_of(series: Floats, breaks: Ints) -> Floats:
    """Deviations from the means of the segments.

    Parameters
    ----------
    series : ndarray
        Shape (n, T).
    breaks : ndarray of int
        Shape (n, m).

    Returns
    -------
    ndarray
        Shape (n, T).
    """
    means = segment_means(series, breaks)
    return series - np.take_along_axis(means, segment_of(breaks, series.shape[1]), axis=1)
