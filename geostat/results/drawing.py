"""A result as a picture: curves over training where it has steps, otherwise one line per answer."""

import textwrap
from typing import TYPE_CHECKING

from geostat.results.drawing_brackets import draw_brackets, holds_brackets
from geostat.results.drawing_curves import draw_curves, horizontal
from geostat.results.drawing_rows import draw_rows
from geostat.results.marks import marks_of
from geostat.results.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.results.base import Result

__all__ = ["draw"]

WIDE_CAPTION = 84
"""Characters in a line below the axes."""


def draw(result: "Result", axes: "Axes | None" = None) -> "Axes":
    """Draw a result.

    Parameters
    ----------
    result : Result
        Any.
    axes : matplotlib.axes.Axes, optional
        Where; by default new ones in a figure of their own, which pyplot does not know.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is saved with ``axes.figure.savefig(path)``.

    Raises
    ------
    SampleError
        If the result holds nothing to draw, or several metrics that do not share an axis.
    """
    if holds_brackets(result):
        return draw_brackets(result, axes)
    marks = marks_of(result)
    along = horizontal(marks)
    drawn = draw_curves(result, marks, along, axes) if along else draw_rows(result, marks, axes)
    if axes is None and any(mark.has_interval for mark in marks.marks):
        _say_method(result, drawn)
    return drawn


def _say_method(result: "Result", axes: "Axes") -> None:
    """Below a figure of our own: what the intervals are."""
    from matplotlib.figure import Figure

    told = textwrap.fill(result.drawn(), WIDE_CAPTION)
    if isinstance(axes.figure, Figure) and result.level is not None:
        axes.figure.supxlabel(told, fontsize=SMALL, color="0.3", x=0.01, ha="left")
