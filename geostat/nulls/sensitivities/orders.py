"""In which order recipes stand at each setting, and whether that is the same order everywhere."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError

__all__ = ["UNDEFINED", "ordered_names", "same_figures", "with_orders"]

UNDEFINED = "undefined"
"""Order where a recipe has no value."""

Floats = npt.NDArray[np.float64]


def ordered_names(names: Sequence[str], values: Sequence[float]) -> str:
    """Names from the largest value to the smallest.

    Parameters
    ----------
    names : sequence of str
        Of the recipes.
    values : sequence of float
        One each.

    Returns
    -------
    str
        Such as ``"sft > opd = rlvr"``; ``"undefined"`` where a value is NaN.

    Examples
    --------
    >>> ordered_names(["opd", "sft", "rlvr"], [1.0, 3.0, 1.0])
    'sft > opd = rlvr'
    """
    if np.isnan(values).any():
        return UNDEFINED
    places = sorted(range(len(names)), key=lambda i: -values[i])
    told = names[places[0]]
    for before, here in itertools.pairwise(places):
        told += f" {'=' if values[before] == values[here] else '>'} {names[here]}"
    return told


def with_orders(cells: xr.Dataset, reference: dict[str, int], declared: Sequence[str] | None) -> xr.Dataset:
    """Add the order of recipes at each setting, and whether it is the one of the reference setting.

    Parameters
    ----------
    cells : xarray.Dataset
        ``estimate``, ``low`` and ``high``, with dim ``recipe``.
    reference : dict
        Axis -> position of the reference setting; other dims tell quantities apart that have their own.
    declared : sequence of str or None
        Recipes from the largest to the smallest value, in place of the reference setting's order.

    Returns
    -------
    xarray.Dataset
        Also with ``order``, ``holds`` and ``separated``: whether the intervals of neighbours do not overlap.

    Raises
    ------
    SampleError
        If the declared order names other recipes.
    """
    names = [str(name) for name in cells["recipe"].values]
    if declared is not None and sorted(declared) != sorted(names):
        raise SampleError(
            f"order={tuple(declared)!r}, but the recipes are {', '.join(names)}. Name each of them once."
        )
    dims = [dim for dim in cells["estimate"].dims if dim != "recipe"]
    estimate, low, high = (cells[q].transpose(*dims, "recipe").values for q in ("estimate", "low", "high"))
    shape = estimate.shape[:-1]
    order = np.full(shape, "", dtype=object)
    separated = np.zeros(shape, dtype=bool)
    for place in np.ndindex(shape):
        order[place] = ordered_names(names, estimate[place].tolist())
        separated[place] = _apart(estimate[place], low[place], high[place])
    orders = xr.DataArray(order, dims=dims)
    wanted = orders.isel(reference) if declared is None else xr.DataArray(" > ".join(declared))
    text = xr.Variable(dims, order.astype(np.dtypes.StringDType()))
    holds = (orders == wanted).transpose(*dims) & (orders != UNDEFINED)
    return cells.assign(order=text, holds=holds.variable, separated=xr.Variable(dims, separated))


def _apart(estimate: Floats, low: Floats, high: Floats) -> bool:
    places = np.argsort(-estimate)
    return bool((low[places[:-1]] > high[places[1:]]).all())


def same_figures(estimate: xr.DataArray, axis: str) -> list[tuple[int, int]]:
    """Neighbouring values of an axis that give the same figures throughout.

    Parameters
    ----------
    estimate : xarray.DataArray
        With the axis as a dim.
    axis : str
        Which.

    Returns
    -------
    list of tuple of int
        Positions; two such settings are one analysis.
    """
    values = np.moveaxis(estimate.values, estimate.get_axis_num(axis), 0)
    pairs = itertools.pairwise(values)
    same = [np.array_equal(a, b, equal_nan=True) and bool(np.isfinite(a).any()) for a, b in pairs]
    return [(i, i + 1) for i, is_same in enumerate(same) if is_same]
