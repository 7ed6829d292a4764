"""Twins in one picture: a row for each arm, a point with its interval for each recipe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geostat.results import Row
from geostat.results.axes import short_numbers
from geostat.results.drawing_rows import open_rows
from geostat.results.style import SMALL, TEXT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_twins"]

ROW = 0.6
"""Share of a row that its recipes are spread over."""


def draw_twins(rows: Sequence[Row], words: str, same: float, axes: "Axes | None" = None) -> "Axes":
    """Draw what every arm came to in every recipe.

    Parameters
    ----------
    rows : sequence of dict
        With arm, recipe, estimate, low, high.
    words : str
        What is drawn, for the axis.
    same : float
        Value of a twin that is as good as the free one: a line.
    axes : matplotlib.axes.Axes, optional
        Where; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        The first arm on top.
    """
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    look = looks(dict.fromkeys(str(row["recipe"]) for row in rows))
    axes = open_rows(axes, arms)
    axes.axvline(same, color="0.6", linewidth=0.8, zorder=0)
    for place, (recipe, own) in enumerate(look.items()):
        shift = ROW * ((place + 0.5) / len(look) - 0.5)
        for row in (row for row in rows if row["recipe"] == recipe):
            _draw_twin(axes, arms.index(str(row["arm"])) + shift, row, own)
        axes.plot([], [], color=own.color, marker=own.marker, markersize=4, linestyle="", label=recipe)
    axes.set_xlabel(words, fontsize=TEXT)
    short_numbers(axes, "x")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(look), fontsize=SMALL, frameon=False)
    return axes


def _draw_twin(axes: "Axes", height: float, row: Row, look: Look) -> None:
    """Draw a point, hollow where it has no interval."""
    bounded = row["low"] == row["low"]
    if bounded:
        axes.plot([row["low"], row["high"]], [height, height], color=look.color, linewidth=1)
    face = look.color if bounded else "white"
    axes.plot(row["estimate"], height, look.marker, color=look.color, markerfacecolor=face, markersize=4)
