"""Onsets known up to checkpoints: the bounds that a run's bracket sets, and exact counts of runs."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

__all__ = ["Bounds", "clopper_pearson", "onset_bounds", "runs_for_median", "without_value"]

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """What the checkpoints say of each run's onset: it lies in (lower, upper].

    Attributes
    ----------
    lower, upper : xarray.DataArray
        Steps; minus infinity and infinity where the checkpoints set no bound.
    never : xarray.DataArray
        Whether the run is outside at its last tested checkpoint, so that it has no onset in this training.
    unknown : xarray.DataArray
        Whether the run is too short to tell, or has no value.
    """

    lower: xr.DataArray
    upper: xr.DataArray
    never: xr.DataArray
    unknown: xr.DataArray


def onset_bounds(found: xr.Dataset) -> Bounds:
    """Bounds of the onset of every run.

    Parameters
    ----------
    found : xarray.Dataset
        ``outcome``, ``last_out`` and ``first_in`` as `lock_brackets` has them.

    Returns
    -------
    Bounds
        Over the same runs and cells.
    """
    outcome = found["outcome"].values
    array = found["last_out"]
    return Bounds(
        array.fillna(-np.inf),
        found["first_in"].fillna(np.inf),
        array.copy(data=outcome == "never"),
        array.copy(data=(outcome == "too short to tell") | (outcome == "undefined")),
    )


def without_value(found: xr.Dataset, like: xr.DataArray, sample_dim: str) -> xr.DataArray:
    """Tell in which cells no run has a value.

    Parameters
    ----------
    found : xarray.Dataset
        ``outcome`` as `lock_brackets` has it.
    like : xarray.DataArray
        The cells.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    xarray.DataArray
        Boolean, shaped like `like`.
    """
    undefined = found["last_out"].copy(data=found["outcome"].values == "undefined")
    return undefined.all(sample_dim).broadcast_like(like).transpose(*like.dims)


def clopper_pearson(
    hits: Counts, possible: Counts, n: Counts, level: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    r"""Exact interval for a share of which some units are undecided.

    With k hits among n the ends are quantiles of beta distributions,

    .. math:: B_{(1-\mathrm{level})/2}(k,\; n-k+1) \quad\text{and}\quad B_{(1+\mathrm{level})/2}(k+1,\; n-k)

    the lower one with the units that certainly hit, the upper one with those that possibly do.

    Parameters
    ----------
    hits, possible : ndarray of int
        Units that certainly, and that possibly, hit.
    n : ndarray of int
        Units.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    tuple of ndarray
        Lower and upper ends; NaN where n is 0.

    Examples
    --------
    >>> low, high = clopper_pearson(np.array([6]), np.array([6]), np.array([6]), 0.95)
    >>> round(float(low[0]), 3), float(high[0])
    (0.541, 1.0)
    """
    from scipy import stats

    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits == 0, 0.0, stats.beta.ppf(tail, hits, n - hits + 1))
        high = np.where(possible == n, 1.0, stats.beta.ppf(1 - tail, possible + 1, n - possible))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def runs_for_median(level: float) -> int:
    """Fewest runs whose smallest and largest values enclose the median with this confidence.

    Parameters
    ----------
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    int
        Smallest S with 1 - 2^(1 - S) >= level.

    Examples
    --------
    >>> runs_for_median(0.95)
    6
    """
    return max(2, math.ceil(1 - math.log2(1 - level) - 1e-12))
