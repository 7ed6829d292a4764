"""The best single break of many curves at once."""

import numpy as np
import numpy.typing as npt

__all__ = ["single_breaks"]

AT_ONCE = 1_000_000
"""Numbers that are held in memory together."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def single_breaks(series: Floats, min_segment: int) -> Ints:
    r"""Last observation before the break of least squares, of every curve.

    .. math:: \arg\max_k \; \frac{1}{k} \Big( \sum_{t \le k} x_t \Big)^2
                          + \frac{1}{T - k} \Big( \sum_{t > k} x_t \Big)^2

    which is the sum of squares that a break after k explains.

    Parameters
    ----------
    series : ndarray
        Finite, shape (n, T), T at least twice `min_segment`.
    min_segment : int
        Observations that either side has at least.

    Returns
    -------
    ndarray of int
        Shape (n,), counted from 1; of equally good breaks the earliest.

    Examples
    --------
    >>> single_breaks(np.array([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]), 2)
    array([3])
    """
    length = series.shape[1]
    before = np.arange(min_segment, length - min_segment + 1)
    found = np.empty(len(series), dtype=np.int64)
    rows = max(1, AT_ONCE // length)
    for start in range(0, len(series), rows):
        sums = _about_centre(series[start : start + rows]).cumsum(axis=1)
        first = sums[:, before - 1]
        second = sums[:, -1:] - first
        explained = np.square(first, out=first) / before
        explained += np.square(second, out=second) / (length - before)
        found[start : start + rows] = explained.argmax(axis=1)
    return before[found]


def _about_centre(series: Floats) -> Floats:
    """Shift by one of the curve's own middling values: no digits are lost, and equal sums stay equal."""
    some = series[:, np.linspace(0, series.shape[1] - 1, 9).astype(int)]
    return np.asarray(series - np.sort(some, axis=1)[:, 4:5])
