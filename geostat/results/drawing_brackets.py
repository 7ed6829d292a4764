"""Onsets of runs: a bar from the last checkpoint outside to the first one inside."""

import math
from typing import TYPE_CHECKING, Any

from geostat.results.drawing_rows import GREY, open_rows
from geostat.results.marks import Mark, row_name
from geostat.results.style import SMALL, TEXT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.results.base import Result, Row

__all__ = ["draw_brackets", "holds_brackets"]

_QUANTITIES = {"last_out", "first_in", "outcome", "onset"}


def holds_brackets(result: "Result") -> bool:
    """Tell whether a result brackets onsets without inferring anything from them.

    Parameters
    ----------
    result : Result
        Any.

    Returns
    -------
    bool
        Whether `draw_brackets` can draw it.
    """
    rows = result.rows()
    return bool(rows) and set(rows[0]) >= _QUANTITIES and result.level is None


def draw_brackets(result: "Result", axes: "Axes | None") -> "Axes":
    """Draw one bracket per run: open where it was last outside, filled where it is first inside.

    Parameters
    ----------
    result : Result
        With ``last_out``, ``first_in``, ``outcome`` and ``onset``.
    axes : matplotlib.axes.Axes or None
        Where.

    Returns
    -------
    matplotlib.axes.Axes
        Steps along x.
    """
    rows = result.rows()
    names = [name for name in result.labels() if len({str(row.get(name)) for row in rows}) > 1]
    names = [name for name in names if name not in ("seed", "progress")] or ["run"]
    marks = [Mark({n: row.get(n) for n in names}, math.nan, math.nan, math.nan, "") for row in rows]
    axes = open_rows(axes, [row_name(mark, result.variables) for mark in marks])
    look = looks(dict.fromkeys(str(row.get("recipe") or "") for row in rows))
    axes.set_xlim(0, _end(rows))
    for height, row in enumerate(rows):
        _draw_bracket(axes, height, row, look[str(row.get("recipe") or "")])
    axes.set_xlabel("Step", fontsize=TEXT)
    return axes


def _end(rows: "list[dict[str, Any]]") -> float:
    known = [row.get(key, math.nan) for row in rows for key in ("training_steps", "first_in", "last_out")]
    return max((value for value in known if math.isfinite(value)), default=1.0)


def _draw_bracket(axes: "Axes", height: int, row: "Row", look: Look) -> None:
    first_in, last_out = row["first_in"], row["last_out"]
    if not math.isfinite(first_in):
        axes.text(
            0.01,
            height,
            row["outcome"],
            transform=axes.get_yaxis_transform(),
            fontsize=SMALL,
            color=GREY,
            va="center",
        )
        return
    censored = not math.isfinite(last_out)
    start = 0.0 if censored else last_out
    axes.plot((start, first_in), (height, height), color=look.color, linewidth=2.2, zorder=2)
    axes.plot(
        start,
        height,
        marker="<" if censored else "o",
        color=look.color,
        markersize=5.5,
        markerfacecolor=look.color if censored else "white",
        clip_on=False,
        zorder=3,
    )
    axes.plot(first_in, height, marker="o", color=look.color, markersize=5.5, clip_on=False, zorder=3)
    text = row["onset"].replace("<=", "\N{LESS-THAN OR EQUAL TO}")
    late = first_in > 0.75 * axes.get_xlim()[1]
    axes.annotate(
        text,
        (start if late else first_in, height),
        xytext=(-7 if late else 7, 0),
        textcoords="offset points",
        fontsize=SMALL,
        color=GREY,
        va="center",
        ha="right" if late else "left",
    )
