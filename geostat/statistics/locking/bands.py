"""A declared band, and the exact onset of one curve within it."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError

__all__ = ["AtLeast", "Band", "Onset", "Outcome", "at_least", "find_onset", "is_number"]

Outcome = Literal["bracket", "left-censored", "never", "too short to tell", "undefined"]
Curve = npt.NDArray[np.float64]

LAST = 0.1
"""Share of training whose mean is the reference "final"."""


def is_number(value: object) -> bool:
    """Tell whether a value is one finite real number.

    Parameters
    ----------
    value : object
        Whatever a caller passed.

    Returns
    -------
    bool
        False for text, booleans, arrays, NaN and infinities.
    """
    plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return plain and math.isfinite(value)  # type: ignore[arg-type]


@dataclass(frozen=True)
class AtLeast:
    """A one-sided threshold.

    Attributes
    ----------
    threshold : float
        Values at or above it are inside.
    """

    threshold: float

    def __str__(self) -> str:
        """Say the threshold in words."""
        return f"at least {self.threshold:g}"


def at_least(threshold: float) -> AtLeast:
    """One-sided threshold for `lock_brackets`.

    Parameters
    ----------
    threshold : float
        Values at or above it are inside.

    Returns
    -------
    AtLeast
        To be passed as ``reference``.

    Raises
    ------
    SampleError
        If it is not finite.

    Examples
    --------
    >>> str(at_least(0.5))
    'at least 0.5'
    """
    if not is_number(threshold):
        raise SampleError(f"at_least({threshold!r}) is no threshold: pass a finite number.")
    return AtLeast(float(threshold))


@dataclass(frozen=True)
class Band:
    """Where a metric has to stay.

    Attributes
    ----------
    reference : float, AtLeast or "final"
        Centre, threshold, or the curve's own end.
    margin : float
        Half-width in the metric's units; 0 for a threshold.
    """

    reference: float | AtLeast | Literal["final"]
    margin: float

    @property
    def words(self) -> str:
        """The band in words, to follow "stays"."""
        if isinstance(self.reference, AtLeast):
            return str(self.reference)
        centre = (
            "its mean over the last 10% of training" if self.reference == "final" else f"{self.reference:g}"
        )
        return f"within {self.margin:g} of {centre}"

    def inside(self, values: Curve, centre: float) -> npt.NDArray[np.bool_]:
        """Which values lie in the band.

        Parameters
        ----------
        values : ndarray
            The metric.
        centre : float
            What the reference amounts to for this curve.

        Returns
        -------
        ndarray of bool
            The ends belong to the band; an infinite value never does.
        """
        if isinstance(self.reference, AtLeast):
            return (values >= self.reference.threshold) & np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.abs(values - centre) <= self.margin


@dataclass(frozen=True)
class Onset:
    """What one curve says about its onset.

    Attributes
    ----------
    outcome : str
        ``bracket``, ``left-censored``, ``never``, ``too short to tell`` or ``undefined``.
    last_out : float
        Last tested checkpoint outside the band, also of a run that never locks; NaN where there is none.
    first_in : float
        First checkpoint from which the run stays inside; NaN where there is none.
    onset : str
        The bracket as text.
    centre : float
        Middle of the band for this curve, or the threshold.
    training_steps : float
        Length of training that the persistence refers to.
    n_checkpoints : int
        Checkpoints tested.
    reason : str
        Why there is no bracket, or what it rests on.
    n_undefined_before : int
        Steps before the first checkpoint with a value, of which nothing is known.
    """

    outcome: Outcome
    last_out: float
    first_in: float
    onset: str
    centre: float
    training_steps: float
    n_checkpoints: int
    reason: str
    n_undefined_before: int = 0

    QUANTITIES: ClassVar[tuple[str, ...]] = (
        "last_out",
        "first_in",
        "outcome",
        "onset",
        "centre",
        "training_steps",
        "n_checkpoints",
        "reason",
        "n_undefined_before",
    )


def find_onset(steps: Curve, values: Curve, band: Band, persistence: float, training_steps: float) -> Onset:
    """Exact onset of one curve.

    Parameters
    ----------
    steps : ndarray
        Ascending.
    values : ndarray
        The metric; NaN where the run has no checkpoint.
    band : Band
        Where it has to stay.
    persistence : float
        Share of training for which it has to stay.
    training_steps : float
        Length of training; NaN means the last checkpoint.

    Returns
    -------
    Onset
        Outcome and bracket.

    Examples
    --------
    >>> steps, values = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 1.0, 1.0])
    >>> find_onset(steps, values, Band(1.0, 0.1), 0.25, 4.0).onset
    '(1, 2]'
    """
    here = ~np.isnan(values)
    steps, values = steps[here], values[here]
    if not steps.size:
        return _without("undefined", math.nan, training_steps, 0, "no checkpoint of this run has a value")
    length = float(steps[-1]) if math.isnan(training_steps) else training_steps
    centre, tested = _reference(steps, values, band, length)
    if not tested.any():
        reason = "all checkpoints lie in the last 10% of training, which are the reference"
        return _without("too short to tell", centre, length, 0, reason)
    inside = band.inside(values[tested], centre)
    # A run that may still enter in time has not missed it.
    unfinished = float(steps[-1]) + persistence * length < length * (1 - 1e-9)
    found = _classified(steps[tested], inside, centre, length, persistence, unfinished)
    before = int(here.argmax())
    if not inside.all():
        return replace(found, n_undefined_before=before)
    told = _already_inside(found.first_in, before) if found.outcome == "left-censored" else found.reason
    return replace(found, reason=told + _flatness(values, band), n_undefined_before=before)


def _already_inside(entered: float, before: int) -> str:
    if not before:
        return f"inside the band at the first checkpoint already, so the onset is at most step {entered:g}"
    earlier = f"the {before} earlier steps have" if before > 1 else "the earlier step has"
    return (
        f"inside the band at the first checkpoint with a value (step {entered:g}); {earlier} none, so nothing "
        f"is known of the run before, only that the onset is at most step {entered:g}"
    )


def _flatness(values: Curve, band: Band) -> str:
    """Say that a curve could not have been outside, which a left-censored onset alone does not."""
    extent = float(np.ptp(values))
    if extent == 0:
        return "; the curve is constant"
    return (
        f"; the whole curve varies by no more than the margin {band.margin:g}"
        if extent <= band.margin
        else ""
    )


def _reference(steps: Curve, values: Curve, band: Band, length: float) -> tuple[float, npt.NDArray[np.bool_]]:
    if isinstance(band.reference, AtLeast):
        return band.reference.threshold, np.ones(steps.shape, dtype=np.bool_)
    if band.reference != "final":
        return float(band.reference), np.ones(steps.shape, dtype=np.bool_)
    last = steps > (1 - LAST) * length
    last[-1] = True
    return float(values[last].mean()), ~last


def _classified(
    steps: Curve,
    inside: npt.NDArray[np.bool_],
    centre: float,
    length: float,
    persistence: float,
    unfinished: bool,
) -> Onset:
    count = steps.size
    if not inside[-1]:
        reason = f"outside the band at the last tested checkpoint, step {steps[-1]:g}"
        if not unfinished:
            return _without("never", centre, length, count, reason, float(steps[-1]))
        reason += f", but training goes on to {length:g} and the run may still enter in time"
        return _without("too short to tell", centre, length, count, reason, float(steps[-1]))
    first = int(np.flatnonzero(~inside)[-1]) + 1 if not inside.all() else 0
    left = float(steps[first - 1]) if first else math.nan
    stay = float(steps[-1] - steps[first])
    if stay < persistence * length:
        reason = (
            f"inside the band from step {steps[first]:g}, but the {stay:g} steps tested since are less than "
            f"{persistence:.0%} of {length:g}"
        )
        return _without("too short to tell", centre, length, count, reason, left)
    entered = float(steps[first])
    if first == 0:
        return Onset("left-censored", math.nan, entered, f"<= {entered:g}", centre, length, count, "")
    return Onset("bracket", left, entered, f"({left:g}, {entered:g}]", centre, length, count, "")


def _without(
    outcome: Outcome, centre: float, length: float, count: int, reason: str, last_out: float = math.nan
) -> Onset:
    return Onset(outcome, last_out, math.nan, outcome, centre, length, count, reason)
