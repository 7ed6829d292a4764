"""What a study left behind, as the few files that its claims are computed from.

sufficiency.csv       twins
published.zarr.zip    measured from bf16 checkpoints, as one would publish them
masters.zarr.zip      measured from fp32 checkpoints, with what is left over a permutation of rows and columns
rates.zarr.zip        three learning rates, from fp32 checkpoints
perturbed.zarr.zip    perturbations, from bf16 checkpoints
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import xarray as xr
from zarr.storage import ZipStore

from geostat.errors import StoreError
from geostat.lab import Sufficiency

__all__ = ["ARCHIVES", "TWINS", "Records", "read_archive", "read_records", "write_archive", "write_records"]

TWINS = "sufficiency.csv"
ARCHIVES = ("published", "masters", "rates", "perturbed")
_AGAIN = "Record the study again."
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Records:
    """Recorded runs; None for a part of the study that was not recorded.

    Attributes
    ----------
    published, masters, rates, perturbed : xarray.Dataset or None
        Measured runs.
    sufficiency : Sufficiency or None
        Twins.
    """

    published: xr.Dataset | None = None
    masters: xr.Dataset | None = None
    rates: xr.Dataset | None = None
    perturbed: xr.Dataset | None = None
    sufficiency: Sufficiency | None = None


def write_records(records: Records, folder: str | Path) -> None:
    """Write what is there; files of other parts stay as they are.

    Parameters
    ----------
    records : Records
        What.
    folder : path
        Where.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        if (data := getattr(records, name)) is not None:
            write_archive(data, folder / f"{name}.zarr.zip")
    if records.sufficiency is not None:
        records.sufficiency.write(folder / TWINS)


def read_records(folder: str | Path) -> Records:
    """Read what is there.

    Parameters
    ----------
    folder : path
        Of `write_records`.

    Returns
    -------
    Records
        Loaded.

    Raises
    ------
    StoreError
        If nothing is there, or a file is damaged.
    """
    folder = Path(folder)
    paths = {name: folder / f"{name}.zarr.zip" for name in ARCHIVES}
    found = {name: read_archive(path) for name, path in paths.items() if path.is_file()}
    twins = Sufficiency.read(folder / TWINS) if (folder / TWINS).is_file() else None
    if not found and twins is None:
        raise StoreError(f"{folder} holds no recorded runs. Record a study there first.")
    return Records(**found, sufficiency=twins)


def write_archive(data: xr.Dataset, path: Path) -> None:
    """One file of a zarr store, the same bytes for the same data.

    Parameters
    ----------
    data : xarray.Dataset
        What.
    path : Path
        File; one that is there is replaced.
    """
    aside = path.with_name(f".{path.name}.partial")
    with TemporaryDirectory() as temporary:
        data.to_zarr(temporary, consolidated=False)
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(each for each in Path(temporary).rglob("*") if each.is_file()):
                entry = zipfile.ZipInfo(file.relative_to(temporary).as_posix(), _EPOCH)
                archive.writestr(entry, file.read_bytes())
    aside.rename(path)


def read_archive(path: Path) -> xr.Dataset:
    """Read a file of `write_archive`.

    Parameters
    ----------
    path : Path
        File.

    Returns
    -------
    xarray.Dataset
        Loaded.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    if not zipfile.is_zipfile(path):
        raise StoreError(f"{path} was expected to hold recorded runs, but is no whole zip file. {_AGAIN}")
    try:
        with ZipStore(path, mode="r") as store:
            found: xr.Dataset = xr.open_zarr(store, consolidated=False).load()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{path} was expected to hold recorded runs, but cannot be read: {error}. {_AGAIN}"
        ) from error
    for name in ("recipe", "seed"):
        found = found.set_xindex(name)
    return found
