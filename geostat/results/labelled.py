"""Results whose cells are labelled arrays: one small dataset per metric."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.results.base import Result, Row
from geostat.results.serialization import read_float

__all__ = ["LabelledResult"]

_LABELS = (
    "run",
    "recipe",
    "seed",
    "step",
    "progress",
    "matrix",
    "alpha",
    "eta",
    "k",
    "side",
    "energy_k",
    "rank",
)
"""Coordinates that name a cell even where they are no dimension; others describe matrices or files."""

_READERS: dict[str, Callable[[list[Any]], Any]] = {
    "float": lambda values: np.array([read_float(v) for v in values], dtype=np.float64),
    "int": lambda values: np.array(values, dtype=np.int64),
    "bool": lambda values: np.array(values, dtype=np.bool_),
    "str": lambda values: np.array(values, dtype=np.dtypes.StringDType()),
}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LabelledResult(Result):
    """A result that holds, per metric, arrays over recipe, step and whatever else is left.

    Attributes
    ----------
    cells : mapping of str to xarray.Dataset
        Per metric the arrays that a leaf names.
    single : bool
        Whether a DataArray went in: then properties give arrays, otherwise datasets.
    """

    cells: Mapping[str, xr.Dataset]
    single: bool
    interval_quantities: ClassVar[tuple[str, str]] = ("low", "high")
    in_units: ClassVar[tuple[str, ...]] = ("estimate", "low", "high", "spread", "centre")

    def __getitem__(self, name: str) -> Self:
        """Select the result of one metric.

        Parameters
        ----------
        name : str
            Identifier of the metric.

        Returns
        -------
        LabelledResult
            As if that metric alone had been asked for.

        Raises
        ------
        SampleError
            If the result holds no such metric.
        """
        if name not in self.cells:
            raise SampleError(f"{name!r} is not in this result. It holds: {', '.join(self.cells)}.")
        return replace(
            self, cells={name: self.cells[name]}, variables={name: self.variables[name]}, single=True
        )

    def labels(self) -> tuple[str, ...]:
        """Keys of a row that say which cell it is."""
        found = dict.fromkeys(label for cells in self.cells.values() for label in _cell_labels(cells))
        dims = dict.fromkeys(str(dim) for cells in self.cells.values() for dim in cells.dims)
        known = [label for label in _LABELS if label in found]
        return ("variable", *(d for d in dims if d not in _LABELS), *known)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per cell: labels, numbers, units, and a reason where there is no interval."""
        labels = self.labels()
        return [row for name, cells in self.cells.items() for row in self._rows_of(name, cells, labels)]

    def _rows_of(self, name: str, cells: xr.Dataset, labels: tuple[str, ...]) -> list[dict[str, Any]]:
        dims = _dims(cells)
        told = {label: _flat(cells[label], cells, dims) for label in _cell_labels(cells)}
        numbers = {str(q): _flat(cells[q], cells, dims) for q in cells.data_vars}
        count = int(np.prod([cells.sizes[dim] for dim in dims], dtype=int))
        rest = {"units": self.variables[name].units}
        return [
            {"variable": name}
            | {label: told[label][i] if label in told else None for label in labels[1:]}
            | {quantity: values[i] for quantity, values in numbers.items()}
            | rest
            for i in range(count)
        ]

    def quantity(self, name: str) -> xr.DataArray | xr.Dataset:
        """One quantity of all cells, labelled.

        Parameters
        ----------
        name : str
            For example ``"estimate"`` or ``"n_runs"``.

        Returns
        -------
        xarray.DataArray or xarray.Dataset
            An array where a DataArray went in, otherwise a dataset with one array per metric.
        """
        told = {metric: self._told_in_units(metric) for metric in self.cells}
        arrays = {metric: _with_reason(cells, name, metric) for metric, cells in told.items()}
        if self.single:
            return next(iter(arrays.values()))
        bare = {metric: array.drop_vars("reason", errors="ignore") for metric, array in arrays.items()}
        return xr.merge(
            [a.to_dataset(name=metric) for metric, a in bare.items()], join="outer", compat="override"
        )

    def _told_in_units(self, metric: str) -> xr.Dataset:
        cells, attrs = self.cells[metric], self.variables[metric].attrs
        return cells.assign({q: cells[q].assign_attrs(attrs) for q in self.in_units if q in cells})

    @property
    def ci(self) -> xr.DataArray | xr.Dataset | None:
        """Interval with coordinate ``ci_bound`` (low, high); None where no cell has one."""
        if not self._has_interval():
            return None
        first = self.interval_quantities[0]
        bounded = replace(self, cells={name: cells for name, cells in self.cells.items() if first in cells})
        ends = [bounded.quantity(end) for end in self.interval_quantities]
        bound = xr.DataArray(
            np.array(["low", "high"], np.dtypes.StringDType()), dims="ci_bound", name="ci_bound"
        )
        low, high = (end.to_dataset(name="ci") if isinstance(end, xr.DataArray) else end for end in ends)
        joined = xr.concat([low, high], dim=bound, coords="minimal", compat="override", join="exact")
        return joined["ci"].rename(next(iter(bounded.cells))) if self.single else joined

    def _has_interval(self) -> bool:
        low = self.interval_quantities[0]
        return any(low in cells and bool(cells[low].notnull().any()) for cells in self.cells.values())

    def to_xarray(self) -> xr.Dataset:
        """Labelled arrays of estimates, interval ends, counts and reasons.

        Returns
        -------
        xarray.Dataset
            Quantities under their names; of several metrics as ``<metric>_<quantity>``.
        """
        if self.single:
            merged = self._told_in_units(next(iter(self.cells)))
        else:
            told = {name: self._told_in_units(name) for name in self.cells}
            named = [c.rename({q: f"{name}_{q}" for q in c.data_vars}) for name, c in told.items()]
            merged = xr.merge(named, join="outer", compat="override")
        level = {} if self.level is None else {"level": self.level}
        facts = {"estimand": self.estimand, "method": self.method, "scope": self.scope, **level}
        return merged.assign_attrs(facts | {"protocol": self.protocol, "protocol_hash": self.protocol_hash})

    def layout(self) -> dict[str, Any]:
        """How rows fold back into arrays, for `from_json`."""
        return {name: _layout_of(cells) for name, cells in self.cells.items()}

    @classmethod
    def _from_record(cls, metadata: dict[str, Any], layout: dict[str, Any], rows: list[Row]) -> Self:
        cells = {
            name: _folded(shape, [row for row in rows if row["variable"] == name])
            for name, shape in layout.items()
        }
        return cls(**metadata, cells=cells)


def _dims(cells: xr.Dataset) -> tuple[str, ...]:
    return tuple(str(dim) for dim in next(iter(cells.data_vars.values())).dims)


def _cell_labels(cells: xr.Dataset) -> list[str]:
    return [str(c) for c in cells.coords if c in cells.dims or c in _LABELS]


def _flat(array: xr.DataArray, cells: xr.Dataset, dims: tuple[str, ...]) -> list[Any]:
    shape = [cells.sizes[dim] if dim in array.dims else 1 for dim in dims]
    ordered = array.transpose(*(dim for dim in dims if dim in array.dims)).values
    full = np.broadcast_to(ordered.reshape(shape), [cells.sizes[dim] for dim in dims])
    values: list[Any] = full.ravel().tolist()
    return values


def _with_reason(cells: xr.Dataset, quantity: str, metric: str) -> xr.DataArray:
    array = cells[quantity].rename(metric)
    return array.assign_coords(reason=cells["reason"]) if "reason" in cells else array


def _kind(array: xr.DataArray) -> str:
    return {"f": "float", "i": "int", "u": "int", "b": "bool"}.get(array.dtype.kind, "str")


def _layout_of(cells: xr.Dataset) -> dict[str, Any]:
    dims = _dims(cells)
    columns = [*_cell_labels(cells), *(str(q) for q in cells.data_vars)]
    return {
        "dims": list(dims),
        "sizes": [cells.sizes[dim] for dim in dims],
        "columns": {c: {"type": _kind(cells[c]), "dims": [str(d) for d in cells[c].dims]} for c in columns},
        "labels": _cell_labels(cells),
    }


def _folded(layout: Mapping[str, Any], rows: list[Row]) -> xr.Dataset:
    """Undo `_flat`: a column that does not run along a dimension is read at its first place."""
    dims = layout["dims"]
    columns = {}
    for name, column in layout["columns"].items():
        values = _READERS[column["type"]]([row[name] for row in rows]).reshape(layout["sizes"])
        place = tuple(slice(None) if dim in column["dims"] else 0 for dim in dims)
        columns[name] = ([dim for dim in dims if dim in column["dims"]], values[place])
    coords = {name: columns.pop(name) for name in layout["labels"]}
    return xr.Dataset(columns, coords)
