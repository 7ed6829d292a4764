"""When a mean over runs is shown to have entered a band: tests on arrays, all cells at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Entry", "contrasts_with", "entry_of", "has_values", "shown", "window_means", "windows_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

LAST = 0.1
"""Share of training whose mean is the reference "final"."""


@dataclass(frozen=True)
class Entry:
    """Where a fixed sequence of tests stops, per cell.

    Attributes
    ----------
    first_in : ndarray of int
        First window of those at the end that are all shown inside; the number of windows where none is.
    leading_out : ndarray of int
        Windows at the start that are all shown outside.
    first_observed : ndarray of int
        First window from which the observed mean stays inside.
    testable : ndarray of bool
        Per window, whether seed-to-seed variation can be estimated.
    """

    first_in: npt.NDArray[np.int64]
    leading_out: npt.NDArray[np.int64]
    first_observed: npt.NDArray[np.int64]
    testable: Bools


def windows_of(present: Bools, count: int) -> list[Places]:
    """Split checkpoints into consecutive windows that most runs have a value in.

    A window takes in the following ones until two runs, and more than three quarters of those that have
    not ended long before, have a value there.

    Parameters
    ----------
    present : ndarray of bool
        Shape (runs, checkpoints): whether a run has a value that may be tested.
    count : int
        Windows at most; as many checkpoints are averaged only when there are more of them.

    Returns
    -------
    list of ndarray of int
        Checkpoints of each window; empty when no two runs can be set beside each other.

    Notes
    -----
    With two or three runs a window that one of them lacks would leave hardly any power.

    Examples
    --------
    >>> [w.tolist() for w in windows_of(np.ones((2, 5), bool), 3)]
    [[0, 1], [2, 3], [4]]
    """
    used = np.flatnonzero(present.any(axis=0))
    running = np.logical_or.accumulate(present[:, ::-1], axis=1)[:, ::-1].copy()
    # On grids that alternate one run ends a checkpoint before the other: it has not ended long before.
    lately = max(1, present.shape[1] // 10)
    running |= running[:, -1 - lately :][:, :1]
    merged: list[Places] = []
    pending = used[:0]
    for window in np.array_split(used, max(1, min(count, used.size))):
        pending = np.concatenate([pending, window])
        known = present[:, pending].any(axis=1).sum()
        if known >= 2 and known > 0.75 * running[:, pending].any(axis=1).sum():
            merged.append(pending)
            pending = used[:0]
    if pending.size and merged:
        merged[-1] = np.concatenate([merged[-1], pending])
    return merged


def window_means(values: Floats, windows: Sequence[Places]) -> Floats:
    """Average every run over the checkpoints that it has in a window.

    Parameters
    ----------
    values : ndarray
        Shape (..., runs, checkpoints); NaN where a run has none.
    windows : sequence of ndarray
        Checkpoints of each window.

    Returns
    -------
    ndarray
        Shape (..., runs, windows).
    """
    means = []
    for window in windows:
        part = values[..., window]
        known = ~np.isnan(part)
        count = known.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(np.where(known, part, 0.0).sum(axis=-1) / np.where(count > 0, count, np.nan))
    return np.stack(means, axis=-1)


def has_values(values: Floats) -> Bools:
    """Whether a run has a value at a checkpoint, in any cell.

    Parameters
    ----------
    values : ndarray
        Shape (..., runs, checkpoints).

    Returns
    -------
    ndarray of bool
        Shape (runs, checkpoints).
    """
    known: Bools = ~np.isnan(values)
    return np.asarray(known.reshape(-1, *values.shape[-2:]).any(axis=0))


def contrasts_with(
    values: Floats, steps: Floats, lengths: Floats, reference: float | None
) -> tuple[Floats, Bools]:
    """Contrasts of every run with the reference, and which of them may be tested.

    Parameters
    ----------
    values : ndarray
        Shape (..., runs, checkpoints).
    steps : ndarray
        Shape (checkpoints,).
    lengths : ndarray
        Shape (runs,): length of training.
    reference : float or None
        None for each run's mean over the last 10% of training, whose checkpoints are not tested.

    Returns
    -------
    tuple of ndarray
        Contrasts, NaN where nothing is tested; and per run and checkpoint whether it is tested.
    """
    present = has_values(values)
    if reference is not None:
        return values - reference, present
    last = present & (steps > (1 - LAST) * lengths[:, None])
    places = np.where(present.any(axis=1), present.shape[1] - 1 - present[:, ::-1].argmax(axis=1), 0)
    last[np.arange(len(last)), places] |= present.any(axis=1)
    known = last & ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(known, values, 0.0).sum(axis=-1, keepdims=True)
        centre = total / np.where(known.any(axis=-1), known.sum(axis=-1), np.nan)[..., None]
        return np.where(last, np.nan, values - centre), present & ~last


def shown(contrasts: Floats, margin: float | None, level: float) -> tuple[Bools, Bools, Bools, Bools]:
    """Tests of every window: inside, outside, and whether there is a test.

    With the mean d, its standard error e over S runs and the quantile q = t_(S-1, (1 + level)/2), a window
    is shown inside when abs(d) + q e <= margin, which is both one-sided tests at (1 - level)/2, and
    outside when abs(d) - q e > margin; for a threshold when d - q e >= 0 and d + q e < 0.

    Parameters
    ----------
    contrasts : ndarray
        Shape (..., runs, windows); NaN where a run has no value.
    margin : float or None
        Half-width of the band; None for a threshold at 0.
    level : float
        Confidence level.

    Returns
    -------
    tuple of ndarray of bool
        Shown inside, shown outside, observed inside, testable; shape (..., windows).
    """
    from scipy import stats

    n = (~np.isnan(contrasts)).sum(axis=-2)
    filled = np.where(np.isnan(contrasts), 0.0, contrasts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=-2) / np.where(n > 0, n, np.nan)
        squares = np.where(np.isnan(contrasts), 0.0, (contrasts - mean[..., None, :]) ** 2).sum(axis=-2)
        error = np.sqrt(squares / np.where(n > 1, n - 1, np.nan) / np.where(n > 0, n, np.nan))
    largest = np.where(np.isnan(contrasts), -np.inf, contrasts).max(axis=-2)
    smallest = np.where(np.isnan(contrasts), np.inf, contrasts).min(axis=-2)
    # The variance of equal values may differ from 0 in its last bit.
    testable = (n > 1) & np.isfinite(error) & (largest > smallest)
    sizes = np.arange(contrasts.shape[-2] + 1)
    quantiles = np.array([stats.t.ppf((1 + level) / 2, size - 1) if size > 1 else np.nan for size in sizes])
    reach = np.where(testable, quantiles[n] * error, np.nan)
    if margin is None:
        return mean - reach >= 0, mean + reach < 0, mean >= 0, testable
    distance = np.abs(mean)
    return distance + reach <= margin, distance - reach > margin, distance <= margin, testable


def entry_of(contrasts: Floats, margin: float | None, level: float) -> Entry:
    """Fixed sequences of tests, from the last window backwards and from the first one forwards.

    Parameters
    ----------
    contrasts : ndarray
        Shape (..., runs, windows).
    margin : float or None
        Half-width of the band; None for a threshold at 0.
    level : float
        Confidence level.

    Returns
    -------
    Entry
        Per cell.
    """
    inside, outside, observed, testable = shown(contrasts, margin, level)
    count = inside.shape[-1]
    return Entry(
        count - _run_length(inside[..., ::-1]),
        _run_length(outside),
        count - _run_length(observed[..., ::-1]),
        testable,
    )


def _run_length(flags: Bools) -> npt.NDArray[np.int64]:
    """How many of the first flags hold without a gap."""
    length: npt.NDArray[np.int64] = np.logical_and.accumulate(flags, axis=-1).sum(axis=-1)
    return length
