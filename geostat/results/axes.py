"""What every pair of axes has in common: labels with units, quiet frames, names at the ends of lines."""

import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geostat.results.base import Variable
from geostat.results.style import SMALL, Look, spread_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "WIDE",
    "Curve",
    "axis_label",
    "draw_line",
    "dress",
    "name_ends",
    "short_numbers",
    "stay_in_bounds",
]

WIDE = 26
"""Characters in a line of an axis label."""

Curve = npt.NDArray[np.float64]


def axis_label(variable: Variable, width: int = WIDE) -> str:
    r"""Long name, symbol and units, without a symbol that matplotlib cannot set.

    Parameters
    ----------
    variable : Variable
        The metric.
    width : int
        Characters in a line.

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
    words = textwrap.fill(variable.long_name or variable.name, width)
    rest = " ".join(part for part in (symbol, units) if part)
    set_width = len(re.sub(r"\\[A-Za-z]+|[{}$\\]", "", rest))
    glue = "\n" if len(words.splitlines()[-1]) + set_width >= width else " "
    return words + glue + rest if rest else words


def _settable(symbol: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${symbol}$")
    except ValueError:
        return False
    return True


def dress(axes: "Axes", along: str) -> None:
    """Take the frame away that says nothing, and draw a light grid across the values.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    along : {"x", "y"}
        Axis of the values.
    """
    axes.tick_params(labelsize=SMALL, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=along, color="0.9", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def short_numbers(axes: "Axes", along: str) -> None:
    """Write very large and very small numbers with a common power of ten.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where, with a linear scale.
    along : {"x", "y"}
        Axis of the values.
    """
    axes.ticklabel_format(axis=along, scilimits=(-3, 4), useMathText=True)  # type: ignore[arg-type]
    (axes.yaxis if along == "y" else axes.xaxis).get_offset_text().set_fontsize(SMALL)


def stay_in_bounds(axes: "Axes", variable: Variable, *, log: bool) -> None:
    """Cut the vertical axis where theory does: an interval may go beyond, the metric cannot.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    variable : Variable
        The metric.
    log : bool
        Whether the axis is logarithmic.
    """
    low, high = axes.get_ylim()
    if variable.valid_min is not None and not (log and variable.valid_min <= 0):
        low = max(low, variable.valid_min)
    if variable.valid_max is not None:
        high = min(high, variable.valid_max)
    if low < high:
        axes.set_ylim(low, high)


def draw_line(axes: "Axes", across: Curve, estimate: Curve, low: Curve, high: Curve, look: Look) -> None:
    """Draw one curve through its points, with a band where it has intervals, thin where it has none.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    across, estimate, low, high : ndarray
        Shape (n,); ends NaN where there is no interval.
    look : Look
        Colour, dash and marker.
    """
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


def name_ends(axes: "Axes", ends: Mapping[str, tuple[float, str]]) -> None:
    """Write names right of the axes, at the heights where lines end, moved apart where they would overlap.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With final limits.
    ends : mapping of str to tuple
        Name -> value at the end of its line, and colour.
    """
    to_axes = axes.transScale + axes.transLimits
    wanted = [float(to_axes.transform((1.0, end))[1]) for end, _ in ends.values()]
    for (name, (_, color)), height in zip(ends.items(), spread_labels(wanted, 0.09), strict=True):
        axes.text(
            1.02,
            height,
            name,
            transform=axes.transAxes,
            color=color,
            fontsize=SMALL,
            va="center",
            ha="left",
        )
