"""Symmetric laws of the entries of an update, and their fit to the steps that storage let through."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.nulls.gates.bins import LARGEST_STEP, MagnitudeBins
from geostat.nulls.gates.readings import binades, reach

__all__ = ["LAWS", "Law", "fit_by_density", "fit_by_steps", "student"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Interval = tuple[float, float]

_SHAPES = (0.5, 200.0)
"""Degrees of freedom between which Student's law is fitted."""
_TINY = 1e-300


@dataclass(frozen=True)
class Law:
    """Law of the absolute value of an entry of the update.

    Attributes
    ----------
    name : str
        For tables.
    survival : callable
        Probability of more than so many scales.
    scale : float
        In the weights' unit.
    shape : float
        Degrees of freedom; NaN where the law has no shape.
    """

    name: str
    survival: Callable[[Floats], Floats]
    scale: float = 1.0
    shape: float = np.nan

    def beyond(self, length: Floats) -> Floats:
        """Probability of a longer step.

        Parameters
        ----------
        length : numpy.ndarray
            In the weights' unit.

        Returns
        -------
        numpy.ndarray
            In [0, 1].
        """
        return self.survival(length / self.scale)

    def visible(self, bins: MagnitudeBins) -> Floats:
        """Probability that an entry changes visibly.

        Parameters
        ----------
        bins : MagnitudeBins
            Bins of W_0's magnitude.

        Returns
        -------
        numpy.ndarray
            Shape (bins,).
        """
        lengths, outer, inner = bins.smallest_steps
        beyond = self.beyond(lengths)
        return (beyond[outer] + beyond[inner]) / 2

    def scaled(self, scale: float) -> "Law":
        """Return the same law at another scale.

        Parameters
        ----------
        scale : float
            In the weights' unit.

        Returns
        -------
        Law
            Of that scale.
        """
        return Law(self.name, self.survival, scale, self.shape)


def _gaussian(x: Floats) -> Floats:
    from scipy.special import erfc

    return np.asarray(erfc(x / np.sqrt(2)))


def _laplace(x: Floats) -> Floats:
    return np.exp(-x)


def student(shape: float) -> Law:
    """Student's law.

    Parameters
    ----------
    shape : float
        Degrees of freedom.

    Returns
    -------
    Law
        Scale 1.
    """
    from scipy.special import stdtr

    return Law("student-t", lambda x: np.asarray(2 * stdtr(shape, -x), dtype=np.float64), shape=shape)


LAWS = ("gaussian", "laplace", "student-t")
"""Names of the laws."""
_FIXED = {"gaussian": Law("gaussian", _gaussian), "laplace": Law("laplace", _laplace)}


def fit_by_density(name: str, bins: MagnitudeBins, counts: Integers, near: Law | None = None) -> Law:
    """Law whose scale gives the observed density, its shape fitted to the sizes of visible steps.

    Parameters
    ----------
    name : str
        One of `LAWS`.
    bins : MagnitudeBins
        Bins of W_0's magnitude.
    counts : numpy.ndarray
        Shape (levels, codes).
    near : Law, optional
        Fit to nearly the same counts: the search stays within a factor of two of it.

    Returns
    -------
    Law
        With exactly the observed number of visible entries in expectation.
    """
    merged = counts.sum(axis=0)
    entries, changed = bins.totals(merged), int(bins.changed(merged).sum())
    if name in _FIXED:
        return _tuned(_FIXED[name], bins, entries, changed)
    steps = _Steps(bins, counts)
    shapes = _around(None if near is None else near.shape, _SHAPES)
    return _best(lambda shape: _tuned(student(shape), bins, entries, changed), steps.log_likelihood, shapes)


def fit_by_steps(name: str, bins: MagnitudeBins, counts: Integers, near: Law | None = None) -> Law:
    """Law whose scale and shape are the most likely ones, given the sizes of visible steps alone.

    Parameters
    ----------
    name : str
        One of `LAWS`.
    bins : MagnitudeBins
        Bins of W_0's magnitude.
    counts : numpy.ndarray
        Shape (levels, codes).
    near : Law, optional
        Fit to nearly the same counts: the search stays within a factor of two of it.

    Returns
    -------
    Law
        It says how many entries remain invisible, which the fit did not look at.
    """
    steps = _Steps(bins, counts)
    scales = _around(None if near is None else near.scale, steps.reach_of_scales)
    shapes = _around(None if near is None else near.shape, _SHAPES)

    def scaled(law: Law) -> Law:
        return _best(law.scaled, steps.log_likelihood, scales)

    if name in _FIXED:
        return scaled(_FIXED[name])
    return _best(lambda shape: scaled(student(shape)), steps.log_likelihood, shapes)


class _Steps:
    """Sizes of the visible steps, in the binades in which they are counted one by one."""

    def __init__(self, bins: MagnitudeBins, counts: Integers) -> None:
        hits = reach(bins, counts).hits
        self._exactly = hits - np.append(hits[:, 1:], np.zeros((len(hits), 1), dtype=np.int64), axis=1)
        self._threshold = (np.arange(LARGEST_STEP) + 0.5) * binades(bins)[1][:, None]

    @property
    def reach_of_scales(self) -> Interval:
        """Between which a scale is looked for."""
        return float(self._threshold.min() / 10), float(self._threshold.max() * 10)

    def log_likelihood(self, law: Law) -> float:
        """Of the sizes, given that the steps are visible."""
        beyond = law.beyond(self._threshold)
        exactly = beyond - np.append(beyond[:, 1:], np.zeros((len(beyond), 1)), axis=1)
        chance = exactly.clip(min=_TINY) / beyond[:, :1].clip(min=_TINY)
        return float((self._exactly * np.log(chance.clip(min=_TINY))).sum())


def _tuned(law: Law, bins: MagnitudeBins, entries: Integers, changed: int) -> Law:
    """The law at the scale at which so many entries change visibly."""
    from scipy.optimize import brentq

    def surplus(log_scale: float) -> float:
        return float(entries @ law.scaled(np.exp(log_scale)).visible(bins)) - changed

    low, high = np.log(bins.inner.min()) - 3, np.log(bins.outer.max()) + 12
    return law.scaled(float(np.exp(brentq(surplus, low, high, xtol=1e-8))))


def _around(value: float | None, widest: Interval) -> Interval:
    if value is None:
        return widest
    return max(widest[0], value / 2), min(widest[1], value * 2)


def _best(make: Callable[[float], Law], likelihood: Callable[[Law], float], ends: Interval) -> Law:
    """Maximise over the logarithm of a parameter."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_value: -likelihood(make(float(np.exp(log_value)))),
        bounds=tuple(np.log(ends)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return make(float(np.exp(found.x)))
