"""From matrices to one value per run: exact, because a run's matrices are a fixed list and no sample."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.statistics.runs.arguments import Sample

__all__ = ["RunValues", "aggregate", "cell_array", "defined_in_every_run"]


@dataclass(frozen=True)
class RunValues:
    """One value per run and cell, in memory.

    Attributes
    ----------
    values : xarray.DataArray
        The average over matrices; NaN where the run has no value.
    spread : xarray.DataArray
        Standard deviation over matrices within a run, averaged over runs: heterogeneity, no uncertainty.
    n_matrices, n_undefined : xarray.DataArray
        Matrices averaged, and matrices left out because some run has no value for them there.
    undefined : tuple of str
        Names of the matrices left out anywhere.
    """

    values: xr.DataArray
    spread: xr.DataArray
    n_matrices: xr.DataArray
    n_undefined: xr.DataArray
    undefined: tuple[str, ...]


def defined_in_every_run(values: xr.DataArray, dim: str, sample_dim: str) -> xr.DataArray:
    """Which matrices have a value in every run that has any value there.

    A run without any value at a cell has no checkpoint there and restricts nothing.

    Parameters
    ----------
    values : xarray.DataArray
        NaN where undefined.
    dim, sample_dim : str
        Matrices and runs.

    Returns
    -------
    xarray.DataArray
        Boolean, without the sample dimension.
    """
    defined = values.notnull()
    present = defined.any(dim)
    return (defined | ~present).all(sample_dim) & present.any(sample_dim)


def aggregate(
    sample: Sample, runs: Sequence[int] | None = None, keep: xr.DataArray | None = None
) -> RunValues:
    """Average each run over its matrices, the same matrices in every run.

    Parameters
    ----------
    sample : Sample
        One metric.
    runs : sequence of int, optional
        Positions along the sample dimension; all by default.
    keep : xarray.DataArray, optional
        Matrices to average; by default those defined in every one of these runs.

    Returns
    -------
    RunValues
        In memory.
    """
    values = sample.values if runs is None else sample.values.isel({sample.sample_dim: list(runs)})
    if sample.dim is None:
        return _already_per_run(values.compute(), sample.sample_dim)
    kept_where = defined_in_every_run(values, sample.dim, sample.sample_dim) if keep is None else keep
    with np.errstate(invalid="ignore"):
        return _averaged(values, kept_where, sample).compute()


@dataclass(frozen=True)
class _Lazy:
    """The same arrays as `RunValues`, possibly not computed yet."""

    arrays: xr.Dataset
    dim: str

    def compute(self) -> RunValues:
        """Bring everything into memory in one pass over the data."""
        done = self.arrays.compute()
        anywhere = done["excluded"]
        names = anywhere[self.dim].values if self.dim in anywhere.coords else np.arange(anywhere.size)
        undefined = tuple(str(name) for name in names[anywhere.values])
        return RunValues(done["values"], done["spread"], done["kept"], done["undefined"], undefined)


def _averaged(values: xr.DataArray, keep: xr.DataArray, sample: Sample) -> _Lazy:
    dim, sample_dim = str(sample.dim), sample.sample_dim
    weights = (
        values["n_params"].astype(np.float64)
        if sample.weighting == "parameters"
        else xr.ones_like(values[dim], dtype=np.float64)
    )
    share = weights.where(keep, 0.0)
    share = share / share.sum(dim).where(lambda total: total > 0)
    present = values.notnull().any(dim)
    kept = values.where(keep & present)
    mean = (kept * share).sum(dim, skipna=True).where(present & keep.any(dim))
    square = (((kept - mean) ** 2) * share).sum(dim, skipna=True).where(np.isfinite(mean))
    count = keep.sum(dim)
    spread = (square**0.5).where(count > 1).mean(sample_dim, skipna=True)
    undefined = ~keep & present.any(sample_dim)
    parts = {
        "values": mean,
        "spread": spread,
        "kept": count,
        "undefined": undefined.sum(dim),
        "excluded": undefined.any([d for d in undefined.dims if d != dim]),
    }
    return _Lazy(xr.Dataset({name: _bare(part) for name, part in parts.items()}), dim)


def _bare(array: xr.DataArray) -> xr.DataArray:
    return array.rename(None)


def _already_per_run(values: xr.DataArray, sample_dim: str) -> RunValues:
    cell = values.isel({sample_dim: 0}, drop=True)
    nothing = xr.zeros_like(cell, dtype=np.int64)
    return RunValues(values, xr.full_like(cell, np.nan), nothing, nothing, ())


def cell_array(array: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Bring a quantity into the shape of all cells, without attributes of what it was made from.

    Parameters
    ----------
    array : xarray.DataArray
        Some or all of the cells' dimensions.
    like : xarray.DataArray
        The cells.

    Returns
    -------
    xarray.DataArray
        Same dimensions in the same order.
    """
    return array.broadcast_like(like).transpose(*like.dims).drop_attrs(deep=False).rename(None)
