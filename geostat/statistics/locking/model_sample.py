"""From labelled curves of runs to plain arrays for a model, and back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.locking.model_runs import FEWEST
from geostat.statistics.locking.recipes import RecipeCurves, runs_of
from geostat.statistics.words.reasons import INFINITE, NO_VALUE, Reasons

__all__ = ["LEFT_OUT", "Curves", "curves_of_recipes", "model_reasons"]

Array = npt.NDArray[np.float64]

LEFT_OUT = f"runs are left out that are constant or have fewer than {FEWEST} checkpoints."


@dataclass(frozen=True)
class Curves:
    """Runs of one recipe in n cells.

    Attributes
    ----------
    values : ndarray, shape (n, S, T)
        NaN where a run has no checkpoint.
    steps : ndarray, shape (T,)
        Ascending.
    like : xarray.DataArray
        The cells.
    n_matrices : xarray.DataArray
        Matrices averaged per cell.
    whose : str
        Metric and recipe in words.
    """

    values: Array
    steps: Array
    like: xr.DataArray
    n_matrices: xr.DataArray
    whose: str

    @property
    def infinite(self) -> npt.NDArray[np.bool_]:
        """Cells in which some run has an infinite value."""
        return np.asarray(np.isinf(self.values).any(axis=(1, 2)))

    @property
    def finite(self) -> Array:
        """Values, without the cells that hold an infinite one."""
        return np.where(self.infinite[:, None, None], np.nan, self.values)

    @property
    def n_checkpoints(self) -> npt.NDArray[np.int64]:
        """Checkpoints of the run that has most, per cell."""
        return np.asarray((~np.isnan(self.values)).sum(axis=2).max(axis=1), dtype=np.int64)

    @property
    def n_with_value(self) -> npt.NDArray[np.int64]:
        """Runs that have any value, per cell."""
        return np.asarray((~np.isnan(self.values)).any(axis=2).sum(axis=1), dtype=np.int64)

    def whose_in(self, cells: npt.NDArray[np.bool_]) -> str:
        """Metric and recipe, and how many of its cells, to start a sentence with.

        Parameters
        ----------
        cells : ndarray of bool, shape (n,)
            Those that the sentence is about.

        Returns
        -------
        str
            ``"stable_rank of recipe 'opd', 3 of 12 cells: "``.
        """
        return self.whose + (": " if cells.size == 1 else f", {int(cells.sum())} of {cells.size} cells: ")

    def labelled(self, values: npt.NDArray[np.generic]) -> xr.DataArray:
        """Values as an array over the cells.

        Parameters
        ----------
        values : ndarray, shape (n,)
            One per cell.

        Returns
        -------
        xarray.DataArray
            With the cells' labels.
        """
        return self.like.copy(data=values.reshape(self.like.shape))


def curves_of_recipes(found: RecipeCurves) -> Iterator[Curves]:
    """Arrays of every recipe of a metric.

    Parameters
    ----------
    found : RecipeCurves
        Curves of all runs.

    Yields
    ------
    Curves
        In the order of the recipes.
    """
    sample_dim = found.sample.sample_dim
    for group in found.groups:
        own = runs_of(found.curves, group, sample_dim)
        ordered = own.values.transpose(..., sample_dim, "step")
        like = ordered.isel({sample_dim: 0, "step": 0}, drop=True).drop_attrs(deep=False).rename(None)
        matrices = own.n_matrices.max(sample_dim) if sample_dim in own.n_matrices.dims else own.n_matrices
        yield Curves(
            ordered.values.reshape(-1, *ordered.shape[-2:]),
            np.asarray(ordered["step"].values, dtype=np.float64),
            like,
            matrices.broadcast_like(like).transpose(*like.dims).drop_attrs(deep=False).rename(None),
            f"{found.sample.name} of recipe {group.recipe!r}" if group.recipe else found.sample.name,
        )


def model_reasons(curves: Curves, nothing: xr.DataArray) -> Reasons:
    """Why a model has no answer in a cell.

    Parameters
    ----------
    curves : Curves
        The runs.
    nothing : xarray.DataArray
        Cells without an answer.

    Returns
    -------
    list of tuple
        Conditions and texts.
    """
    count = curves.labelled(curves.n_checkpoints)
    few = [
        (
            nothing & (count == found),
            f"{found} checkpoint{'s' if found > 1 else ''}: too few for the model, which needs {FEWEST} of a run; "
            "lock_brackets tells what they show",
        )
        for found in range(1, FEWEST)
    ]
    constant = (
        "every run is constant, so nothing changes whose onset could be found: see lock_brackets for the value "
        "at which it stays"
    )
    return [(curves.labelled(curves.infinite), INFINITE), (count == 0, NO_VALUE), *few, (nothing, constant)]
