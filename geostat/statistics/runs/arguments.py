"""One place where the arguments that all statistics share are checked and brought into one form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.results import Variable
from geostat.statistics.runs.sampling import check_sampling
from geostat.statistics.words.notices import Notice

__all__ = ["Sample", "Samples", "Weighting", "as_number", "check_level", "gather"]

Weighting = Literal["matrix", "parameters"]


@dataclass(frozen=True)
class Sample:
    """One metric of all runs.

    Attributes
    ----------
    values : xarray.DataArray
        float64, with the sample dimension, steps sorted; dask-backed when the data are.
    variable : Variable
        Names and units.
    dim : str or None
        Dimension that each run is averaged over; None when the values are one per run already.
    sample_dim : str
        Dimension of independent units.
    weighting : {"matrix", "parameters"}
        Weights of that average.
    """

    values: xr.DataArray
    variable: Variable
    dim: str | None
    sample_dim: str
    weighting: Weighting

    @property
    def name(self) -> str:
        """Identifier of the metric."""
        return self.variable.name

    @property
    def n_matrices(self) -> int:
        """How many matrices there are."""
        return self.values.sizes[self.dim] if self.dim else 0

    @property
    def average(self) -> str:
        """The average over matrices in words."""
        if self.dim is None:
            return "its value"
        over = "matrices" if self.dim == "matrix" else f"dim {self.dim!r}"
        how = (
            "its mean weighted by number of parameters"
            if self.weighting == "parameters"
            else "its unweighted mean"
        )
        return f"{how} over {over}"


@dataclass(frozen=True)
class Samples:
    """All metrics of a call, and what their results say in common.

    Attributes
    ----------
    samples : tuple of Sample
        One per metric.
    single : bool
        Whether a DataArray was passed.
    left_out : tuple of str
        Variables of the dataset that are no metric.
    protocol, protocol_hash : str
        Convention of the data; empty when they do not say.
    notices : tuple of Notice
        What was noticed about the data.
    """

    samples: tuple[Sample, ...]
    single: bool
    left_out: tuple[str, ...]
    protocol: str
    protocol_hash: str
    notices: tuple[Notice, ...]

    @property
    def n_runs(self) -> int:
        """How many runs the data hold."""
        first = self.samples[0]
        return first.values.sizes[first.sample_dim]

    def common(self) -> dict[str, Any]:
        """Fields that every result of the call carries."""
        steps = [s.values.sizes["step"] if "step" in s.values.dims else 1 for s in self.samples]
        return {
            "variables": {s.name: s.variable for s in self.samples},
            "n_runs": self.n_runs,
            "n_matrices": max(s.n_matrices for s in self.samples),
            "n_steps": max(steps),
            "protocol": self.protocol,
            "protocol_hash": self.protocol_hash,
            "single": self.single,
        }


def check_level(level: float) -> None:
    """Refuse a confidence level that is none.

    Parameters
    ----------
    level : float
        Must lie strictly between 0 and 1.

    Raises
    ------
    SampleError
        Otherwise.
    """
    if not (isinstance(level, float | int | np.floating) and 0 < level < 1):
        hint = (
            f" Did you mean {level / 100:g}?" if isinstance(level, int | float) and 50 <= level < 100 else ""
        )
        raise SampleError(f"level={level!r} is no confidence level: it lies strictly between 0 and 1.{hint}")


def as_number(name: str, value: object) -> float:
    """Read an argument that is one number, of Python or of numpy.

    Parameters
    ----------
    name : str
        Argument.
    value : object
        What was passed.

    Returns
    -------
    float
        NaN and infinities pass.

    Raises
    ------
    SampleError
        If it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise SampleError(f"{name}={value!r} is a {type(value).__name__}, no number. Pass one number.")
    return float(value)


def gather(
    data: xr.DataArray | xr.Dataset,
    *,
    dim: str | None,
    sample_dim: str,
    weighting: Weighting | None = None,
) -> Samples:
    """Check data and bring every metric into the form that procedures work on.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Measured runs.
    dim : str or None
        Dimension that each run is averaged over.
    sample_dim : str
        Dimension of runs; where it is missing the data are one run.
    weighting : {"matrix", "parameters"}, optional
        Overrides the data's own attribute.

    Returns
    -------
    Samples
        One `Sample` per metric.

    Raises
    ------
    SampleError
        If a dimension is missing or empty, the sample consists of parts of one run, a step is repeated,
        or weights cannot be found.
    """
    if weighting not in (None, "matrix", "parameters"):
        raise SampleError(f"weighting={weighting!r} is not known. Pass 'matrix', 'parameters' or None.")
    arrays, left_out = _metrics(data)
    check_sampling(arrays, dim, sample_dim)
    if dim is not None and not any(dim in array.dims for array in arrays.values()):
        found = sorted({str(d) for array in arrays.values() for d in array.dims})
        raise SampleError(
            f"dim={dim!r} is not among the dimensions {found}. "
            "If there is one value per run already, pass dim=None; otherwise name the one to average over."
        )
    samples = tuple(_sample(name, array, dim, sample_dim, weighting) for name, array in arrays.items())
    return Samples(
        samples,
        isinstance(data, xr.DataArray),
        left_out,
        str(data.attrs.get("protocol", "")),
        str(data.attrs.get("protocol_hash", "")),
        tuple(_without_units(name) for name, array in arrays.items() if "units" not in array.attrs),
    )


def _metrics(data: xr.DataArray | xr.Dataset) -> tuple[dict[str, xr.DataArray], tuple[str, ...]]:
    if isinstance(data, xr.DataArray):
        if data.dtype.kind not in "fiub":
            raise SampleError(f"{data.name!r} holds {data.dtype}, not numbers. Pass a metric.")
        return {str(data.name) if data.name is not None else "value": data}, ()
    if not isinstance(data, xr.Dataset):
        raise SampleError(
            f"data is a {type(data).__name__}. Pass an xarray DataArray or Dataset, "
            "as geostat.open_trajectory and geostat.combine give."
        )
    numeric = {str(name): array for name, array in data.data_vars.items() if array.dtype.kind in "fiu"}
    metrics = {name: array for name, array in numeric.items() if "units" in array.attrs} or numeric
    if not metrics:
        raise SampleError(f"the dataset holds no numeric variable, only {list(data.data_vars)}.")
    return metrics, tuple(str(name) for name in data.data_vars if name not in metrics)


def _sample(
    name: str, array: xr.DataArray, dim: str | None, sample_dim: str, weighting: Weighting | None
) -> Sample:
    values = _sorted_by_step(name, array.astype(np.float64))
    if sample_dim not in values.dims:
        values = values.expand_dims(sample_dim)
    own_dim = dim if dim in values.dims else None
    variable = _variable(name, array.attrs)
    chosen = _weighting(name, array, weighting) if own_dim else "matrix"
    if chosen == "parameters":
        _check_weights(name, values, own_dim)
    return Sample(values, variable, own_dim, sample_dim, chosen)


def _sorted_by_step(name: str, values: xr.DataArray) -> xr.DataArray:
    if "step" not in values.dims or "step" not in values.coords:
        return values
    steps = values.indexes["step"]
    if steps.has_duplicates:
        repeated = sorted(set(steps[steps.duplicated()]))
        raise SampleError(
            f"{name}: step {repeated[0]} occurs more than once. "
            "One run has one checkpoint a step: drop the repeated ones with data.drop_duplicates('step')."
        )
    return values if steps.is_monotonic_increasing else values.sortby("step")


def _variable(name: str, attrs: Mapping[Any, Any]) -> Variable:
    texts = {key: str(attrs.get(key, "")) for key in ("long_name", "units", "symbol", "reference")}
    texts["symbol"] = texts["symbol"].strip("$")
    return Variable(name, **texts, valid_min=_bound(attrs, "valid_min"), valid_max=_bound(attrs, "valid_max"))


def _bound(attrs: Mapping[Any, Any], name: str) -> float | None:
    value = attrs.get(name)
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _without_units(name: str) -> Notice:
    return Notice(
        GeostatWarning,
        f"{name} has no `units` attribute, so the result prints none. "
        "Set data.attrs['units'] ('1' for a pure number).",
    )


def _weighting(name: str, array: xr.DataArray, chosen: Weighting | None) -> Weighting:
    stated = array.attrs.get("weighting", "matrix")
    if chosen is not None:
        return chosen
    if stated == "both":
        raise SampleError(
            f"{name}: the convention of these data names two averages over matrices. "
            "Say which: weighting='matrix' (each matrix the same) or weighting='parameters' (by its size)."
        )
    if stated not in ("matrix", "parameters"):
        raise SampleError(f"{name}: attribute weighting={stated!r} is not known. Pass weighting='matrix'.")
    return "parameters" if stated == "parameters" else "matrix"


def _check_weights(name: str, values: xr.DataArray, dim: str | None) -> None:
    if "n_params" not in values.coords or values["n_params"].dims != (dim,):
        raise SampleError(
            f"{name} is averaged by number of parameters, but the data have no coordinate n_params along "
            f"{dim!r}. Attach it with data.assign_coords(n_params=({dim!r}, sizes)), "
            "or pass weighting='matrix'."
        )
    sizes = np.asarray(values["n_params"].values, dtype=np.float64)
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise SampleError(f"{name}: n_params must be positive, found {sizes.min():g}.")
