"""The dataset on disk: written whole or not at all, taken up where it answers the same question, else left alone."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from geostat.errors import StoreError
from geostat.trajectories.files import local_path, replace_folder

__all__ = ["finished", "require_nulls", "write_dataset"]

_QUESTION = "null_question"


def finished(output: Any, question: str) -> xr.Dataset | None:
    """Nulls that stand at a place already.

    Parameters
    ----------
    output : path
        Where nulls shall be written.
    question : str
        Digest of everything on which they depend.

    Returns
    -------
    xarray.Dataset or None
        Loaded; None where nothing stands there.

    Raises
    ------
    StoreError
        If what stands there holds no nulls, or those of another question.
    """
    path = local_path(output)
    if not path.exists():
        return None
    found = _opened(path)
    if found.attrs.get(_QUESTION) != question:
        raise StoreError(
            f"{path} holds other nulls: another run, other steps, matrices or settings. Choose another place, or "
            "replace them with resume=False (--no-resume)."
        )
    return found.load()


def require_nulls(output: Any) -> None:
    """Refuse to replace what is something else.

    Parameters
    ----------
    output : path
        Where nulls shall be written.

    Raises
    ------
    StoreError
        If what stands there holds no nulls.
    """
    path = local_path(output)
    if path.exists():
        _opened(path).close()


def write_dataset(dataset: xr.Dataset, output: Any, question: str) -> None:
    """Write a dataset as a zarr store: aside first, then renamed into place.

    Parameters
    ----------
    dataset : xarray.Dataset
        What; it is given the digest.
    output : path
        Where; what stands there is replaced.
    question : str
        Digest of everything on which it depends.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = local_path(output)
    aside = path.with_name(f".{path.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    dataset.attrs[_QUESTION] = question
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            dataset.to_zarr(aside, mode="w", consolidated=True, zarr_format=3)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}. Choose another place.") from error
    replace_folder(aside, path)


def _opened(path: Path) -> xr.Dataset:
    try:
        found: xr.Dataset = xr.open_zarr(path)
    except (OSError, ValueError, KeyError):
        found = xr.Dataset()
    if "null_settings" not in found.attrs:
        raise StoreError(f"something stands at {path} already, and it holds no nulls. Choose another place.")
    return found
