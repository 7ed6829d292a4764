"""Figures of a run in front of what a null gives."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geostat.errors import SampleError
from geostat.results.axes import axis_label, dress, name_ends, short_numbers, stay_in_bounds
from geostat.results.drawing_rows import new_axes
from geostat.results.style import SMALL, TEXT, Look, looks
from geostat.results.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.nulls.null_result import NullResult

__all__ = ["draw_envelope", "draw_null"]

_SPARE = ("progress", "seed", "recipe")


def draw_null(result: "NullResult", axes: "Axes | None" = None) -> "Axes":
    """Draw observed figures in front of their null.

    Over steps: a line for each run, side or matrix, its null a band with the mean dashed. Otherwise a row for each
    figure: a bar for the null, a point for what was observed.

    Parameters
    ----------
    result : NullResult
        Of one statistic.
    axes : matplotlib.axes.Axes, optional
        Where; by default new ones in a figure of their own.

    Returns
    -------
    matplotlib.axes.Axes
        With the statistic's label.

    Raises
    ------
    SampleError
        If several statistics would share an axis.
    """
    _check_single(result)
    lines = _lines(result)
    stepped = all("step" in row and row["step"] is not None for rows in lines.values() for row in rows)
    if stepped:
        return _draw_steps(result, lines, axes or new_axes(5.6, 3.4))
    return _draw_rows(result, lines, axes or new_axes(5.6, 0.9 + 0.35 * len(lines)))


def draw_envelope(axes: "Axes", result: "NullResult", *, x: str = "step") -> None:
    """Draw the null's band behind curves that are already there; of several sides and runs each in grey.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    result : NullResult
        Of one statistic, over steps.
    x : {"step", "progress"}
        Horizontal axis.

    Raises
    ------
    SampleError
        If there are several statistics, or no steps.
    """
    _check_single(result)
    for rows in _lines(result).values():
        if rows[0].get(x) is None:
            raise SampleError(f"the envelope has no {x} to be drawn along. It holds {list(result.labels())}.")
        known = [row for row in rows if math.isfinite(float(row["null_mean"]))]
        across, low, high, mean = _columns(known, x, "low", "high", "null_mean")
        axes.fill_between(across, low, high, color="0.85", linewidth=0, zorder=0)
        axes.plot(across, mean, color="0.55", linewidth=0.9, linestyle=(0, (4.0, 2.0)), zorder=1)


def _check_single(result: "NullResult") -> None:
    if len(result.cells) != 1:
        raise SampleError(
            f"the null holds {len(result.cells)} statistics ({', '.join(result.cells)}), whose units do not share an "
            f"axis. Draw one at a time: result[{next(iter(result.cells), '')!r}]."
        )


def _lines(result: "NullResult") -> dict[str, list[Row]]:
    """Rows by the labels that tell lines apart, all but the step."""
    rows = result.rows()
    told = [name for name in result.labels()[1:] if name not in ("step", *_SPARE)]
    telling = [name for name in told if len({str(row.get(name)) for row in rows}) > 1]
    stepped = any(row.get("step") is not None for row in rows)
    found: dict[str, list[Row]] = {}
    for place, row in enumerate(rows):
        names = [_named(name, row[name]) for name in telling if row.get(name) is not None]
        key = ", ".join(names) or ("" if stepped else f"{place + 1}" if len(rows) > 1 else "")
        found.setdefault(key, []).append(row)
    return found


def _named(name: str, value: Any) -> str:
    return str(value) if name in ("run", "matrix", "side") and isinstance(value, str) else f"{name} {value}"


def _columns(rows: Sequence[Row], *names: str) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    ordered = sorted(rows, key=lambda row: float(row[names[0]]))
    return [np.array([float(row[name]) for row in ordered], dtype=np.float64) for name in names]


def _draw_steps(result: "NullResult", lines: dict[str, list[Row]], axes: "Axes") -> "Axes":
    look, ends = looks(lines), {}
    for name, rows in lines.items():
        across, low, high, mean, observed = _columns(rows, "step", "low", "high", "null_mean", "observed")
        color = look[name].color
        axes.fill_between(across, low, high, color=color, alpha=0.16, linewidth=0, zorder=1)
        axes.plot(across, mean, color=color, linewidth=0.8, linestyle=(0, (4.0, 2.0)), alpha=0.8, zorder=2)
        known = np.isfinite(observed)
        _draw_observed(axes, across[known], observed[known], look[name])
        heights = observed[known] if known.any() else mean[np.isfinite(mean)]
        if heights.size:
            ends[name or ("observed" if known.any() else "null")] = (float(heights[-1]), color)
    axes.set_xlabel("Step", fontsize=TEXT)
    _finish(result, axes, "y")
    name_ends(axes, ends)
    return axes


def _draw_observed(axes: "Axes", across: Any, observed: Any, look: Look) -> None:
    axes.plot(
        across, observed, color=look.color, linestyle=look.dash, marker=look.marker, markersize=4.0, zorder=3
    )


def _draw_rows(result: "NullResult", lines: dict[str, list[Row]], axes: "Axes") -> "Axes":
    names = list(lines)
    for height, rows in enumerate(reversed(list(lines.values()))):
        for row in rows:
            low, high, mean, observed = (float(row[q]) for q in ("low", "high", "null_mean", "observed"))
            axes.plot(
                (low, high), (height, height), color="0.75", linewidth=6, solid_capstyle="butt", zorder=1
            )
            axes.plot(mean, height, color="0.35", marker="|", markersize=9, linestyle="none", zorder=2)
            if math.isfinite(observed):
                axes.plot(observed, height, color="#0072B2", marker="o", linestyle="none", zorder=3)
    axes.set_yticks(range(len(names)), list(reversed(names)), fontsize=SMALL)
    axes.set_ylim(-0.6, len(names) - 0.4)
    _finish(result, axes, "x")
    return axes


def _finish(result: "NullResult", axes: "Axes", along: str) -> None:
    (variable,) = result.variables.values()
    (axes.set_ylabel if along == "y" else axes.set_xlabel)(axis_label(variable), fontsize=TEXT)
    dress(axes, along)
    short_numbers(axes, along)
    if along == "y":
        stay_in_bounds(axes, variable, log=False)
