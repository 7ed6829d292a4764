"""Values of many curves at a common abscissa, by first passage between checkpoints."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Passage", "at_first_passage"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Passage:
    """Curves at the abscissa that was asked for.

    Attributes
    ----------
    value : ndarray
        Shape (...); NaN where a curve does not pass.
    step : ndarray
        Shape (...): the step, interpolated likewise.
    starts_beyond : ndarray of bool
        Whether the first checkpoint lies beyond already.
    """

    value: Array
    step: Array
    starts_beyond: npt.NDArray[np.bool_]


def at_first_passage(abscissa: Array, values: Array, steps: Array, target: Array) -> Passage:
    r"""Interpolate linearly in the logarithm of the abscissa, where it first reaches the target.

    With the neighbouring checkpoints i < j, :math:`d_i < d \le d_j`:

    .. math:: y = y_i + (y_j - y_i) \frac{\log d - \log d_i}{\log d_j - \log d_i}

    Parameters
    ----------
    abscissa, values : ndarray
        Shape (..., T), in the order of steps; NaN where there is no checkpoint.
    steps : ndarray
        Shape (T,).
    target : ndarray
        Shape (...), positive.

    Returns
    -------
    Passage
        Never extrapolated.
    """
    known = np.isfinite(abscissa) & np.isfinite(values) & (abscissa > 0)
    reached = known & (abscissa >= target[..., None])
    passes = reached.any(-1)
    after = reached.argmax(-1)
    count = known.shape[-1]
    earlier = known & (np.arange(count) < after[..., None])
    exact = _take(abscissa, after) == target
    starts_beyond = passes & ~exact & ~earlier.any(-1)
    before = np.where(earlier.any(-1), count - 1 - earlier[..., ::-1].argmax(-1), after)
    usable = passes & ~starts_beyond
    share = _share(_take(abscissa, before), _take(abscissa, after), target, usable)
    low, high = _take(values, before), _take(values, after)
    with np.errstate(invalid="ignore"):
        value = np.where(usable, np.where(share == 1, high, low + (high - low) * share), np.nan)
    step = np.where(usable, steps[before] + (steps[after] - steps[before]) * share, np.nan)
    return Passage(value, step, starts_beyond)


def _take(array: Array, place: npt.NDArray[np.intp]) -> Array:
    return np.take_along_axis(array, place[..., None], axis=-1)[..., 0]


def _share(low: Array, high: Array, target: Array, usable: npt.NDArray[np.bool_]) -> Array:
    """Position of the target between two abscissae on a logarithmic scale; 1 where they are one."""
    inside = usable & (low < high) & (high != target)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (np.log(target) - np.log(low)) / (np.log(high) - np.log(low))
    return np.where(inside, share, 1.0)
