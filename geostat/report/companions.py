"""Metrics beside what rounding alone gives: which variables belong to which, and which values a floor covers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geostat.results import Row, Text
from geostat.results.base import Variable
from geostat.results.table import escape_latex

__all__ = ["COMPANIONS", "Floors", "companion_heading", "from_below", "ordered", "split"]

COMPANIONS = ("null", "excess", "floor")
"""Endings of variables that stand beside the metric they belong to, in the order of their columns."""


def split(name: str, names: Iterable[str]) -> tuple[str, str]:
    """Metric and ending of a variable.

    Parameters
    ----------
    name : str
        Of the variable.
    names : iterable of str
        Of all variables; without its metric a companion is a metric of its own.

    Returns
    -------
    tuple of str
        Metric, and ``"null"``, ``"excess"``, ``"floor"`` or nothing.
    """
    metric, _, ending = name.rpartition("_")
    return (metric, ending) if ending in COMPANIONS and metric in set(names) else (name, "")


def ordered(keys: Sequence[tuple[Any, ...]], names: Iterable[str]) -> list[tuple[Any, ...]]:
    """Columns with companions right of their metrics.

    Parameters
    ----------
    keys : sequence of tuple
        Variable, then values of settings.
    names : iterable of str
        Of all variables.

    Returns
    -------
    list of tuple
        The same keys.
    """
    known = tuple(names)
    told = {key: split(key[0], known) for key in keys}
    first = {
        (metric, *key[1:]): place for place, (key, (metric, ending)) in enumerate(told.items()) if not ending
    }
    by_metric = {metric: place for (metric, *_), place in reversed(first.items())}

    def place(key: tuple[Any, ...]) -> tuple[int, int]:
        metric, ending = told[key]
        own = first.get((metric, *key[1:]), by_metric.get(metric, len(keys)))
        return own, 1 + COMPANIONS.index(ending) if ending else 0

    return sorted(keys, key=place)


def companion_heading(metric: Variable, ending: str, where: str) -> Text:
    """Head a companion's column.

    Parameters
    ----------
    metric : Variable
        Whose companion.
    ending : str
        Which.
    where : str
        Settings in words.

    Returns
    -------
    Text
        Plain and LaTeX.
    """
    return Text(
        f"{metric.name} {ending}{where}", escape_latex(f"{metric.long_name or metric.name}, {ending}{where}")
    )


@dataclass(frozen=True)
class Floors:
    """Noise floors by metric, recipe and settings.

    Attributes
    ----------
    values : mapping
        Metric, recipe, settings -> end of what storage alone gives.
    """

    values: Mapping[tuple[Any, ...], float]

    @classmethod
    def of(cls, rows: Sequence[Row], extra: Sequence[str]) -> "Floors":
        """Read floors off the rows of means.

        Parameters
        ----------
        rows : sequence of mapping
            Of all metrics.
        extra : sequence of str
            Labels of settings.

        Returns
        -------
        Floors
            Empty where the data hold none.
        """
        names = {str(row["variable"]) for row in rows}
        found = {}
        for row in rows:
            metric, ending = split(str(row["variable"]), names)
            if ending == "floor":
                found[metric, row.get("recipe"), *(row.get(label) for label in extra)] = float(
                    row["estimate"]
                )
        return cls(found)

    def covering(self, row: Row, extra: Sequence[str]) -> Text | None:
        """Text in the place of a value that storage alone may give.

        Parameters
        ----------
        row : mapping
            With the value.
        extra : sequence of str
            Labels of settings.

        Returns
        -------
        Text or None
            ``"<= floor"``, for ranks ``">= floor"``; None where there is no floor, or the value is beyond it.
        """
        metric, recipe = str(row["variable"]), row.get("recipe")
        settings = [row.get(label) for label in extra]
        floor = self.values.get((metric, recipe, *settings), math.nan)
        if not _covers(metric, float(row["estimate"]), floor):
            return None
        return Text("<= floor", r"$\le$ floor") if from_below(metric) else Text(">= floor", r"$\ge$ floor")


def from_below(metric: str) -> bool:
    """Whether storage errors give small values: of ranks they give high ones.

    Parameters
    ----------
    metric : str
        Identifier.

    Returns
    -------
    bool
        False for ranks.
    """
    from geostat.nulls.floors.result import DIAGNOSTICS_WITH_FLOOR

    return DIAGNOSTICS_WITH_FLOOR.get(metric, "at most") != "at least"


def _covers(metric: str, value: float, floor: float) -> bool:
    if math.isnan(value) or math.isnan(floor):
        return False
    return value <= floor if from_below(metric) else value >= floor
