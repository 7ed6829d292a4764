"""The table and the figure of published overlaps beside independent updates."""

import csv
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geostat.nulls.null_result import NullResult
from geostat.results.axes import axis_label, dress
from geostat.results.style import SMALL, TEXT, Look, looks
from geostat.results.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw_published_null", "write_published_null"]

_COLUMNS = (
    "variable",
    "recipe",
    "weights",
    "size",
    "law",
    "observed",
    "null_mean",
    "null_sd",
    "low",
    "high",
    "excess",
)
_DIGITS = 4
_SPREAD, _LAWS = 0.2, 0.05
_DASHED = (0, (4.0, 2.0))
_CAPTION = (
    "Published: one run each, mean over 144 matrices. Updates: independent of W_0, scaled to the published densities, "
    "rounded to bf16. W_0 is synthetic: heavy-tailed spectrum (filled) or Gaussian entries (hollow), of {sizes} rows "
    "and columns (from left to right)."
)


def write_published_null(result: NullResult, folder: Path) -> tuple[Path, Path]:
    """Write ``published_null.csv`` and ``published_null.svg``.

    Parameters
    ----------
    result : NullResult
        From `published_null`.
    folder : Path
        Made if it does not exist.

    Returns
    -------
    tuple of Path
        Both files; the same result gives the same bytes.
    """
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    table, figure = folder / "published_null.csv", folder / "published_null.svg"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([_told(row[name]) for name in _COLUMNS] for row in result.rows())
    with matplotlib.rc_context({"svg.hashsalt": "geostat"}):
        draw_published_null(result).savefig(figure, metadata={"Date": None})
    return table, figure


def _told(value: Any) -> str:
    return f"{value:.{_DIGITS}f}" if isinstance(value, float) else str(value)


def draw_published_null(result: NullResult) -> "Figure":
    """Draw every overlap: published as black lines, laws of the update by colour, kinds of W_0 filled and hollow.

    Parameters
    ----------
    result : NullResult
        From `published_null`.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 3.6), layout="constrained")
    panels = figure.subplots(1, len(result.cells))
    for axes, name in zip(panels, result.cells, strict=True):
        _draw_panel(axes, result[name])
    laws = list(dict.fromkeys(str(row["law"]) for row in result.rows()))
    figure.legend(handles=_legend(laws), loc="outside upper center", ncols=5, fontsize=SMALL, frameon=False)
    told = _CAPTION.format(sizes=" and ".join(map(str, result.settings["sizes"])))
    figure.supxlabel(textwrap.fill(told, 105), fontsize=SMALL, color="0.3", x=0.01, ha="left")
    return figure


def _draw_panel(axes: "Axes", result: NullResult) -> None:
    rows = result.rows()
    recipes, kinds, sizes, laws = (
        list(dict.fromkeys(row[dim] for row in rows)) for dim in ("recipe", "weights", "size", "law")
    )
    look = looks(laws)
    middle = (len(kinds) * len(sizes) - 1) / 2
    for place, recipe in enumerate(recipes):
        own = [row for row in rows if row["recipe"] == recipe]
        axes.hlines(own[0]["observed"], place - 0.4, place + 0.4, color="black", linewidth=1.2, zorder=1)
        for row in own:
            column = kinds.index(row["weights"]) * len(sizes) + sizes.index(row["size"])
            across = place + _SPREAD * (column - middle) + _LAWS * (laws.index(row["law"]) - 1)
            _draw_null(axes, across, row, look[row["law"]], filled=row["weights"] == kinds[0])
    axes.axhline(float(result.settings["alpha"]), color="0.6", linewidth=0.8, linestyle=_DASHED, zorder=0)
    axes.set_xticks(range(len(recipes)), recipes, fontsize=TEXT)
    axes.set_xlim(-0.6, len(recipes) - 0.4)
    axes.set_ylabel(axis_label(next(iter(result.variables.values()))), fontsize=TEXT)
    dress(axes, "y")


def _draw_null(axes: "Axes", across: float, row: Row, look: Look, *, filled: bool) -> None:
    axes.plot((across, across), (row["low"], row["high"]), color=look.color, linewidth=0.8, zorder=2)
    axes.plot(
        across,
        row["null_mean"],
        linestyle="none",
        marker=look.marker,
        markersize=3.5,
        color=look.color,
        markerfacecolor=look.color if filled else "white",
        zorder=3,
    )


def _legend(laws: Sequence[str]) -> list["Line2D"]:
    from matplotlib.lines import Line2D

    marks = [
        Line2D(
            [],
            [],
            color=each.color,
            marker=each.marker,
            markersize=3.5,
            linestyle="none",
            label=f"{law} update",
        )
        for law, each in looks(laws).items()
    ]
    published = Line2D([], [], color="black", linewidth=1.2, label="published")
    share = Line2D([], [], color="0.6", linewidth=0.8, linestyle=_DASHED, label="share of the mask")
    return [published, *marks, share]
