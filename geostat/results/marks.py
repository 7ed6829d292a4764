"""What of a result can be drawn: points with intervals, and the words beside them."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geostat.errors import SampleError
from geostat.results.axes import axis_label
from geostat.results.table import Row, Text

if TYPE_CHECKING:
    from geostat.results.base import Result, Variable

__all__ = ["Mark", "Marks", "marks_of", "row_name"]

LONGEST = 44
"""Characters of a reason that stand in a picture; the table tells it whole."""

_SPARE = ("progress", "seed", "regime")
"""Labels that name nothing which another does not, or along which estimates repeat."""


@dataclass(frozen=True)
class Mark:
    """A point with its interval.

    Attributes
    ----------
    labels : mapping
        What tells it from the other marks.
    estimate, low, high : float
        NaN where undefined; infinite ends are open.
    reason : str
        Why there is no interval.
    n_runs : int
        Runs behind the estimate; 0 where it speaks of one run, or the rows do not say.
    """

    labels: Mapping[str, Any]
    estimate: float
    low: float
    high: float
    reason: str
    n_runs: int = 0

    @property
    def remark(self) -> str:
        """Words in the place of an interval that is missing; empty where there is one, or none is meant."""
        if self.has_interval:
            return ""
        head = textwrap.shorten(self.reason.split(":")[0], LONGEST, placeholder=" ...")
        if math.isnan(self.estimate):
            return head or "no value"
        return f"no interval: {head}" if head else ""

    @property
    def has_interval(self) -> bool:
        """Whether there are ends, open ones included."""
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class Marks:
    """All marks of a result.

    Attributes
    ----------
    marks : tuple of Mark
        In the order of the rows.
    variable : Variable or None
        The metric whose units the values have; None for steps, shares and other common scales.
    heading : str
        What the table says above the values.
    neutral : float or None
        Value of no difference, where the result is a contrast.
    margin : tuple of float or None
        Where equivalence was declared.
    """

    marks: tuple[Mark, ...]
    variable: "Variable | None"
    heading: str
    neutral: float | None = None
    margin: tuple[float, float] | None = None

    def label(self, width: int) -> str:
        """Label of the axis of values, broken into lines of a width in characters."""
        if self.variable is None:
            return textwrap.fill(self.heading[:1].upper() + self.heading[1:], width)
        label = axis_label(self.variable, width)
        return f"{label}\n{self.heading}" if self.neutral is not None else label


def marks_of(result: "Result") -> Marks:
    """Find the estimates of a result and their intervals.

    Parameters
    ----------
    result : Result
        Of one metric, or of several on one scale that is not theirs (shares, steps).

    Returns
    -------
    Marks
        Rows that would be drawn at the same place are drawn once.

    Raises
    ------
    SampleError
        If there is nothing to draw, or metrics of different units would share an axis.
    """
    rows = result.rows()
    keys = _keys(result, rows)
    in_units = keys[1] in getattr(result, "in_units", ()) or keys[0] in getattr(result, "in_units", ())
    _check_one_axis(result, in_units)
    names = _telling(result, rows)
    found = {
        tuple(row.get(name) for name in names): Mark(
            {name: row[name] for name in names},
            *_numbers(row, keys),
            str(row.get("reason") or ""),
            int(row.get("n_runs") or 0),
        )
        for row in rows
    }
    heading = _heading(result)
    return Marks(
        tuple(found.values()),
        next(iter(result.variables.values())) if in_units else None,
        heading,
        _neutral(result, heading) if in_units else None,
        _margin(rows),
    )


def row_name(mark: Mark, variables: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """Name a mark by its labels.

    Parameters
    ----------
    mark : Mark
        A mark.
    variables : mapping
        Identifier -> Variable.
    without : sequence of str
        Labels said elsewhere.

    Returns
    -------
    str
        Recipes and runs by their names, metrics by their long names, others with what they are.
    """
    told = {key: value for key, value in mark.labels.items() if key not in without and value is not None}
    if str(told.get("run", "")).startswith(str(told.get("recipe", "\n"))):
        del told["recipe"]
    return ", ".join(_named(key, value, variables) for key, value in told.items())


def _named(key: str, value: Any, variables: Mapping[str, Any]) -> str:
    if key == "variable" and value in variables:
        return str(variables[value].long_name or value)
    if key in ("recipe", "matrix", "regime") or (key == "run" and isinstance(value, str)):
        return str(value)
    return f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"


def _keys(result: "Result", rows: Sequence[Row]) -> tuple[str, str, str]:
    low, high = getattr(result, "interval_quantities", ("low", "high"))
    if not rows or low not in rows[0]:
        raise SampleError(
            f"{type(result).__name__} holds no estimates with intervals to draw. "
            "Draw what you need from result.to_frame()."
        )
    if low != "low":
        return low.removesuffix("_low"), low, high
    return "difference" if "difference" in rows[0] else "estimate", low, high


def _numbers(row: Row, keys: tuple[str, str, str]) -> tuple[float, float, float]:
    estimate, low, high = (row.get(key, math.nan) for key in keys)
    return float(estimate), float(low), float(high)


def _check_one_axis(result: "Result", in_units: bool) -> None:
    if in_units and len(result.variables) > 1:
        first = next(iter(result.variables))
        raise SampleError(
            f"the result holds {len(result.variables)} metrics ({', '.join(result.variables)}), whose units "
            f"do not share an axis. Draw one at a time: result[{first!r}].plot()."
        )


def _telling(result: "Result", rows: Sequence[Row]) -> list[str]:
    """Labels without which marks would be confused."""
    names = [name for name in result.labels() if len({str(row.get(name)) for row in rows}) > 1]
    names = [name for name in names if name not in _SPARE]
    if not names and rows:
        names = [name for name in ("recipe", "run") if rows[0].get(name) is not None][:1]
    return names


def _heading(result: "Result") -> str:
    """What the table says above the estimates, without the level."""
    titles = [c.title.plain if isinstance(c.title, Text) else c.title for c in result.columns()]
    with_interval = [title for title in titles if "[" in title]
    return (with_interval or titles or [""])[0].split(" [")[0]


def _neutral(result: "Result", heading: str) -> float | None:
    if "against" not in heading:
        return None
    scales = result.settings.get("scale", {})
    return 1.0 if isinstance(scales, Mapping) and set(scales.values()) - {"identity"} else 0.0


def _margin(rows: Sequence[Row]) -> tuple[float, float] | None:
    found = {(row["margin_low"], row["margin_high"]) for row in rows if "margin_low" in row}
    return found.pop() if len(found) == 1 else None
