"""Resamples of independent units for all cells at once: no loop over resamples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError

__all__ = ["MEAN", "MEDIAN", "Estimator", "Resamples", "draw", "from_callable", "jackknife"]

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array, int], Array]

HELD = 2**22
"""Numbers of resampled data that are held in memory at once."""


@dataclass(frozen=True)
class Estimator:
    """A statistic and its standard error, both along an axis of units.

    Attributes
    ----------
    name : str
        As it is called in a sentence.
    statistic : callable
        Takes values and the axis of units, gives one number per cell.
    error : callable or None
        Standard error in the same form; None for the jackknife's.
    """

    name: str
    statistic: Statistic
    error: Statistic | None = None

    def standard_error(self, values: Array, axis: int) -> Array:
        """Standard error of the statistic: its own, or the jackknife's.

        Parameters
        ----------
        values : ndarray
            Units along `axis`.
        axis : int
            Negative.

        Returns
        -------
        ndarray
            One number per cell.
        """
        if self.error is not None:
            return self.error(values, axis)
        left_out = jackknife(self.statistic, values, axis)
        n = left_out.shape[-1]
        spread = ((left_out - left_out.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
        return np.asarray(np.sqrt((n - 1) / n * spread))


def jackknife(statistic: Statistic, values: Array, axis: int) -> Array:
    """Statistic with each unit left out in turn.

    Parameters
    ----------
    statistic : callable
        Takes values and an axis.
    values : ndarray
        Units along `axis`.
    axis : int
        Negative: -1, or -2 where a unit is a vector.

    Returns
    -------
    ndarray
        Cells first, the unit left out along the last axis.
    """
    n = values.shape[axis]
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.intp).reshape(n, n - 1)
    return np.asarray(statistic(np.take(values, others, axis=axis), axis))


def _error_of_mean(values: Array, axis: int) -> Array:
    return np.asarray(values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis]))


def _error_of_median(values: Array, axis: int) -> Array:
    r"""Maritz and Jarrett (1978): the bootstrap's own variance of the median, in closed form.

    The jackknife of a median does not converge.
    """
    from scipy import special

    ordered = np.moveaxis(np.sort(values, axis=axis), axis, -1)
    n = ordered.shape[-1]
    middle = (n + 1) / 2
    weights = np.diff(special.betainc(middle, middle, np.arange(n + 1) / n))
    centre = ordered @ weights
    return np.asarray(np.sqrt((ordered - centre[..., None]) ** 2 @ weights))


MEAN = Estimator("mean", lambda values, axis: np.asarray(values.mean(axis=axis)), _error_of_mean)
MEDIAN = Estimator("median", lambda values, axis: np.asarray(np.median(values, axis=axis)), _error_of_median)


def from_callable(statistic: Statistic) -> Estimator:
    """Estimator of a user's own statistic, with the jackknife's standard error.

    Parameters
    ----------
    statistic : callable
        ``statistic(values, axis)`` reduces that axis.

    Returns
    -------
    Estimator
        Named after the function; its shapes are checked at every call.
    """
    name = getattr(statistic, "__name__", type(statistic).__name__)

    def checked(values: Array, axis: int) -> Array:
        found = np.asarray(statistic(values, axis), dtype=np.float64)
        expected = values.shape[:axis]
        if found.shape != expected:
            raise SampleError(
                f"statistic {name!r} gave shape {found.shape} for values of shape {values.shape} along axis "
                f"{axis}, where {expected} was expected. It must take (values, axis) and reduce that axis."
            )
        return found

    return Estimator(name, checked)


@dataclass(frozen=True, eq=False)
class Resamples:
    """Which units every resample holds.

    Attributes
    ----------
    places : ndarray of int
        Resamples by units: positions drawn with replacement.
    """

    places: npt.NDArray[np.intp]

    @property
    def count(self) -> int:
        """How many resamples there are."""
        return len(self.places)

    def values(self, estimator: Estimator, units: Array, axis: int) -> Array:
        """Statistic of every resample.

        Parameters
        ----------
        estimator : Estimator
            Its statistic is taken.
        units : ndarray
            Cells, units, and, with ``axis=-2``, the numbers of one unit.
        axis : int
            -1 or -2.

        Returns
        -------
        ndarray
            Cells by resamples.
        """
        return self._each(estimator.statistic, units, axis, 1)

    def errors(self, estimator: Estimator, units: Array, axis: int) -> Array:
        """Standard error of the statistic in every resample, in the form of `values`."""
        copies = units.shape[axis] if estimator.error is None else 1
        return self._each(estimator.standard_error, units, axis, copies)

    def _each(self, function: Statistic, units: Array, axis: int, copies: int) -> Array:
        found = np.empty((len(units), self.count))
        per_resample = max(1, units.size * copies)
        for part in parts(self.count, max(1, HELD // per_resample)):
            found[:, part] = function(np.take(units, self.places[part], axis=1), axis)
        return found


def draw(n: int, n_resamples: int, rng: np.random.Generator) -> Resamples:
    """Draw resamples of n units with replacement.

    Parameters
    ----------
    n : int
        Units.
    n_resamples : int
        Resamples.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    Resamples
        The same units for every cell, so that cells of one run stay together.
    """
    return Resamples(rng.integers(0, n, size=(n_resamples, n), dtype=np.intp))


def parts(total: int, size: int) -> Iterator[slice]:
    """Slices of at most so many that cover a range.

    Parameters
    ----------
    total, size : int
        Length of the range and of a slice.

    Yields
    ------
    slice
        In order.
    """
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
