"""Twins as a labelled dataset, and as a CSV file of one line each."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.lab.twins import Twin

__all__ = ["keep_another_choice", "labelled", "read_rows", "row_of", "write_rows"]

Row = Mapping[str, Any]

OF_RUN = {
    "accuracy_before": "Expected accuracy at the start of the branch",
    "accuracy_parted": "Expected accuracy when the twins part",
}
OF_TWIN = {
    "accuracy": "Expected accuracy at temperature 1",
    "greedy_accuracy": "Greedy accuracy",
    "kept": "Share of gradients' or updates' energy inside",
    "leak": "Share of the movement's norm outside",
    "activation_overlap": "Similarity of the directions with those of the inputs",
}
DERIVED = {
    "gain": "Gain in expected accuracy since the twins parted",
    "difference": "Expected accuracy less that of the free twin",
    "retained": "Share of the free twin's gain that is retained",
}
ARM = {"kind": str, "K": int, "side": str, "project": str}
"""Coordinates of an arm, in the file and in the dataset."""
RUN = {"run": str, "recipe": str, "seed": int, "parted_at": int, "ended_at": int, "width": int}
BOTH = ("run", "arm")


def row_of(run: str, recipe: str, seed: int, twin: Twin) -> Row:
    """One twin, as the file and the dataset name things.

    Parameters
    ----------
    run, recipe, seed : str, str, int
        The branch.
    twin : Twin
        Its record.

    Returns
    -------
    mapping
        By column; what there is no value for is NaN.
    """
    told = {name: np.nan if value is None else value for name, value in asdict(twin).items()}
    return {
        **{"run": run, "recipe": recipe, "seed": seed},
        **{"parted_at": twin.step, "ended_at": twin.steps, "width": twin.width},
        **{"arm": twin.arm.name, **asdict(twin.arm)},
        **{"accuracy_before": twin.before.expected, "accuracy_parted": twin.parted.expected},
        **{"accuracy": twin.end.expected, "greedy_accuracy": twin.end.greedy},
        **{name: told[name] for name in ("kept", "leak", "activation_overlap")},
    }


def labelled(rows: Iterable[Row]) -> xr.Dataset:
    """Arrays over run and arm, and what follows from them.

    Parameters
    ----------
    rows : iterable of mapping
        Of `row_of`, the free twin of each run among them.

    Returns
    -------
    xarray.Dataset
        Without a twin NaN.
    """
    found = list(rows)
    runs = {row["run"]: row for row in found}
    arms = {row["arm"]: row for row in found}
    cell = {(row["run"], row["arm"]): row for row in found}

    def values(name: str) -> Any:
        grid = [[cell[run, arm][name] if (run, arm) in cell else np.nan for arm in arms] for run in runs]
        return np.array(grid, dtype=np.float64).reshape(len(runs), len(arms))

    data = xr.Dataset(
        {name: (BOTH, values(name), _told(label)) for name, label in OF_TWIN.items()}
        | {
            name: ("run", [row[name] for row in runs.values()], _told(label))
            for name, label in OF_RUN.items()
        },
        {name: ("run", _column(runs.values(), name, kind)) for name, kind in RUN.items()}
        | {"arm": _column(arms.values(), "arm", str)}
        | {name: ("arm", _column(arms.values(), name, kind)) for name, kind in ARM.items()},
    )
    return _with_derived(data)


def _with_derived(data: xr.Dataset) -> xr.Dataset:
    gain = data["accuracy"] - data["accuracy_parted"]
    free = gain.sel(arm="free", drop=True) if data.sizes["arm"] else gain
    free = free.drop_vars(list(ARM), errors="ignore")
    derived = {"gain": gain, "difference": gain - free, "retained": (gain / free).where(free > 0)}
    return data.assign(
        {
            name: each.transpose(*BOTH).assign_attrs({"units": "1", "long_name": DERIVED[name]})
            for name, each in derived.items()
        }
    )


def _column(rows: Iterable[Row], name: str, kind: type) -> Any:
    return np.array([row[name] for row in rows], dtype=np.dtypes.StringDType() if kind is str else np.int64)


def _told(long_name: str) -> dict[str, Any]:
    return {"units": "1", "long_name": long_name, "valid_min": 0.0, "valid_max": 1.0}


def write_rows(data: xr.Dataset, path: str | Path) -> None:
    """Write a dataset of `labelled`, one line for each run and arm.

    Parameters
    ----------
    data : xarray.Dataset
        What.
    path : path
        CSV file; one that is there is replaced.
    """
    columns = [*RUN, "arm", *ARM, *OF_RUN, *OF_TWIN]
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for run in range(data.sizes["run"]):
            for arm in range(data.sizes["arm"]):
                cell = data.isel(run=run, arm=arm)
                numbers = {name: repr(float(cell[name])) for name in (*OF_RUN, *OF_TWIN)}
                labels = {name: cell[name].item() for name in (*RUN, "arm", *ARM)}
                writer.writerow({**labels, **numbers})


def read_rows(path: str | Path) -> Sequence[Row]:
    """Read what `write_rows` wrote.

    Parameters
    ----------
    path : path
        CSV file.

    Returns
    -------
    sequence of mapping
        As `labelled` takes them.

    Raises
    ------
    SampleError
        If the file holds something else.
    """
    kinds = {**RUN, "arm": str, **ARM, **dict.fromkeys((*OF_RUN, *OF_TWIN), float)}
    with Path(path).open(newline="", encoding="utf-8") as file:
        try:
            rows = [{name: kind(row[name]) for name, kind in kinds.items()} for row in csv.DictReader(file)]
        except (KeyError, ValueError, TypeError) as error:
            raise SampleError(
                f"{path} was expected to hold twins, one line for each run and arm, but does not read so ({error})."
            ) from error
    if not any(row["arm"] == "free" for row in rows):
        raise SampleError(f"{path} holds no free twin, which all others are compared with.")
    return rows


def keep_another_choice(data: xr.Dataset, path: Path) -> Path | None:
    """Put a file aside that holds twins which a result does not have: of other recipes, seeds, arms or partings.

    Parameters
    ----------
    data : xarray.Dataset
        Of `labelled`, about to be written.
    path : Path
        Where to.

    Returns
    -------
    Path or None
        Where the file is now, ``sufficiency-1.csv`` and so on; None if nothing is lost when it is replaced.
    """
    if not path.exists() or _twins_in(path) <= _twins_of(data):
        return None
    names = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    return path.rename(aside)


def _twins_in(path: Path) -> set[tuple[str, int, str]]:
    try:
        return {(row["run"], row["parted_at"], row["arm"]) for row in read_rows(path)}
    except SampleError:
        return {(str(path), 0, "something else")}


def _twins_of(data: xr.Dataset) -> set[tuple[str, int, str]]:
    runs = zip(map(str, data["run"].values), map(int, data["parted_at"].values), strict=True)
    return {(run, step, str(arm)) for run, step in runs for arm in data["arm"].values}
