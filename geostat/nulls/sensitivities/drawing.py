"""The specification curve: values of all analyses side by side, above the settings that made them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geostat.errors import SampleError
from geostat.results.axes import axis_label, dress, name_ends, short_numbers
from geostat.results.style import SMALL, TEXT, Look, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geostat.nulls.sensitivities.result import SensitivityResult

__all__ = ["draw_specifications"]

GREY = "0.45"


def draw_specifications(result: "SensitivityResult", axes: "Axes | None") -> "Axes":
    """Draw all analyses, in the order of the values of the recipe that is largest at most of them.

    Parameters
    ----------
    result : SensitivityResult
        Of one metric.
    axes : matplotlib.axes.Axes or None
        Where.

    Returns
    -------
    matplotlib.axes.Axes
        With the values; settings stand below.

    Raises
    ------
    SampleError
        If there are several metrics.
    """
    if len(result.cells) > 1:
        names = ", ".join(result.cells)
        first = next(iter(result.cells))
        raise SampleError(
            f"the result holds {names}, whose units share no axis. Draw one: result[{first!r}].plot()."
        )
    groups = _sorted(result.combinations())
    levels = _levels(result, result.combinations())
    axes = axes if axes is not None else _new_axes(len(groups), len(levels))
    look = looks(result.recipes)
    for place, recipe in enumerate(result.recipes):
        _draw_recipe(axes, [group[place] for group in groups], look[recipe])
    (variable,) = result.variables.values()
    axes.set_ylabel(axis_label(variable), fontsize=TEXT)
    dress(axes, "y")
    short_numbers(axes, "y")
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.tick_params(axis="x", labelbottom=False, length=0)
    if len(result.recipes) > 1:
        _mark_broken(axes, groups)
        name_ends(axes, {r: (groups[-1][i]["estimate"], look[r].color) for i, r in enumerate(result.recipes)})
    _draw_settings(axes, result, groups, levels)
    return axes


def _new_axes(n_groups: int, n_levels: int) -> "Axes":
    from matplotlib.figure import Figure

    below = 0.2 + 0.17 * n_levels
    figure = Figure(figsize=(max(4.5, min(9.0, 1.8 + 0.16 * n_groups)), 2.6 + below))
    return figure.add_axes((0.2, (below + 0.25) / (2.6 + below), 0.66, 2.1 / (2.6 + below)))


def _sorted(groups: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    values = np.array([[row["estimate"] for row in group] for group in groups], dtype=np.float64)
    if np.isnan(values).all():
        raise SampleError("no setting has a value, so there is nothing to draw.")
    leading = int(np.nanargmax(np.nansum(values == np.nanmax(values), axis=0)))
    return [groups[i] for i in np.argsort(values[:, leading], kind="stable")]


def _levels(result: "SensitivityResult", groups: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[str, Any]]:
    """Settings that vary, one line each."""
    names = list(result.settings_of(groups[0][0]))
    found = [(name, value) for name in names for value in dict.fromkeys(group[0][name] for group in groups)]
    return [level for level in found if sum(level[0] == other[0] for other in found) > 1]


def _draw_recipe(axes: "Axes", rows: Sequence[dict[str, Any]], look: Look) -> None:
    across = np.arange(len(rows))
    estimate, low, high = (
        np.array([row[name] for row in rows], dtype=np.float64) for name in ("estimate", "low", "high")
    )
    with_interval = np.isfinite(low) & np.isfinite(high)
    axes.vlines(
        across[with_interval], low[with_interval], high[with_interval], color=look.color, linewidth=0.9
    )
    filling = look.color if with_interval.any() else "white"
    axes.plot(
        across,
        estimate,
        linestyle="none",
        marker=look.marker,
        markersize=3.6,
        color=look.color,
        markerfacecolor=filling,
        zorder=3,
    )


def _mark_broken(axes: "Axes", groups: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Shade the settings at which the order is another one."""
    broken = [i for i, group in enumerate(groups) if not group[0]["holds"]]
    for place in broken:
        axes.axvspan(place - 0.5, place + 0.5, color="0.92", zorder=0, linewidth=0)
    if broken:
        axes.set_title("Shaded: another order of recipes", fontsize=SMALL, color=GREY, loc="left")


def _draw_settings(
    axes: "Axes",
    result: "SensitivityResult",
    groups: Sequence[Sequence[dict[str, Any]]],
    levels: Sequence[tuple[str, Any]],
) -> None:
    if not levels:
        return
    height = axes.get_window_extent().height / axes.figure.dpi
    share = 0.17 * len(levels) / height
    below = axes.inset_axes((0.0, -share - 0.06, 1.0, share), sharex=axes)
    for line, (name, value) in enumerate(levels):
        has = [i for i, group in enumerate(groups) if group[0][name] == value]
        below.plot(has, [line] * len(has), linestyle="none", marker="s", markersize=2.6, color="0.25")
    below.set_ylim(len(levels) - 0.4, -0.6)
    below.set_yticks(range(len(levels)), [_level_text(*level) for level in levels], fontsize=SMALL)
    below.tick_params(length=0, labelbottom=False)
    below.set_xticks([])
    below.spines[:].set_visible(False)
    for line in range(1, len(levels)):
        if levels[line][0] != levels[line - 1][0]:
            below.axhline(line - 0.5, color="0.8", linewidth=0.6)
    below.set_xlabel(f"{len(groups)} analyses", fontsize=SMALL, color=GREY)


def _level_text(name: str, value: Any) -> str:
    number = isinstance(value, float) and math.isfinite(value)
    return f"{name} {value:g}" if number else f"{name} {value}"
