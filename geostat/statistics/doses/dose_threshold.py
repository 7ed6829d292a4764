"""Where equivalence with the reference dose ends: fixed sequences of tests over ordered doses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.doses.dose_contrasts import DoseContrasts, sequence

__all__ = ["Threshold", "find_threshold"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Threshold:
    """Per cell the doses shown, and the interval that they leave.

    Attributes
    ----------
    equivalent, different : ndarray of bool
        Cells by doses: shown in sequence, outwards from the reference and inwards from the far end.
    last_equivalent, first_not_shown : ndarray
        Doses; NaN where there is none.
    low, high : ndarray
        Ends of the interval of the threshold; infinite where the doses give none.
    """

    equivalent: Flags
    different: Flags
    last_equivalent: Array
    first_not_shown: Array
    low: Array
    high: Array


def find_threshold(
    found: DoseContrasts, doses: Array, reference: int, margin: float, level: float
) -> Threshold:
    r"""Doses shown equivalent to the reference, doses shown different, and the threshold between them.

    Outwards from the reference, two one-sided tests at 1 - level each, stopping at the first failure:
    the probability that any dose is called equivalent whose mean lies at or beyond the margin is at most
    1 - level. For the interval of the threshold the same at (1 - level) / 2, and inwards from the far end
    tests of ``abs(difference) <= margin`` at (1 - level) / 2 a side: both ends hold together with
    probability at least ``level``.

    Parameters
    ----------
    found : DoseContrasts
        Doses against the reference.
    doses : ndarray
        Increasing.
    reference : int
        0 or the last place.
    margin, level : float
        On the scale of the differences; confidence level.

    Returns
    -------
    Threshold
        One entry per cell.
    """
    outwards = list(range(len(doses))) if reference == 0 else list(range(len(doses)))[::-1]
    outwards = outwards[1:]
    present = found.n[:, outwards] > 0
    alike, unlike = found.p_equivalent(margin)[:, outwards], found.p_different(margin)[:, outwards]
    shown = sequence(alike <= 1 - level, present)
    strictly = sequence(alike <= (1 - level) / 2, present)
    different = sequence(unlike[:, ::-1] <= 1 - level, present[:, ::-1])[:, ::-1]
    order = doses[outwards]
    near = _last(order, strictly, doses[reference])
    far = _first(order, different, np.inf if reference == 0 else -np.inf)
    last = _last(order, shown, doses[reference])
    usable = found.n[:, reference] > 0
    ends = (near, far) if reference == 0 else (far, near)
    near_and_far = [np.where(usable, end, np.nan) for end in ends]
    return Threshold(
        equivalent=_placed(shown, outwards, len(doses)),
        different=_placed(different, outwards, len(doses)),
        last_equivalent=np.where(usable, last, np.nan),
        first_not_shown=np.where(usable, _first(order, present & ~shown, np.nan), np.nan),
        low=near_and_far[0],
        high=near_and_far[1],
    )


def _placed(flags: Flags, outwards: list[int], count: int) -> Flags:
    whole = np.zeros((len(flags), count), dtype=np.bool_)
    whole[:, outwards] = flags
    return whole


def _last(order: Array, flags: Flags, otherwise: float) -> Array:
    place = flags.shape[1] - 1 - flags[:, ::-1].argmax(axis=1)
    return np.where(flags.any(axis=1), order[place], otherwise)


def _first(order: Array, flags: Flags, otherwise: float) -> Array:
    return np.where(flags.any(axis=1), order[flags.argmax(axis=1)], otherwise)
