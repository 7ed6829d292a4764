"""How large the update was where a recipe locked: at tiny updates ranks and channels are noise."""

import numpy as np
import xarray as xr

from geostat.statistics.locking.curves import run_curves
from geostat.statistics.locking.recipes import RecipeCurves, joined
from geostat.statistics.runs.arguments import Weighting, gather

__all__ = ["size_at_onset"]


def size_at_onset(
    norm: xr.DataArray | None,
    found: RecipeCurves,
    first_in: xr.DataArray,
    dim: str | None,
    weighting: Weighting | None,
) -> xr.DataArray:
    """Mean over runs of the update's size at the upper end of the bracket, or at the end where there is none.

    Parameters
    ----------
    norm : xarray.DataArray or None
        ``relative_update_norm`` or ``update_norm`` of the same runs.
    found : RecipeCurves
        The metric that the verdict rests on.
    first_in : xarray.DataArray
        Upper ends in steps, per recipe and cell.
    dim : str or None
        Matrices.
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    xarray.DataArray
        Like `first_in`; NaN where the measurement has no such figure.
    """
    if norm is None or "step" not in norm.dims:
        return first_in * np.nan
    own = dim if dim in norm.dims else None
    sample_dim = found.sample.sample_dim
    (sample,) = gather(norm, dim=own, sample_dim=sample_dim, weighting=weighting).samples
    values = run_curves(sample, None)[0].values
    parts = [
        xr.Dataset({"size": values.isel({sample_dim: list(group.positions)}).mean(sample_dim, skipna=True)})
        for group in found.groups
    ]
    sizes = joined(parts, found.groups)["size"].dropna("step", how="all")
    if not sizes.sizes["step"]:
        return first_in * np.nan
    last = sizes.isel(step=-1, drop=True)
    place = np.searchsorted(sizes["step"].values, first_in.fillna(sizes["step"].values[-1]).values)
    there = sizes.isel(step=first_in.copy(data=np.minimum(place, sizes.sizes["step"] - 1))).drop_vars("step")
    size = there.where(first_in.notnull(), last).transpose(*first_in.dims)
    return size.drop_attrs(deep=False).rename(None)
