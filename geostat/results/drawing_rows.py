"""One row per answer: its name, its estimate, its interval, or the reason why there is none."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from geostat.results.axes import WIDE, dress, short_numbers
from geostat.results.marks import Mark, Marks, row_name
from geostat.results.style import SMALL, TEXT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.results.base import Result

__all__ = ["draw_neutral", "draw_rows", "new_axes", "open_rows"]

GREY = "0.45"
SHOWN = 60
"""Rows that are drawn; a picture of more cannot be read."""


def new_axes(width: float, height: float) -> "Axes":
    """Axes in a figure of their own.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.axes.Axes
        pyplot does not know their figure.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def open_rows(axes: "Axes | None", names: Sequence[str]) -> "Axes":
    """Axes with a named row for each answer, the first on top.

    Parameters
    ----------
    axes : matplotlib.axes.Axes or None
        Where; None opens new ones, as high as the rows need.
    names : sequence of str
        Of the rows.

    Returns
    -------
    matplotlib.axes.Axes
        Row i stands at height i.
    """
    axes = axes or new_axes(5.2, 0.75 + 0.3 * max(len(names), 2))
    dress(axes, "x")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names if any(names) else [""] * len(names), fontsize=SMALL)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.spines["left"].set_visible(False)
    return axes


def draw_rows(result: "Result", marks: Marks, axes: "Axes | None") -> "Axes":
    """Draw every mark in a row of its own.

    Parameters
    ----------
    result : Result
        Whose.
    marks : Marks
        What.
    axes : matplotlib.axes.Axes or None
        Where.

    Returns
    -------
    matplotlib.axes.Axes
        With the values along x.
    """
    shown = marks.marks[:SHOWN]
    axes = open_rows(axes, [_counted(mark, row_name(mark, result.variables)) for mark in shown])
    recipes = dict.fromkeys(str(mark.labels.get("recipe", "")) for mark in shown)
    look = looks(recipes)
    draw_neutral(axes, marks, across=True)
    axes.set_xlim(*_limits(shown, marks))
    for height, mark in enumerate(shown):
        _draw_row(axes, height, mark, look[str(mark.labels.get("recipe", ""))])
    axes.set_xlabel(marks.label(2 * WIDE), fontsize=TEXT)
    short_numbers(axes, "x")
    if len(marks.marks) > len(shown):
        rest = f"and {len(marks.marks) - len(shown)} more: select some of them"
        axes.text(0, -0.02, rest, transform=axes.transAxes, fontsize=SMALL, color=GREY, va="top")
    if not any(math.isfinite(v) for mark in shown for v in (mark.estimate, mark.low, mark.high)):
        axes.set_xticks([])
    return axes


def _counted(mark: Mark, name: str) -> str:
    return f"{name} (n = {mark.n_runs})" if name and mark.n_runs else name


def _limits(shown: Sequence[Mark], marks: Marks) -> tuple[float, float]:
    drawn = [v for mark in shown for v in (mark.estimate, mark.low, mark.high)]
    drawn += [v for v in (marks.neutral, *(marks.margin or ())) if v is not None]
    finite = [v for v in drawn if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = 0.06 * (high - low) or 0.06 * abs(high) or 0.5
    return low - room, high + room


def draw_neutral(axes: "Axes", marks: Marks, *, across: bool) -> None:
    """Draw the line of no difference, and the margin within which recipes count as equivalent.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    marks : Marks
        Which may have neither.
    across : bool
        Whether values run along x.
    """
    if marks.margin is not None:
        (axes.axvspan if across else axes.axhspan)(*marks.margin, color="0.93", zorder=0)
    if marks.neutral is not None:
        line = axes.axvline if across else axes.axhline
        line(marks.neutral, color="0.35", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)


def _draw_row(axes: "Axes", height: int, mark: Mark, look: Look) -> None:
    if not mark.has_interval:
        _draw_remark(axes, height, mark, look)
        return
    left, right = axes.get_xlim()
    ends = max(mark.low, left), min(mark.high, right)
    axes.plot(ends, (height, height), color=look.color, linewidth=1.6, solid_capstyle="butt", zorder=2)
    for end, edge, arrow in ((mark.low, left, "<"), (mark.high, right, ">")):
        inside = math.isfinite(end)
        axes.plot(
            end if inside else edge,
            height,
            marker="|" if inside else arrow,
            color=look.color,
            markersize=7 if inside else 5,
            markeredgewidth=1.4 if inside else 0,
            clip_on=False,
            zorder=2,
        )
    if math.isfinite(mark.estimate):
        axes.plot(mark.estimate, height, marker=look.marker, color=look.color, markersize=5, zorder=3)


def _draw_remark(axes: "Axes", height: int, mark: Mark, look: Look) -> None:
    """Hollow point and the reason beside it, on the side where there is more room."""
    left, right = axes.get_xlim()
    if not math.isfinite(mark.estimate):
        axes.text(
            0.01,
            height,
            f"\N{EN DASH} {mark.remark}",
            transform=axes.get_yaxis_transform(),
            fontsize=SMALL,
            color=GREY,
            va="center",
        )
        return
    axes.plot(
        mark.estimate,
        height,
        marker=look.marker,
        color=look.color,
        markerfacecolor="white",
        markersize=5,
        zorder=3,
    )
    if not mark.remark:
        return
    before = mark.estimate > (left + right) / 2
    axes.annotate(
        f"{mark.remark} \N{EN DASH}" if before else f"\N{EN DASH} {mark.remark}",
        (mark.estimate, height),
        xytext=(-7 if before else 7, 0),
        textcoords="offset points",
        fontsize=SMALL,
        color=GREY,
        va="center",
        ha="right" if before else "left",
    )
