"""Trajectories as figures: one line per recipe, intervals where runs allow them."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from geostat.errors import SampleError
from geostat.report.companions import split
from geostat.report.lines import draw
from geostat.results.base import percent
from geostat.results.style import SMALL
from geostat.statistics import MeanResult, mean_ci
from geostat.statistics.means.scales import ScaleChoice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geostat.nulls.null_result import NullResult

__all__ = ["panel", "trajectory"]


def trajectory(
    data: xr.DataArray | xr.Dataset | MeanResult,
    variable: str | None = None,
    *,
    level: float = 0.95,
    x: str | None = None,
    scale: ScaleChoice = "auto",
    envelope: "NullResult | None" = None,
) -> "Figure":
    """Draw a metric over training, one line per recipe.

    The band is the t-interval over runs, drawn where a recipe has two or more runs; a recipe with a
    single run is a thin line without band. The spread over matrices is not drawn: it is no uncertainty.
    Where the data hold ``<metric>_floor`` (see `geostat.nulls.run_nulls`), values that storage alone may give
    are shaded.

    Parameters
    ----------
    data : xarray.DataArray, xarray.Dataset or MeanResult
        Measured runs, or their means.
    variable : str, optional
        Metric of a dataset; may be left out where there is one only.
    level : float
        Confidence level of the bands; a MeanResult brings its own.
    x : {"step", "progress"}, optional
        Horizontal axis; by default steps, or progress where recipes train for different lengths.
    scale : {"auto", "identity", "log", "logit"}
        Scale of the mean, see `geostat.mean_ci`; a metric on the log scale gets a logarithmic axis.
    envelope : NullResult, optional
        What a null gives over steps, drawn behind the lines in grey: of `geostat.nulls.random_walk_envelope`, or of
        `geostat.nulls.diffusion_null` of one statistic and side.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot: save it with ``figure.savefig(path)``.

    Raises
    ------
    SampleError
        If the metric is missing, has no step, or has another dimension beside recipe and step.

    Examples
    --------
    >>> import xarray as xr
    >>> srank = xr.DataArray(
    ...     [[20.0, 21.0], [22.0, 22.5]],
    ...     dims=("run", "step"),
    ...     coords={"step": [10, 20]},
    ...     attrs={"units": "1", "long_name": "Stable rank"},
    ...     name="stable_rank",
    ... )
    >>> trajectory(srank).axes[0].get_ylabel()
    'Stable rank'
    """
    names = [variable] if variable else _names(data)
    if len(names) != 1:
        raise SampleError(f"trajectory draws one metric, the data hold {names}. Name one, or use panel().")
    x = x if x or envelope is None else "step"
    envelopes = {} if envelope is None else {names[0]: envelope}
    return _drawn(data, names, 1, level, x, {names[0]: scale}, (5.6, 3.4), envelopes)


def panel(
    dataset: xr.Dataset | MeanResult,
    variables: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    columns: int = 3,
    x: str | None = None,
    scales: Mapping[str, ScaleChoice] | None = None,
    envelopes: Mapping[str, "NullResult"] | None = None,
) -> "Figure":
    """Draw several metrics over training as small multiples.

    Parameters
    ----------
    dataset : xarray.Dataset or MeanResult
        Measured runs, or their means.
    variables : sequence of str, optional
        Metrics; by default all that have a step.
    level : float
        Confidence level of the bands.
    columns : int
        Panels in a row.
    x : {"step", "progress"}, optional
        Horizontal axis, as in `trajectory`.
    scales : mapping of str to str, optional
        Scale by metric where it is not to follow from the bounds ("auto").
    envelopes : mapping of str to NullResult, optional
        By metric what a null gives, as in `trajectory`.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot.

    Raises
    ------
    SampleError
        As in `trajectory`.

    Examples
    --------
    >>> import xarray as xr
    >>> values = (("run", "step"), [[20.0, 21.0], [22.0, 22.5]], {"units": "1"})
    >>> runs = xr.Dataset({"accuracy": values, "loss": values}, {"step": [10, 20]})
    >>> len(panel(runs, ["accuracy", "loss"]).axes)
    2
    """
    names = list(variables) if variables is not None else _names(dataset)
    if not names:
        raise SampleError("panel got no metric to draw. Name some, for example ['stable_rank'].")
    wide = min(columns, len(names))
    size = (3.5 * wide, 2.7 * math.ceil(len(names) / wide) + 0.2)
    return _drawn(dataset, names, wide, level, x, scales or {}, size, envelopes or {})


def _drawn(
    data: xr.DataArray | xr.Dataset | MeanResult,
    names: Sequence[str],
    wide: int,
    level: float,
    x: str | None,
    scales: Mapping[str, ScaleChoice],
    size: tuple[float, float],
    envelopes: Mapping[str, "NullResult"],
) -> "Figure":
    from matplotlib.figure import Figure

    from geostat.nulls.drawing import draw_envelope

    results = [_mean_of(data, name, level, scales.get(name, "auto")) for name in names]
    figure = Figure(figsize=size, layout="constrained")
    high = math.ceil(len(names) / wide)
    for place, (name, result) in enumerate(zip(names, results, strict=True)):
        axes = figure.add_subplot(high, wide, place + 1)
        if name in envelopes:
            draw_envelope(axes, envelopes[name], x=x or "step")
        draw(axes, result, x, _floor_of(data, name, level))
    told = f"{_caption(results)}{_behind(envelopes)}"
    figure.supxlabel(told, fontsize=SMALL, color="0.3", x=0.01, ha="left")
    return figure


def _floor_of(data: xr.DataArray | xr.Dataset | MeanResult, name: str, level: float) -> MeanResult | None:
    """Noise floor of a metric, where the data hold one."""
    held = data.cells if isinstance(data, MeanResult) else data if isinstance(data, xr.Dataset) else ()
    floor = f"{name}_floor"
    return _mean_of(data, floor, level, "identity") if floor in held else None


def _names(data: xr.DataArray | xr.Dataset | MeanResult) -> list[str]:
    if isinstance(data, MeanResult):
        return [name for name in data.cells if split(name, data.cells)[1] != "floor"]
    if isinstance(data, xr.DataArray):
        return [str(data.name) if data.name is not None else "value"]
    return [
        str(name) for name, array in data.data_vars.items() if "step" in array.dims and "units" in array.attrs
    ]


def _mean_of(
    data: xr.DataArray | xr.Dataset | MeanResult, name: str, level: float, scale: ScaleChoice
) -> MeanResult:
    if isinstance(data, MeanResult):
        return data[name]
    if isinstance(data, xr.Dataset):
        if name not in data:
            raise SampleError(
                f"{name!r} is not in the dataset. It holds: {', '.join(map(str, data.data_vars))}."
            )
        data = data[name]
    return mean_ci(data, dim="matrix" if "matrix" in data.dims else None, level=level, scale=scale)


def _behind(envelopes: Mapping[str, "NullResult"]) -> str:
    methods = dict.fromkeys(envelope.method for envelope in envelopes.values())
    return f"\nGrey: {'; '.join(methods)}." if methods else ""


def _caption(results: Sequence[MeanResult]) -> str:
    banded = [result for result in results if result.ci is not None]
    if not banded:
        return "One run per recipe: no interval."
    told = ", ".join(dict.fromkeys(f"{percent(r.level or 0)} {r.method}" for r in banded))
    single = any(bool((c["n_runs"] == 1).any()) for r in results for c in r.cells.values())
    return f"Bands: {told} (pointwise); n: runs." + (" Thin lines: one run, no interval." if single else "")
