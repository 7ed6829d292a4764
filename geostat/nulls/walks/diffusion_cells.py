"""Simulated figures beside the observed one: mean, interval, p-value, cell by cell."""

import math

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.runs.arguments import check_level

__all__ = ["check_draws", "null_cells"]

Floats = npt.NDArray[np.float64]


def check_draws(n: int, level: float) -> None:
    """Refuse fewer draws than the ends of the interval need.

    Parameters
    ----------
    n : int
        Draws.
    level : float
        In (0, 1).

    Raises
    ------
    SampleError
        If one draw would be more than a tail.
    """
    check_level(level)
    least = math.ceil(2 / (1 - level) - 1 - 1e-9)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise SampleError(
            f"n={n!r} draws cannot show where {level:.6g} of a null ends: the tails would hold less than one draw. "
            f"Pass n={least} or more, or a smaller level."
        )


def null_cells(observed: xr.DataArray, draws: Floats, level: float) -> xr.Dataset:
    r"""What `NullResult` holds, from draws.

    The p-value is two-sided, :math:`2 \min(1 + \#\{x_i \ge x\}, 1 + \#\{x_i \le x\}) / (n + 1)`, at most 1.

    Parameters
    ----------
    observed : xarray.DataArray
        Figures; NaN where there is none.
    draws : numpy.ndarray
        Shape (n, *observed.shape). Walks without the figure (rounding may leave an increment of zero) are left out;
        a cell that fewer than half of them have is NaN.
    level : float
        Share of draws between low and high.

    Returns
    -------
    xarray.Dataset
        ``observed``, ``null_mean``, ``null_sd``, ``low``, ``high``, ``p_value``, ``reason``.
    """
    cells = draws.reshape(len(draws), -1)
    count = np.isfinite(cells).sum(axis=0)
    known = np.asarray(2 * count >= len(draws))
    found = np.full((5, cells.shape[1]), np.nan)
    there = cells[:, known]
    found[:4, known] = [
        np.nanmean(there, axis=0),
        np.nanstd(there, axis=0, ddof=1),
        *np.nanquantile(there, [(1 - level) / 2, (1 + level) / 2], axis=0),
    ]
    values = observed.values.ravel()
    judged = known & np.isfinite(values)
    at_least = (cells[:, judged] >= values[judged]).sum(axis=0)
    at_most = (cells[:, judged] <= values[judged]).sum(axis=0)
    found[4, judged] = np.minimum(1.0, 2 * (1 + np.minimum(at_least, at_most)) / (count[judged] + 1))
    bare = observed.drop_attrs(deep=False).rename(None)
    names = ("null_mean", "null_sd", "low", "high", "p_value")
    arrays = {
        name: bare.copy(data=row.reshape(observed.shape)) for name, row in zip(names, found, strict=True)
    }
    return xr.Dataset({"observed": bare, **arrays, "reason": _reasons(bare, known)})


def _reasons(observed: xr.DataArray, known: npt.NDArray[np.bool_]) -> xr.DataArray:
    texts = np.full(known.size, "", dtype=object)
    texts[~known | np.isnan(observed.values.ravel())] = (
        "no figure here: none was measured, or no checkpoint lies one horizon later, or nothing has moved yet"
    )
    return observed.copy(data=texts.reshape(observed.shape).astype(np.dtypes.StringDType()))
