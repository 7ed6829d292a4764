"""One metric drawn into one pair of axes."""

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.report.style import SMALL, TEXT, Look, looks, spread_labels
from geostat.results import Variable
from geostat.statistics import MeanResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["axis_label", "draw"]

WIDE = 26
"""Characters in a line of an axis label."""

Curve = npt.NDArray[np.float64]


def draw(axes: "Axes", result: MeanResult, x: str | None) -> None:
    """Draw the recipes of one metric with bands, direct labels and axis labels.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    result : MeanResult
        Of one metric.
    x : {"step", "progress"} or None
        Horizontal axis.
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
    _label_directly(axes, ends, look)


def axis_label(variable: Variable) -> str:
    r"""Long name, symbol and units, without a symbol that matplotlib cannot set.

    Parameters
    ----------
    variable : Variable
        The metric.

    Returns
    -------
    str
        Text with mathtext.

    Examples
    --------
    >>> axis_label(Variable("angle", "Largest angle", "degree", r"\theta"))
    'Largest angle $\\theta$ (degree)'
    """
    units = f"({variable.units})" if variable.units not in ("", "1") else ""
    symbol = f"${variable.symbol}$" if variable.symbol and _settable(variable.symbol) else ""
    words = textwrap.fill(variable.long_name or variable.name, WIDE)
    rest = " ".join(part for part in (symbol, units) if part)
    set_width = len(re.sub(r"\\[A-Za-z]+|[{}$\\]", "", rest))
    glue = "\n" if len(words.splitlines()[-1]) + set_width >= WIDE else " "
    return words + glue + rest if rest else words


def _settable(symbol: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${symbol}$")
    except ValueError:
        return False
    return True


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
    single = not np.isfinite(low).any()
    axes.plot(
        across,
        estimate,
        color=look.color,
        linestyle=look.dash,
        linewidth=0.9 if single else 1.8,
        marker=look.marker,
        markersize=3.0 if single else 4.0,
        markerfacecolor="white" if single else look.color,
        zorder=3,
    )
    if not single:
        axes.fill_between(across, low, high, color=look.color, alpha=0.16, linewidth=0)
        for end in (low, high):
            axes.plot(across, end, color=look.color, linewidth=0.6, alpha=0.7)
    return float(estimate[-1])


def _dress(axes: "Axes", variable: Variable, across: str, *, log: bool) -> None:
    axes.set_xlabel("Step" if across == "step" else "Share of training", fontsize=TEXT)
    axes.set_ylabel(axis_label(variable), fontsize=TEXT)
    axes.tick_params(labelsize=SMALL, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    if log:
        axes.set_yscale("log")
    else:
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        axes.yaxis.get_offset_text().set_fontsize(SMALL)
    _stay_in_bounds(axes, variable, log=log)


def _stay_in_bounds(axes: "Axes", variable: Variable, *, log: bool) -> None:
    """Cut the axis where theory does: a t-interval may go beyond, the metric cannot."""
    low, high = axes.get_ylim()
    if variable.valid_min is not None and not (log and variable.valid_min <= 0):
        low = max(low, variable.valid_min)
    if variable.valid_max is not None:
        high = min(high, variable.valid_max)
    if low < high:
        axes.set_ylim(low, high)


def _label_directly(axes: "Axes", ends: dict[str, tuple[float, int]], look: dict[str, Look]) -> None:
    to_axes = axes.transScale + axes.transLimits
    wanted = [float(to_axes.transform((1.0, end))[1]) for end, _ in ends.values()]
    for (recipe, (_, runs)), height in zip(ends.items(), spread_labels(wanted, 0.09), strict=True):
        text = f"{recipe} (n = {runs})" if recipe else f"n = {runs}"
        axes.text(
            1.02,
            height,
            text,
            transform=axes.transAxes,
            color=look[recipe].color,
            fontsize=SMALL,
            va="center",
            ha="left",
        )
