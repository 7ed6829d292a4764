"""Where bf16 storage leaves so few changed entries that a capture is rounding and nothing else."""

import json

import numpy as np
import xarray as xr

from geostat.errors import UndefinedWarning
from geostat.statistics.words.notices import Notice

__all__ = ["ENTRIES_PER_DIRECTION", "above_storage_floor", "in_bf16"]

ENTRIES_PER_DIRECTION = 10
"""Changed entries per direction of the channel, below which a capture is refused.

An entry that rounding moves there and back is a channel of its own on both sides: simulated walks with less
than one changed entry per direction are "locked" in 14-23% of runs, with five or more in none of 160.
"""


def above_storage_floor(capture: xr.DataArray, data: xr.Dataset) -> tuple[xr.DataArray, list[Notice]]:
    """Leave captures out that rest on a handful of changed entries.

    A step at which less than half of a run's matrices lie above the floor is no checkpoint of it; a
    matrix below it at another step has no value there.

    Parameters
    ----------
    capture : xarray.DataArray
        Capture, per step and matrix.
    data : xarray.Dataset
        The measurement that it stems from, with ``update_sparsity`` and storage.

    Returns
    -------
    tuple of DataArray and list of Notice
        The capture with NaN below the floor, and a notice where something was left out.
    """
    if "update_sparsity" not in data or "n_params" not in capture.coords or "matrix" not in capture.dims:
        return capture, []
    sparsity = data["update_sparsity"]
    if "eta" in sparsity.dims:
        sparsity = sparsity.isel(eta=int(np.argmin(sparsity["eta"].values)))
    bare = sparsity.drop_vars([name for name in sparsity.coords if name not in sparsity.dims])
    sizes = capture["n_params"].drop_vars([name for name in capture["n_params"].coords if name != "matrix"])
    enough = ~(((1 - bare) * sizes < ENTRIES_PER_DIRECTION * _directions(data)) & _in_bf16(data))
    enough = enough & (enough.mean("matrix") >= 0.5)
    defined = capture.notnull()
    lost = int((defined & ~enough).sum())
    if not lost:
        return capture, []
    text = (
        f"forward_capture: {lost} of {int(defined.sum())} values rest on fewer than {ENTRIES_PER_DIRECTION} changed "
        "entries per direction of the channel in bf16 files. They are rounding, and left out."
    )
    return capture.where(enough).transpose(*capture.dims), [Notice(UndefinedWarning, text)]


def _directions(data: xr.Dataset) -> int:
    """Size K of the channel as the measurement's convention has it."""
    settings = json.loads(data.attrs.get("protocol_settings", "{}"))
    return int(np.max(settings.get("K", 16)))


def in_bf16(data: xr.DataArray | xr.Dataset) -> bool:
    """Whether the data say that any of their runs is stored in bf16.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A measurement.

    Returns
    -------
    bool
        False where they say nothing.
    """
    return bool(_in_bf16(data).any())


def _in_bf16(data: xr.DataArray | xr.Dataset) -> xr.DataArray:
    storage = data.coords.get("storage", xr.DataArray(str(data.attrs.get("storage", ""))))
    return xr.DataArray(np.asarray(storage.values == "bf16"), dims=storage.dims)
