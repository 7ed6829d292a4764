"""The t-interval over runs, for all cells at once."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

__all__ = ["Moments", "moments", "p_value", "t_quantile"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and variance over runs per cell.

    Attributes
    ----------
    n : xarray.DataArray
        Runs with a value.
    mean : xarray.DataArray
        NaN where there is none.
    variance : xarray.DataArray
        Unbiased; NaN below two runs.
    identical : xarray.DataArray
        Whether two or more runs hold one value, as far as their variance can tell.
    infinite : xarray.DataArray
        Whether a run's value is infinite.
    """

    n: xr.DataArray
    mean: xr.DataArray
    variance: xr.DataArray
    identical: xr.DataArray
    infinite: xr.DataArray

    @property
    def has_interval(self) -> xr.DataArray:
        """Where seed-to-seed variation can be estimated."""
        return (self.n >= 2) & ~self.identical & ~self.infinite


def moments(values: xr.DataArray, sample_dim: str) -> Moments:
    """Moments over runs.

    Parameters
    ----------
    values : xarray.DataArray
        One value per run and cell, NaN where a run has none.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    Moments
        Over what is left.
    """
    n = values.notnull().sum(sample_dim)
    some, several = n > 0, n > 1
    with np.errstate(invalid="ignore"):
        mean = values.sum(sample_dim, skipna=True) / n.where(some)
        variance = ((values - mean) ** 2).sum(sample_dim, skipna=True) / (n - 1).where(several)
    same = values.fillna(-np.inf).max(sample_dim) == values.fillna(np.inf).min(sample_dim)
    infinite = (abs(values) == np.inf).any(sample_dim)
    # The mean of equal values may differ from them in its last bit, which would leave a spurious variance.
    exact = mean.where(~same, values.fillna(-np.inf).max(sample_dim)).where(some)
    # Squares of differences below 1e-162 underflow: like equal values, they leave no variance to speak of.
    return Moments(n, exact, variance, (same | (variance == 0)) & several, infinite)


def t_quantile(level: float, df: xr.DataArray) -> xr.DataArray:
    """Two-sided Student quantile per cell.

    Parameters
    ----------
    level : float
        Confidence level.
    df : xarray.DataArray
        Degrees of freedom; NaN or below 1e-9 gives NaN.

    Returns
    -------
    xarray.DataArray
        The factor of the standard error.
    """
    from scipy import stats

    distinct, place = np.unique(df.values, return_inverse=True)
    usable = np.isfinite(distinct) & (distinct > 0)
    quantiles = np.full(distinct.shape, np.nan)
    quantiles[usable] = stats.t.ppf((1 + level) / 2, distinct[usable])
    return df.copy(data=quantiles[place].reshape(df.shape))


def p_value(statistic: xr.DataArray, df: xr.DataArray) -> xr.DataArray:
    """Two-sided p-value of a t statistic per cell.

    Parameters
    ----------
    statistic, df : xarray.DataArray
        NaN where undefined.

    Returns
    -------
    xarray.DataArray
        In [0, 1], or NaN.
    """
    from scipy import stats

    return df.copy(data=2 * stats.t.sf(np.abs(statistic.values), df.values))
