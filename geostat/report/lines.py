"""One metric drawn into one pair of axes."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.report.companions import from_below
from geostat.results import Variable
from geostat.results.axes import axis_label, draw_line, dress, name_ends, short_numbers, stay_in_bounds
from geostat.results.style import SMALL, TEXT, Look, looks
from geostat.statistics import MeanResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

Curve = npt.NDArray[np.float64]


def draw(axes: "Axes", result: MeanResult, x: str | None, floor: MeanResult | None = None) -> None:
    """Draw the recipes of one metric with bands, direct labels and axis labels.

    Where there is a noise floor, the values that it covers are shaded: storage alone may give them.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    result : MeanResult
        Of one metric.
    x : {"step", "progress"} or None
        Horizontal axis.
    floor : MeanResult, optional
        Of ``<metric>_floor``.
    """
    ((name, cells),) = result.cells.items()
    _check_dims(name, cells)
    across = _horizontal(name, cells, x)
    groups = _by_recipe(cells)
    look = looks(groups)
    ends = {}
    for recipe, group in groups.items():
        end = _line(axes, group, _values(group[across]), look[recipe])
        if end is not None:
            ends[recipe] = (end, int(group["n_runs"].max()))
    _dress(axes, result.variables[name], across, log=result.settings["scale"].get(name) == "log")
    if floor is not None:
        _shade_floor(axes, name, floor)
    _label_directly(axes, ends, look)


def _shade_floor(axes: "Axes", metric: str, floor: MeanResult) -> None:
    """Shade what every recipe's floor covers, where the axes show it."""
    ((_, cells),) = floor.cells.items()
    values = _values(cells["estimate"]).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = axes.get_ylim()
    below = from_below(metric)
    end = float(values.min() if below else values.max())
    covered = (low, min(end, high)) if below else (max(end, low), high)
    if covered[0] >= covered[1]:
        return
    axes.axhspan(*covered, color="0.92", linewidth=0, zorder=0)
    told = "\N{LESS-THAN OR EQUAL TO} floor" if below else "\N{GREATER-THAN OR EQUAL TO} floor"
    axes.annotate(
        told,
        (0.01, covered[1] if below else covered[0]),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        fontsize=SMALL,
        color="0.45",
        va="top" if below else "bottom",
    )
    axes.set_ylim(low, high)


def _check_dims(name: str, cells: xr.Dataset) -> None:
    if "step" not in cells.dims:
        raise SampleError(f"{name} has no dimension step, so there is no trajectory to draw.")
    others = [str(dim) for dim in cells.dims if dim not in ("recipe", "step")]
    if others:
        first = cells[others[0]].values.tolist()[0]
        raise SampleError(
            f"{name} has dimensions {others} beside recipe and step. "
            f"Select one value of each, for example data.sel({others[0]}={first!r})."
        )


def _horizontal(name: str, cells: xr.Dataset, x: str | None) -> str:
    if x not in (None, "step", "progress"):
        raise SampleError(f"x={x!r} is not known. Pass 'step' or 'progress'.")
    known = "progress" in cells.coords
    if x == "progress" and not known:
        raise SampleError(f"{name} has no coordinate progress that the runs of a recipe share. Use x='step'.")
    differs = known and "recipe" in cells["progress"].dims
    return x or ("progress" if differs else "step")


def _by_recipe(cells: xr.Dataset) -> dict[str, xr.Dataset]:
    if "recipe" not in cells.dims:
        return {str(cells["recipe"].item()) if "recipe" in cells.coords else "": cells}
    return {str(recipe): cells.isel(recipe=i) for i, recipe in enumerate(cells["recipe"].values)}


def _values(array: xr.DataArray) -> Curve:
    return np.asarray(array.values, dtype=np.float64)


def _line(axes: "Axes", group: xr.Dataset, across: Curve, look: Look) -> float | None:
    """Draw one recipe through its own checkpoints and return where the line ends."""
    here = np.isfinite(_values(group["estimate"])) & np.isfinite(across)
    if not here.any():
        return None
    across, estimate = across[here], _values(group["estimate"])[here]
    low, high = (_values(group[end])[here] for end in ("low", "high"))
    draw_line(axes, across, estimate, low, high, look)
    return float(estimate[-1])


def _dress(axes: "Axes", variable: Variable, across: str, *, log: bool) -> None:
    axes.set_xlabel("Step" if across == "step" else "Share of training", fontsize=TEXT)
    axes.set_ylabel(axis_label(variable), fontsize=TEXT)
    dress(axes, "y")
    if log:
        axes.set_yscale("log")
    else:
        short_numbers(axes, "y")
    stay_in_bounds(axes, variable, log=log)


def _label_directly(axes: "Axes", ends: dict[str, tuple[float, int]], look: dict[str, Look]) -> None:
    named = {
        (f"{recipe} (n = {runs})" if recipe else f"n = {runs}"): (end, look[recipe].color)
        for recipe, (end, runs) in ends.items()
    }
    name_ends(axes, named)
