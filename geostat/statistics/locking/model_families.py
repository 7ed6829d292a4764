"""Families of settling curves: 1 at the first checkpoint, 0 at the last, indexed by their onset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError

__all__ = ["FAMILIES", "Family", "FamilyName", "choose_families"]

FamilyName = Literal["hinge", "exponential", "power", "stretched", "logarithmic", "step"]
Array = npt.NDArray[np.float64]

SHORTEST, LONGEST = -60.0, 14.0
"""Natural logarithms of the time constants between which an onset is inverted."""

BISECTIONS = 60

FLAT = 1e-12
"""Change between a run's first and last checkpoint below which a curve shows it none."""


@dataclass(frozen=True)
class Family:
    r"""A curve :math:`m(x; \tau)` over training scaled to [0, 1].

    .. math:: m(x; \tau) = \frac{g(x / \tau) - g(1 / \tau)}{g(0) - g(1 / \tau)}

    Attributes
    ----------
    name : str
        As users call it.
    formula : str
        g in words.
    shape : callable
        g, decreasing from 1.
    compact : bool
        Whether g is constant from some time on, so that its onset is known in closed form.
    """

    name: FamilyName
    formula: str
    shape: Callable[[Array], Array]
    compact: bool

    def curve(self, x: Array, tau: Array) -> Array:
        """Curve at times.

        Parameters
        ----------
        x : ndarray, shape (T,)
            Time, 0 at the first and 1 at the last checkpoint.
        tau : ndarray, shape (G,)
            Time constants, above 0.

        Returns
        -------
        ndarray, shape (G, T)
            1 at x = 0, 0 at x = 1.
        """
        return self._scaled(x, tau[:, None])

    def seen_by(self, x: Array, tau: Array) -> Array:
        """Curve at the checkpoints of one run, scaled to 1 at its own first and 0 at its own last.

        A change before the run's first checkpoint looks like one right after it, and a change after
        its last like one right before: the nearest that the run could have seen.

        Parameters
        ----------
        x : ndarray, shape (T,)
            Its checkpoints, as in `curve`.
        tau : ndarray, shape (G,)
            Time constants.

        Returns
        -------
        ndarray, shape (G, T)
            None of them constant.
        """
        whole = self.curve(x, tau)
        first, last = whole[:, :1], whole[:, -1:]
        visible = first - last > FLAT
        scaled = (whole - last) / np.where(visible, first - last, 1.0)
        place = np.arange(len(x))
        steepest = np.where(first > 0.5, place < len(x) - 1, place < 1)
        return np.where(visible, scaled, steepest)

    def _scaled(self, x: Array, tau: Array) -> Array:
        end = self.shape(1 / tau)
        scaled: Array = (self.shape(x / tau) - end) / (1 - end)
        return scaled

    def largest_onset(self, target: float) -> float:
        """Onset of the slowest curve, as a share of the run.

        Parameters
        ----------
        target : float
            Share of the change that counts as the onset.

        Returns
        -------
        float
            In (0, 1].
        """
        if self.compact:
            return 1.0 if self.name == "step" else target
        x = np.linspace(0, 1, 100_001)
        slowest = self.curve(x, np.exp([LONGEST]))[0]
        return float(x[np.searchsorted(-slowest, target - 1)])

    def time_constant(self, onset: Array, target: float) -> Array:
        """Time constant of the curve that has made a share of its change by the onset.

        Parameters
        ----------
        onset : ndarray
            In (0, `largest_onset`).
        target : float
            That share.

        Returns
        -------
        ndarray
            Same shape; increasing in the onset.
        """
        if self.compact:
            return onset if self.name == "step" else onset / target
        low, high = np.full(onset.shape, SHORTEST), np.full(onset.shape, LONGEST)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            late = self._scaled(onset, np.exp(middle)) > 1 - target
            low, high = np.where(late, low, middle), np.where(late, middle, high)
        middle_tau: Array = np.exp((low + high) / 2)
        return middle_tau


def _hinge(z: Array) -> Array:
    return np.maximum(0.0, 1 - z)


def _exponential(z: Array) -> Array:
    return np.exp(-z)


def _power(z: Array) -> Array:
    return 1 / (1 + z)


def _stretched(z: Array) -> Array:
    return np.exp(-np.sqrt(z))


def _logarithmic(z: Array) -> Array:
    return 1 - np.log1p(z)


def _step(z: Array) -> Array:
    return (z < 1).astype(np.float64)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("hinge", "a straight line that stops at tau", _hinge, compact=True),
        Family("exponential", "exp(-x / tau)", _exponential, compact=False),
        Family("power", "1 / (1 + x / tau)", _power, compact=False),
        Family("stretched", "exp(-sqrt(x / tau))", _stretched, compact=False),
        Family("logarithmic", "-log(1 + x / tau)", _logarithmic, compact=False),
        Family("step", "a jump at tau", _step, compact=True),
    )
}


def choose_families(names: Sequence[str]) -> tuple[Family, ...]:
    """Families by name.

    Parameters
    ----------
    names : sequence of str
        Without repetition.

    Returns
    -------
    tuple of Family
        In that order.

    Raises
    ------
    SampleError
        If one is not known or repeated, or there is none.
    """
    asked = (names,) if isinstance(names, str) else tuple(names)
    unknown = [name for name in asked if name not in FAMILIES]
    if unknown or not asked or len(set(asked)) < len(asked):
        raise SampleError(
            f"families={names!r}: pass one or several of {', '.join(FAMILIES)}, each once"
            + (f"; {unknown[0]!r} is not among them." if unknown else ".")
        )
    return tuple(FAMILIES[name] for name in asked)
