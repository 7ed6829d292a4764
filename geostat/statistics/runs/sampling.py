"""What may be the unit of sampling: independent runs, never the parts of one run."""

from collections.abc import Mapping

import xarray as xr

from geostat.errors import SampleError

__all__ = ["check_sampling"]

_MATRICES = ("matrix", "layer", "module", "expert")
_WITHIN_A_RUN = (
    dict.fromkeys(_MATRICES, "a run's matrices are a fixed, correlated list")
    | dict.fromkeys(("step", "progress"), "a run's checkpoints follow from one another")
    | dict.fromkeys(
        ("side", "alpha", "eta", "k", "energy_k", "rank", "diagnostic"),
        "its values are several readings of the same weights",
    )
)
"""Names of what varies within one run, and why that is no sample."""


def check_sampling(arrays: Mapping[str, xr.DataArray], dim: str | None, sample_dim: str) -> None:
    """Refuse a sample that is none: parts of one run, or nothing at all.

    Parameters
    ----------
    arrays : mapping of str to xarray.DataArray
        The metrics of a call.
    dim : str or None
        Dimension that each run is averaged over.
    sample_dim : str
        Dimension of independent runs.

    Raises
    ------
    SampleError
        If the units of sampling are parts of one run, if the runs lie along another dimension, if a run
        would be averaged over the runs, or if a metric holds no value along some dimension.
    """
    if not isinstance(sample_dim, str):
        raise SampleError(
            f"sample_dim={sample_dim!r} names no dimension. Pass the one along which runs lie, as 'run'; data "
            "without it are one run."
        )
    for name, array in arrays.items():
        _check_independent(name, array, sample_dim)
        _check_labels_another(name, array, sample_dim)
        _check_known(name, array, sample_dim)
        _check_not_empty(name, array)
    if dim == sample_dim:
        raise SampleError(
            f"dim and sample_dim are both {dim!r}: what each run is averaged over cannot be the sample too. "
            f"Pass dim=None where there is one value per {dim} already."
        )


def _check_independent(name: str, array: xr.DataArray, sample_dim: str) -> None:
    found = [label for label in _names_along(array, sample_dim) if label in _WITHIN_A_RUN]
    if found:
        along = "" if found[0] == sample_dim else f" (it carries {', '.join(found)})"
        raise SampleError(
            f"sample_dim={sample_dim!r} takes what varies within one run{along} for independent runs, but "
            f"{_WITHIN_A_RUN[found[0]]}: their spread is heterogeneity, and no interval over them covers "
            f"another run. {name} has the dimensions {list(array.dims)}. Pass sample_dim='run' (or your own "
            f"dimension of independent repetitions), and dim=None for one answer per {found[0]}."
        )


def _names_along(array: xr.DataArray, sample_dim: str) -> list[str]:
    """Name of the dimension, levels that were stacked into it, and matrices' labels along it."""
    if sample_dim not in array.dims:
        return [sample_dim]
    stacked = array.indexes[sample_dim].names if sample_dim in array.indexes else []
    labels = [label for label in _MATRICES if label in array.coords and sample_dim in array[label].dims]
    return list(dict.fromkeys([sample_dim, *map(str, stacked), *labels]))


def _check_labels_another(name: str, array: xr.DataArray, sample_dim: str) -> None:
    coord = array.coords.get(sample_dim)
    if coord is not None and coord.dims and sample_dim not in array.dims:
        (along, *_) = coord.dims
        raise SampleError(
            f"sample_dim={sample_dim!r} is no dimension of {name} but a label along {along!r}. "
            f"Pass sample_dim={along!r}."
        )


def _check_known(name: str, array: xr.DataArray, sample_dim: str) -> None:
    if sample_dim not in array.dims and "run" in array.dims:
        raise SampleError(
            f"sample_dim={sample_dim!r} is not among the dimensions {list(array.dims)} of {name}, whose runs lie "
            "along 'run'. Pass sample_dim='run', or select one run first."
        )


def _check_not_empty(name: str, array: xr.DataArray) -> None:
    empty = [str(d) for d, size in array.sizes.items() if size == 0]
    if empty:
        raise SampleError(
            f"{name} holds no value: dimension {empty[0]!r} has length 0 (found {dict(array.sizes)}). "
            f"Look at the selection that came before: nothing along {empty[0]!r} met it."
        )
