"""Four bootstrap intervals from the same resamples (Davison and Hinkley 1997, chapter 5)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from geostat.errors import SampleError
from geostat.statistics.bootstraps.resampling import HELD, Array, Estimator, Resamples, draw, jackknife, parts

__all__ = ["METHODS", "Interval", "Method", "bootstrap_interval", "check_resamples"]

Method = Literal["percentile", "basic", "bca", "bootstrap-t"]

NO_SPREAD = 1e-9
"""Standard error of a resample, relative to the sample's, that is taken for zero."""


@dataclass(frozen=True, eq=False)
class Interval:
    """Estimates and ends, one per cell.

    Attributes
    ----------
    estimate, low, high : ndarray
        Ends may be infinite (bootstrap-t), or NaN where the method is undefined.
    error : ndarray
        Standard deviation of the statistic over resamples.
    degenerate : ndarray
        Share of resamples without spread (bootstrap-t) or without a value.
    """

    estimate: Array
    low: Array
    high: Array
    error: Array
    degenerate: Array


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What the formulas of a method need."""

    estimator: Estimator
    units: Array
    axis: int
    resamples: Resamples
    estimate: Array
    values: Array
    tail: float

    def ordered(self, values: Array, below: Array | float, above: Array | float) -> tuple[Array, Array]:
        """Order statistics (R + 1) p of the lower and of the upper tail, rounded outwards."""
        count = self.resamples.count
        ranked = np.sort(values, axis=-1)
        # The allowance undoes rounding of 1 - level, which would move an exact rank outwards by one.
        low = np.floor((count + 1) * np.broadcast_to(below, len(ranked)) + 1e-9)
        high = np.ceil((count + 1) * np.broadcast_to(above, len(ranked)) - 1e-9)
        places = [np.clip(np.nan_to_num(p), 1, count).astype(np.intp) - 1 for p in (low, high)]
        first, last = (np.take_along_axis(ranked, place[:, None], axis=-1)[:, 0] for place in places)
        return np.where(np.isnan(low), np.nan, first), np.where(np.isnan(high), np.nan, last)


def bootstrap_interval(
    units: Array,
    estimator: Estimator,
    method: Method,
    *,
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
    vectors: bool = False,
) -> Interval:
    r"""Bootstrap interval of a statistic of independent units.

    With :math:`\theta` the estimate, :math:`\theta^*_{(r)}` its ordered values over R resamples and
    :math:`\alpha = 1 - \mathrm{level}`, order statistics :math:`(R+1)p`:

    - percentile: :math:`\theta^*_{(\alpha/2)}, \theta^*_{(1-\alpha/2)}` (their equation 5.18);
    - basic: :math:`2\theta - \theta^*_{(1-\alpha/2)}, 2\theta - \theta^*_{(\alpha/2)}` (5.6);
    - BCa: percentiles at :math:`\Phi(w + (w + z_p) / (1 - a (w + z_p)))` (5.21) with the bias correction
      w from the share of resamples below the estimate and the acceleration a from the jackknife (5.26);
    - bootstrap-t: :math:`\theta - \sigma\, t^*_{(1-\alpha/2)}, \theta - \sigma\, t^*_{(\alpha/2)}` with
      :math:`t^* = (\theta^* - \theta) / \sigma^*` (5.7).

    A resample whose units are all equal has :math:`\sigma^* = 0`: its :math:`t^*` counts as infinite, on the
    side on which it lies. So few units give infinite ends instead of ends that are too close.

    Parameters
    ----------
    units : ndarray
        Cells by units; with ``vectors``, cells by units by numbers of one unit. No NaN.
    estimator : Estimator
        What is estimated.
    method : {"percentile", "basic", "bca", "bootstrap-t"}
        Which interval.
    level : float
        Confidence level in (0, 1).
    n_resamples : int
        Resamples R.
    rng : numpy.random.Generator
        Source of random numbers.
    vectors : bool
        Whether a unit is a vector.

    Returns
    -------
    Interval
        One entry per cell.

    Raises
    ------
    SampleError
        If the method is unknown or there are too few resamples for the level.

    References
    ----------
    :cite:t:`davison1997`.
    """
    if method not in METHODS:
        raise SampleError(f"method={method!r} is not known. Pass one of {', '.join(METHODS)}.")
    tail = (1 - level) / 2
    check_resamples(n_resamples, level)
    axis = -2 if vectors else -1
    resamples = draw(units.shape[1], n_resamples, rng)
    size = max(1, HELD // (n_resamples * units.shape[1]))
    found = [
        _of_cells(units[part], estimator, method, axis, resamples, tail) for part in parts(len(units), size)
    ]
    return Interval(*(np.concatenate(column) for column in zip(*found, strict=True)))


def check_resamples(n_resamples: int, level: float) -> None:
    """Refuse resamples that are too few for the level.

    Parameters
    ----------
    n_resamples : int
        At least 2 / (1 - level) - 1, so that both ends are among them.
    level : float
        Confidence level.

    Raises
    ------
    SampleError
        Otherwise.
    """
    whole = isinstance(n_resamples, int | np.integer) and not isinstance(n_resamples, bool)
    fewest = math.ceil(2 / (1 - level) - 1e-9) - 1
    if not whole or n_resamples < fewest:
        raise SampleError(
            f"n_resamples={n_resamples!r} cannot give an interval of level {level:g}: its ends are order "
            f"statistics of the resamples, of which {fewest} are the fewest. Pass 9999."
        )


def _of_cells(
    units: Array, estimator: Estimator, method: Method, axis: int, resamples: Resamples, tail: float
) -> tuple[Array, Array, Array, Array, Array]:
    estimate = estimator.statistic(units, axis)
    values = resamples.values(estimator, units, axis)
    drawn = _Drawn(estimator, units, axis, resamples, estimate, values, tail)
    undefined = ~np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        low, high, degenerate = METHODS[method](drawn)
        error = values.std(axis=-1, ddof=1)
    lost = undefined.any(axis=-1)
    low, high = np.where(lost, np.nan, low), np.where(lost, np.nan, high)
    return estimate, low, high, error, np.where(lost, undefined.mean(axis=-1), degenerate)


def _percentile(drawn: _Drawn) -> tuple[Array, Array, Array]:
    return *drawn.ordered(drawn.values, drawn.tail, 1 - drawn.tail), np.zeros(len(drawn.values))


def _basic(drawn: _Drawn) -> tuple[Array, Array, Array]:
    low, high, none = _percentile(drawn)
    return 2 * drawn.estimate - high, 2 * drawn.estimate - low, none


def _bca(drawn: _Drawn) -> tuple[Array, Array, Array]:
    from scipy import special

    estimate = drawn.estimate[:, None]
    below = ((drawn.values < estimate).mean(axis=-1) + (drawn.values <= estimate).mean(axis=-1)) / 2
    bias = special.ndtri(below)
    left_out = jackknife(drawn.estimator.statistic, drawn.units, drawn.axis)
    pulls = left_out.mean(axis=-1, keepdims=True) - left_out
    acceleration = (pulls**3).sum(axis=-1) / (6 * (pulls**2).sum(axis=-1) ** 1.5)
    levels = []
    for tail in (drawn.tail, 1 - drawn.tail):
        shifted = bias + special.ndtri(tail)
        room = 1 - acceleration * shifted
        levels.append(special.ndtr(bias + shifted / np.where(room > 0, room, np.nan)))
    usable = np.isfinite(bias) & np.isfinite(levels[0]) & np.isfinite(levels[1])
    ends = drawn.ordered(drawn.values, *(np.where(usable, p, np.nan) for p in levels))
    return *ends, np.zeros(len(drawn.values))


def _bootstrap_t(drawn: _Drawn) -> tuple[Array, Array, Array]:
    error = drawn.estimator.standard_error(drawn.units, drawn.axis)
    errors = drawn.resamples.errors(drawn.estimator, drawn.units, drawn.axis)
    away = drawn.values - drawn.estimate[:, None]
    flat = errors <= NO_SPREAD * error[:, None]
    beyond = np.where(away == 0, 0.0, np.copysign(np.inf, away))
    pivots = np.where(flat, beyond, away / errors)
    below, above = drawn.ordered(pivots, drawn.tail, 1 - drawn.tail)
    return drawn.estimate - above * error, drawn.estimate - below * error, flat.mean(axis=-1)


METHODS: Mapping[str, Callable[[_Drawn], tuple[Array, Array, Array]]] = {
    "percentile": _percentile,
    "basic": _basic,
    "bca": _bca,
    "bootstrap-t": _bootstrap_t,
}
