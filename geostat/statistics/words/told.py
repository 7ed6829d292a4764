"""Which cells a sentence tells: of every curve the last one that has a value, with its step."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geostat.results import Row

__all__ = ["has_value", "last_with_value", "own_step", "shared_step"]


def last_with_value(cells: xr.Dataset) -> xr.Dataset:
    """Take each curve at its last step that has an estimate.

    A metric that looks ahead has no value at the last step, and recipes may end at different steps.

    Parameters
    ----------
    cells : xarray.Dataset
        With ``estimate``.

    Returns
    -------
    xarray.Dataset
        Without dimension ``step``, but with it as a label of every cell; a curve without any estimate
        is taken at its last step.
    """
    if "step" not in cells.dims:
        return cells
    estimate = cells["estimate"].variable
    defined = estimate.notnull().transpose(..., "step")
    count = defined.sizes["step"]
    from_end = defined.values[..., ::-1].argmax(axis=-1)
    place = xr.Variable(defined.dims[:-1], np.asarray(count - 1 - from_end))
    taken = cells.assign_coords(step=cells["step"]).isel(step=place)
    return taken.transpose(*place.dims)


def has_value(row: Row) -> bool:
    """Tell whether a cell has an estimate.

    Parameters
    ----------
    row : mapping
        A row of a result.

    Returns
    -------
    bool
        False for NaN.
    """
    return bool(row["estimate"] == row["estimate"])


def shared_step(rows: Sequence[Row]) -> str:
    """Say the step of all cells that have a value, where it is one.

    Parameters
    ----------
    rows : sequence of mapping
        What a sentence tells.

    Returns
    -------
    str
        ``" at step 30"``, or nothing.
    """
    steps = {row.get("step") for row in rows if has_value(row)}
    return f" at step {steps.pop()}" if len(steps) == 1 and None not in steps else ""


def own_step(row: Row, shared: str) -> str:
    """Say the step of one cell, unless it was said for all.

    Parameters
    ----------
    row : mapping
        A row of a result.
    shared : str
        What `shared_step` gave.

    Returns
    -------
    str
        ``" at step 30"``, or nothing.
    """
    return "" if shared or row.get("step") is None or not has_value(row) else f" at step {row['step']}"
