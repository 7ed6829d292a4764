"""Estimates over steps, doses or numbers of runs: one line per recipe and setting."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from geostat.results.axes import Curve, draw_line, dress, name_ends, short_numbers, stay_in_bounds
from geostat.results.drawing_rows import draw_neutral, new_axes
from geostat.results.marks import Mark, Marks, row_name
from geostat.results.style import TEXT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.results.base import Result

__all__ = ["draw_curves", "horizontal"]

DENSE = 12
"""Checkpoints beyond which intervals are a band; fewer are drawn at their checkpoints, the only places known."""

TALL = 36
"""Characters in a line of the vertical axis label."""

APART = 3.5
"""Points between the error bars of two lines at one checkpoint."""

_NO_AXIS = ("run", "seed", "change", "variable", "layer", "expert")
"""Numbers that only name things."""


def horizontal(marks: Marks) -> str:
    """Label that values run along.

    Parameters
    ----------
    marks : Marks
        Of a result.

    Returns
    -------
    str
        ``step``, another number with three values or more, or nothing.
    """
    labels = marks.marks[0].labels if marks.marks else {}
    numbers = [name for name in labels if all(_number(mark.labels[name]) for mark in marks.marks)]
    if "step" in numbers:
        return "step"
    return next((n for n in numbers if n not in _NO_AXIS and _count(marks, n) > 2), "")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(marks: Marks, name: str) -> int:
    return len({mark.labels[name] for mark in marks.marks})


def draw_curves(result: "Result", marks: Marks, along: str, axes: "Axes | None") -> "Axes":
    """Draw a line for everything that is told apart by other labels than the horizontal one.

    Parameters
    ----------
    result : Result
        Whose.
    marks : Marks
        What.
    along : str
        Horizontal label.
    axes : matplotlib.axes.Axes or None
        Where.

    Returns
    -------
    matplotlib.axes.Axes
        With the values along y.
    """
    axes = axes or new_axes(5.6, 3.4)
    lines: dict[str, list[Mark]] = {}
    for mark in marks.marks:
        lines.setdefault(row_name(mark, result.variables, (along,)), []).append(mark)
    look = looks(lines)
    dense = _count(marks, along) > DENSE
    draw_neutral(axes, marks, across=False)
    ends = {}
    for place, (name, line) in enumerate(lines.items()):
        offset = 0.0 if dense else APART * (place - (len(lines) - 1) / 2)
        here = sorted((m for m in line if math.isfinite(m.estimate)), key=lambda m: m.labels[along])
        if here:
            _draw(axes, here, along, look[name], dense=dense, offset=offset)
            ends[_end_name(name, here)] = (here[-1].estimate, look[name].color)
    _finish(axes, marks, along)
    name_ends(axes, ends)
    return axes


def _draw(axes: "Axes", here: Sequence[Mark], along: str, look: Look, *, dense: bool, offset: float) -> None:
    across, estimate = _array(m.labels[along] for m in here), _array(m.estimate for m in here)
    low, high = _array(m.low for m in here), _array(m.high for m in here)
    if dense:
        draw_line(axes, across, estimate, low, high, look)
    else:
        _draw_bars(axes, across, estimate, low, high, look, offset)


def _array(values: Iterable[float]) -> Curve:
    """Numbers, with infinities as NaN: an open end has no place on the axis."""
    array = np.array(list(values), dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _draw_bars(
    axes: "Axes", across: Curve, estimate: Curve, low: Curve, high: Curve, look: Look, offset: float
) -> None:
    """Points with error bars, moved apart on paper and not in the data; hollow where there is no interval."""
    from matplotlib.transforms import ScaledTranslation

    moved = axes.transData + ScaledTranslation(offset / 72, 0, axes.figure.dpi_scale_trans)
    axes.plot(
        across, estimate, color=look.color, linestyle=look.dash, linewidth=0.9, transform=moved, zorder=2
    )
    for with_interval in (True, False):
        some = np.isfinite(low + high) == with_interval
        filling = look.color if with_interval else "white"
        axes.plot(
            across[some],
            estimate[some],
            color=look.color,
            linestyle="none",
            marker=look.marker,
            markersize=4.5,
            markerfacecolor=filling,
            transform=moved,
            zorder=4,
        )
    for values in (estimate, low, high):  # autoscaling does not see through a moved transform
        known = np.isfinite(values)
        axes.update_datalim(np.column_stack([across[known], values[known]]))
    axes.autoscale_view()
    for x, bottom, top in zip(across, low, high, strict=True):
        axes.plot(
            (x, x), (bottom, top), color=look.color, linewidth=1.2, marker="_", markersize=5, transform=moved
        )


def _end_name(name: str, line: Sequence[Mark]) -> str:
    remarks = {mark.remark for mark in line}
    told = remarks.pop() if len(remarks) == 1 else ""
    runs = max(mark.n_runs for mark in line)
    count = f"n = {runs}" if runs else ""
    named = f"{name} ({count})" if name and count else name or count
    return "\n".join(part for part in (named, told) if part)


def _finish(axes: "Axes", marks: Marks, along: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(along[:1].upper() + along[1:], fontsize=TEXT)
    axes.set_ylabel(marks.label(TALL), fontsize=TEXT)
    dress(axes, "y")
    if all(isinstance(mark.labels[along], int) for mark in marks.marks):
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
    short_numbers(axes, "y")
    if marks.variable is not None and marks.neutral is None:
        stay_in_bounds(axes, marks.variable, log=False)
