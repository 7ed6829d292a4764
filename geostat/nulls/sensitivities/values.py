"""Values of recipes at every setting, whatever they are made from."""

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from geostat.errors import GeostatWarning, ProtocolError, SampleError
from geostat.nulls.sensitivities.axes import MATRICES, Axes, labels_of, selects
from geostat.results import Variable
from geostat.statistics import MeanResult, mean_ci
from geostat.statistics.runs.arguments import Weighting
from geostat.statistics.words.notices import Notice
from geostat.statistics.words.told import last_with_value

__all__ = ["Curves", "Labelled", "Means", "Part", "curves_of", "of_calls", "of_labelled"]

Labelled = xr.DataArray | xr.Dataset
_KEPT = ("estimate", "low", "high", "n_runs", "reason")


@dataclass(frozen=True, eq=False)
class Part:
    """Data at one setting of those axes that are no dims of theirs.

    Attributes
    ----------
    setting : mapping
        Axis -> its value here.
    data : xarray.DataArray or xarray.Dataset
        Metrics.
    """

    setting: Mapping[str, Any]
    data: Labelled


@dataclass(frozen=True)
class Means:
    """How runs are averaged, and where their curves are read.

    Attributes
    ----------
    level, dim, sample_dim, weighting
        As in `mean_ci`.
    step : int or None
        Checkpoint; None takes the last one that has a value.
    """

    level: float
    dim: str | None
    sample_dim: str
    weighting: Weighting | None
    step: int | None

    def of(self, data: Labelled) -> tuple[MeanResult, dict[str, xr.Dataset]]:
        """Average, and read at the step.

        Parameters
        ----------
        data : xarray.DataArray or xarray.Dataset
            Metrics.

        Returns
        -------
        tuple
            The means, and by metric cells with dim ``recipe`` last.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeostatWarning)  # all parts' together are given once
            found = mean_ci(
                data, dim=self.dim, sample_dim=self.sample_dim, level=self.level, weighting=self.weighting
            )
        return found, {name: self._read(name, cells) for name, cells in found.cells.items()}

    def _read(self, name: str, cells: xr.Dataset) -> xr.Dataset:
        if self.step is not None and "step" in cells.dims:
            if self.step not in cells["step"].values:
                steps = ", ".join(map(str, cells["step"].values.tolist()))
                raise SampleError(f"{name} has no step {self.step}. Steps: {steps}.")
            cells = cells.sel(step=self.step)
        at_end = last_with_value(cells)[list(_KEPT)].reset_coords(drop=True)
        if "recipe" not in at_end.dims:
            at_end = at_end.expand_dims(recipe=labels_of([""]))
        return at_end.transpose(..., "recipe")


@dataclass(frozen=True, eq=False)
class Curves:
    """Values at every setting.

    Attributes
    ----------
    cells : mapping of str to xarray.Dataset
        By metric, over its axes and recipes.
    variables : mapping of str to Variable
        Names and units.
    estimand, method : str
        Of the means.
    counts : mapping
        Runs, matrices, steps, protocol.
    notices : tuple of Notice
        What averaging noticed.
    """

    cells: Mapping[str, xr.Dataset]
    variables: Mapping[str, Variable]
    estimand: str
    method: str
    counts: Mapping[str, Any]
    notices: tuple[Notice, ...]


def of_labelled(data: Labelled, axes: Axes, metrics: Sequence[str] | None) -> list[Part]:
    """Take labelled data apart by sets of matrices.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Whose dims are axes.
    axes : mapping
        Values that are wanted.
    metrics : sequence of str or None
        Metrics that are wanted; by default all that depend on an axis.

    Returns
    -------
    list of Part
        One, or one for each set.

    Raises
    ------
    ProtocolError
        If a value is not there.
    SampleError
        If no metric is left, or a set holds no matrix.
    """
    if isinstance(data, xr.Dataset):
        data = data[_named(data, axes, metrics)]
    for name in set(axes) & set(map(str, data.dims)):
        there = data[name].values.tolist()
        missing = [value for value in axes[name] if value not in there]
        if missing:
            raise ProtocolError(
                f"over asks for {name} {missing[0]!r}; the data hold {', '.join(map(str, there))}. "
                "Measure with it first, or give the checkpoints in place of the dataset."
            )
        data = data.sel({name: list(axes[name])})
    if MATRICES not in axes:
        return [Part({}, data)]
    return [Part({MATRICES: value}, _among(data, value)) for value in axes[MATRICES]]


def _named(data: xr.Dataset, axes: Axes, metrics: Sequence[str] | None) -> list[str]:
    varied = set(axes) | ({"matrix"} if MATRICES in axes else set())
    depending = [str(name) for name, array in data.data_vars.items() if varied & set(map(str, array.dims))]
    if metrics is None:
        told = "diagnostic" if any("diagnostic" in data[name].attrs for name in depending) else "units"
        metrics = [name for name in depending if told in data[name].attrs]
    absent = [name for name in metrics if name not in depending]
    if absent or not metrics:
        raise SampleError(
            f"{absent[0] if absent else 'No metric of the dataset'} depends on {', '.join(axes)}"
            f"{': it does not, or is not there' if absent else ''}. The dataset holds {', '.join(depending) or 'none'} "
            "that do."
        )
    return list(metrics)


def _among(data: Labelled, selection: Any) -> Labelled:
    if "module" not in data.coords or data["module"].dims != ("matrix",):
        raise SampleError(
            "over varies matrices, but the data have no coordinate module along matrix. Pass a measured run."
        )
    chosen = [
        selects(selection, str(name), str(module))
        for name, module in zip(data["matrix"].values, data["module"].values, strict=True)
    ]
    if not any(chosen):
        modules = ", ".join(sorted({str(module) for module in data["module"].values}))
        raise SampleError(
            f"matrices {selection!r} selects none of the matrices there are. Modules: {modules}."
        )
    return data.isel(matrix=[i for i, is_chosen in enumerate(chosen) if is_chosen])


def of_calls(measurement: Callable[..., Any], axes: Axes, metrics: Sequence[str] | None) -> list[Part]:
    """Call a measurement for every combination of settings.

    Parameters
    ----------
    measurement : callable
        Takes one keyword for each axis.
    axes : mapping
        Values.
    metrics : sequence of str or None
        Metrics of the datasets that it returns.

    Returns
    -------
    list of Part
        One for each combination.

    Raises
    ------
    SampleError
        If it returns no labelled data.
    """
    parts = []
    for combination in itertools.product(*axes.values()):
        setting = dict(zip(axes, combination, strict=True))
        data = measurement(**setting)
        if not isinstance(data, xr.DataArray | xr.Dataset):
            raise SampleError(
                f"measurement returned a {type(data).__name__} at {setting}. Return a DataArray or a Dataset."
            )
        parts.append(Part(setting, data[list(metrics)] if metrics and isinstance(data, xr.Dataset) else data))
    return parts


def curves_of(parts: Sequence[Part], axes: Axes, means: Means) -> Curves:
    """Average every part, and put the parts side by side.

    Parameters
    ----------
    parts : sequence of Part
        In the order of the product of their axes.
    axes : mapping
        All axes.
    means : Means
        How.

    Returns
    -------
    Curves
        Over all axes.
    """
    found = [means.of(part.data) for part in parts]
    first = found[0][0]
    outer = [name for name in axes if name in parts[0].setting]
    cells = {name: _stacked([cells[name] for _, cells in found], outer, axes) for name in first.cells}
    notices = {warning: None for result, _ in found for warning in result.warnings}
    return Curves(
        {name: _in_order(each, axes) for name, each in cells.items()},
        first.variables,
        first.estimand,
        first.method,
        {
            "n_runs": max(result.n_runs for result, _ in found),
            "n_matrices": max(result.n_matrices for result, _ in found),
            "n_steps": 1,
            "protocol": first.protocol,
            "protocol_hash": first.protocol_hash,
        },
        tuple(Notice(GeostatWarning, warning) for warning in notices),
    )


def _stacked(cells: Sequence[xr.Dataset], outer: Sequence[str], axes: Axes) -> xr.Dataset:
    """Cells of all combinations as one dataset with a dim for each axis."""
    if not outer:
        return cells[0]
    name, *inner = outer
    size = len(cells) // len(axes[name])
    each = [_stacked(cells[i : i + size], inner, axes) for i in range(0, len(cells), size)]
    index = xr.Variable(name, labels_of(axes[name]))
    return xr.concat(each, dim=index, data_vars="all", coords="minimal", compat="override", join="exact")


def _in_order(cells: xr.Dataset, axes: Axes) -> xr.Dataset:
    """Axes first, as they were named, then what else tells quantities apart, then recipes."""
    first = [name for name in axes if name in cells.dims]
    return cells.transpose(*first, ..., "recipe")
