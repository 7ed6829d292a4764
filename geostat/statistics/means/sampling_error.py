"""The error of a mean or a contrast over seeds: what the half-width and the p-values are read from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.means.variances import (
    difference_scale,
    mixture_quantile,
    mixture_tail,
    moderated_posterior,
)
from geostat.statistics.runs.moments import Moments, t_quantile

__all__ = ["SamplingError", "moderated_error", "normal_error", "own_error", "pooled_error"]

Array = npt.NDArray[np.float64]

_CHUNK = 4096
"""Cells whose mixtures are held in memory at a time."""


@dataclass(frozen=True)
class SamplingError:
    """Standard error with its reference distribution, per cell.

    Attributes
    ----------
    error : xarray.DataArray
        Standard error; NaN where none can be estimated.
    df : xarray.DataArray
        Degrees of freedom of Student's distribution, infinite for the normal; NaN for a mixture.
    mixture : tuple of ndarray, optional
        Weight, error and degrees of freedom of K components of each cell: arrays (K, *cells).
    """

    error: xr.DataArray
    df: xr.DataArray
    mixture: tuple[Array, Array, Array] | None = None

    def half_width(self, level: float) -> xr.DataArray:
        """Half-width of the interval that covers with this level.

        Parameters
        ----------
        level : float
            In (0, 1).

        Returns
        -------
        xarray.DataArray
            On the scale of the error.
        """
        if self.mixture is not None:
            return self.error.copy(data=mixture_quantile(level, *self.mixture))
        return _quantile(level, self.df) * self.error

    def tail(self, distance: xr.DataArray) -> xr.DataArray:
        """One-sided p-value: the chance of an error of this distance or more.

        Parameters
        ----------
        distance : xarray.DataArray
            Of any sign, on the scale of the error.

        Returns
        -------
        xarray.DataArray
            In [0, 1], NaN where there is no error.
        """
        from scipy import stats

        if self.mixture is not None:
            return self.error.copy(data=mixture_tail(distance.values, *self.mixture))
        ratio = (distance / self.error).values
        normal = np.isinf(self.df.values)
        return self.error.copy(data=np.where(normal, stats.norm.sf(ratio), stats.t.sf(ratio, self.df.values)))


def _quantile(level: float, df: xr.DataArray) -> xr.DataArray:
    from scipy import stats

    return t_quantile(level, df).where(~np.isinf(df), stats.norm.ppf((1 + level) / 2))


def own_error(parts: Sequence[Moments]) -> SamplingError:
    r"""Error with every group's own variance; of two groups with Satterthwaite's degrees of freedom.

    .. math:: \nu = \frac{(\sum_g s_g^2 / n_g)^2}{\sum_g (s_g^2 / n_g)^2 / (n_g - 1)}

    Parameters
    ----------
    parts : sequence of Moments
        The groups whose means are subtracted, or the one group.

    Returns
    -------
    SamplingError
        NaN where a group has no variance.
    """
    usable = _usable(parts)
    shares = [found.variance / found.n.where(found.n > 0) for found in parts]
    total = _sum(shares).where(usable)
    if len(parts) == 1:
        return SamplingError(total**0.5, (parts[0].n - 1).where(usable))
    spent = _sum([s**2 / (f.n - 1).where(usable) for s, f in zip(shares, parts, strict=True)])
    return SamplingError(total**0.5, total**2 / spent)


def pooled_error(parts: Sequence[Moments], variances: Sequence[Moments]) -> SamplingError:
    r"""Error with one variance for all groups, :math:`\sum_g (n_g - 1) s_g^2 / \sum_g (n_g - 1)`.

    Parameters
    ----------
    parts : sequence of Moments
        The groups whose means are subtracted, or the one group.
    variances : sequence of Moments
        All groups that share the variance, ``parts`` among them.

    Returns
    -------
    SamplingError
        NaN where a group of ``parts`` has no variance of its own.
    """
    usable = _usable(parts)
    df = _sum([(f.n - 1).where(f.has_interval, 0) for f in variances])
    squares = _sum([((f.n - 1) * f.variance).where(f.has_interval, 0.0) for f in variances])
    pooled = squares / df.where(df > 0)
    return SamplingError((pooled * _inverse_counts(parts)).where(usable) ** 0.5, df.where(usable))


def normal_error(parts: Sequence[Moments], seed_sd: float) -> SamplingError:
    """Error with a standard deviation over seeds that is taken as known.

    Parameters
    ----------
    parts : sequence of Moments
        The groups whose means are subtracted, or the one group.
    seed_sd : float
        On the scale of the values.

    Returns
    -------
    SamplingError
        Normal; NaN where a group has no finite value.
    """
    usable = _all([(found.n > 0) & ~found.infinite for found in parts])
    error = (seed_sd**2 * _inverse_counts(parts)).where(usable) ** 0.5
    return SamplingError(error, xr.full_like(error, np.inf).where(usable))


def moderated_error(parts: Sequence[int], variances: Sequence[Moments]) -> SamplingError:
    """Error with variances that are draws from one distribution; see `moderated_posterior`.

    Parameters
    ----------
    parts : sequence of int
        Positions in ``variances`` of the groups whose means are subtracted, or of the one group.
    variances : sequence of Moments
        All groups that share the distribution.

    Returns
    -------
    SamplingError
        A mixture of t distributions; NaN where a group of ``parts`` has no variance of its own.
    """
    chosen = [variances[i] for i in parts]
    like = (_inverse_counts(chosen) * _usable(chosen)).drop_attrs()
    squares, df = (_stacked(arrays, like) for arrays in zip(*map(_variance_and_df, variances), strict=True))
    counts = _stacked([found.n for found in chosen], like)
    usable = _usable(chosen).broadcast_like(like).transpose(*like.dims).values.ravel()
    weight, error, degrees = _mixture(squares, df, counts, list(parts), usable)
    shape = (-1, *like.shape)
    mixture = weight.reshape(shape), error.reshape(shape), degrees.reshape(shape)
    total = np.sqrt(np.sum(mixture[0] * mixture[1] ** 2, axis=0))
    return SamplingError(like.copy(data=total), xr.full_like(like, np.nan, dtype=np.float64), mixture)


def _mixture(
    variance: Array, df: Array, counts: Array, parts: list[int], usable: npt.NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Components of the error of one mean, or of a difference of two."""
    pieces = []
    for start in range(0, usable.size, _CHUNK):
        here = slice(start, start + _CHUNK)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = moderated_posterior(variance[:, here], df[:, here])
            shares = found.variance[:, parts] / counts[:, here]
            total, degrees = difference_scale(shares, found.df[:, parts])
        none = ~usable[here]
        pieces.append([np.where(none, np.nan, part) for part in (found.weight, np.sqrt(total), degrees)])
    weight, error, degrees = (np.concatenate(part, axis=1) for part in zip(*pieces, strict=True))
    return weight, error, degrees


def _variance_and_df(found: Moments) -> tuple[xr.DataArray, xr.DataArray]:
    df = (found.n - 1).where(found.has_interval, 0)
    return found.variance.where(found.has_interval), df


def _stacked(arrays: Sequence[xr.DataArray], like: xr.DataArray) -> Array:
    """Groups first, cells in one row behind."""
    flat = [a.broadcast_like(like).transpose(*like.dims).values.ravel() for a in arrays]
    return np.stack(flat).astype(np.float64)


def _usable(parts: Sequence[Moments]) -> xr.DataArray:
    return _all([found.has_interval for found in parts])


def _inverse_counts(parts: Sequence[Moments]) -> xr.DataArray:
    return _sum([1 / found.n.where(found.n > 0) for found in parts])


def _sum(arrays: Sequence[xr.DataArray]) -> xr.DataArray:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


def _all(arrays: Sequence[xr.DataArray]) -> xr.DataArray:
    together = arrays[0]
    for array in arrays[1:]:
        together = together & array
    return together
