"""One table for several results: recipes in rows, metrics in columns."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from geostat.errors import SampleError
from geostat.report.companions import Floors, companion_heading, ordered, split
from geostat.results import Row, Table, Text
from geostat.results.base import Variable, percent
from geostat.results.numbers import interval_text, onset_text
from geostat.results.table import DASH, escape_latex
from geostat.statistics import LockResult, MeanResult

__all__ = ["summary_table"]

_OUTER = ("variable", "recipe", "step", "progress", "run", "seed")
"""Labels that a summary does not repeat in its headings."""


@dataclass(frozen=True)
class _Entry:
    """One metric of one result: its heading and a text per recipe."""

    heading: Text
    cells: Mapping[str, Text]


def summary_table(
    *results: MeanResult | LockResult,
    step: int | None = None,
    rows: Literal["recipe", "metric"] = "recipe",
) -> Table:
    """Put several results side by side: recipes against metrics.

    Means stand as ``estimate [low, high]``, lock brackets as the runs' outcomes with their number.
    Nothing is computed here: every number is one of the results'.

    Where a result holds ``<metric>_null``, ``<metric>_excess`` or ``<metric>_floor`` (see
    `geostat.nulls.run_nulls`), these become columns right of the metric, and a mean that the floor covers, which
    storage rounding alone may give, stands as ``<= floor`` (``>= floor`` for ranks, which rounding raises).

    Parameters
    ----------
    *results : MeanResult or LockResult
        Of one metric or several.
    step : int, optional
        Step at which means are shown; by default the last one of each metric and recipe that has a value.
    rows : {"recipe", "metric"}
        What a row is; many metrics fit a page better as rows.

    Returns
    -------
    Table
        With ``to_text()``, ``to_html()`` and ``to_latex(caption=..., label=...)``.

    Raises
    ------
    SampleError
        If there is no result, or none has a value at the step.

    Examples
    --------
    >>> import xarray as xr
    >>> from geostat.statistics import mean_ci
    >>> accuracy = xr.DataArray(
    ...     [0.5, 0.6, 0.7],
    ...     dims="run",
    ...     coords={"recipe": ("run", ["opd"] * 3)},
    ...     attrs={"units": "1"},
    ...     name="accuracy",
    ... )
    >>> print(summary_table(mean_ci(accuracy, dim=None)).to_text())
    recipe  runs           accuracy
    ------  ----  -----------------
    opd        3  0.60 [0.35, 0.85]
    Intervals: 95% t-interval over runs. The run is the unit of sampling.
    """
    if not results:
        raise SampleError("summary_table got no result. Pass what mean_ci or lock_brackets returned.")
    entries = [entry for result in results for entry in _entries(result, step)]
    counts = _run_counts(results)
    grid = [
        [Text("recipe"), Text("runs"), *(entry.heading for entry in entries)],
        *(
            [Text(recipe), Text(count), *(entry.cells.get(recipe, Text(DASH)) for entry in entries)]
            for recipe, count in counts.items()
        ),
    ]
    if rows == "metric":
        grid = [list(column) for column in zip(*grid, strict=True)]
    return _table(grid, _remarks(results))


def _table(grid: Sequence[Sequence[Text]], remarks: Sequence[str]) -> Table:
    header, *body = (tuple(row) for row in grid)
    notes = dict.fromkeys(cell.note for row in body for cell in row if cell.note)
    numeric = (False, *(True for _ in header[1:]))
    return Table(header, tuple(body), numeric, tuple(notes), tuple(remarks))


def _entries(result: MeanResult | LockResult, step: int | None) -> Iterable[_Entry]:
    rows = result.rows()
    if isinstance(result, LockResult):
        return _grouped(rows, result, lambda found: _outcomes(found), " onset (step)")
    shown, extra = _at_step(rows, step), _settings(result)
    floors = Floors.of(shown, extra)
    return _grouped(shown, result, lambda found: floors.covering(found[-1], extra) or _mean(found[-1]), "")


def _settings(result: MeanResult | LockResult) -> list[str]:
    return [label for label in result.labels() if label not in _OUTER]


def _grouped(rows: Sequence[Row], result: MeanResult | LockResult, show: Any, suffix: str) -> list[_Entry]:
    extra = _settings(result)
    found: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row["variable"], *(row[label] for label in extra))
        found.setdefault(key, {}).setdefault(str(row.get("recipe") or "all"), []).append(row)
    return [
        _Entry(
            _heading(result.variables, key[0], dict(zip(extra, key[1:], strict=True)), suffix),
            {recipe: show(group) for recipe, group in found[key].items()},
        )
        for key in ordered(list(found), result.variables)
    ]


def _heading(variables: Mapping[str, Variable], name: str, extra: Mapping[str, Any], suffix: str) -> Text:
    told = ", ".join(f"{label} {value}" for label, value in extra.items() if value is not None)
    where = f" ({told})" if told else ""
    metric, ending = split(name, variables)
    if ending:
        return companion_heading(variables[metric], ending, where)
    variable = variables[name]
    units = f" [{variable.units}]" if variable.units not in ("", "1") else ""
    latex = escape_latex(variable.long_name or variable.name)
    return Text(f"{variable.name}{units}{where}{suffix}", latex + escape_latex(f"{units}{where}{suffix}"))


def _at_step(rows: Sequence[Row], step: int | None) -> list[Row]:
    valued = [row for row in rows if row["n_runs"] > 0]
    if step is None:
        return valued
    chosen = [row for row in valued if row.get("step") in (None, step)]
    if not chosen:
        steps = sorted({row["step"] for row in valued})
        raise SampleError(f"step={step} has no value. Steps with values: {steps}.")
    return chosen


def _mean(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _outcomes(rows: Sequence[Row]) -> Text:
    counts = Counter(row["onset"] for row in rows)
    first = sorted({row["onset"]: row for row in rows}.values(), key=_order)
    shown = [
        (onset_text(row["outcome"], row["last_out"], row["first_in"]), counts[row["onset"]]) for row in first
    ]
    many = len(rows) > 1
    plain = [text.plain + (f" x{count}" if many else "") for text, count in shown]
    latex = [text.latex + (rf" $\times {count}$" if many else "") for text, count in shown]
    return Text("; ".join(plain), "; ".join(latex))


def _order(row: Row) -> tuple[bool, float, str]:
    """Known onsets first, by step."""
    unknown = math.isnan(row["first_in"])
    return unknown, 0.0 if unknown else row["first_in"], row["outcome"]


def _run_counts(results: Sequence[MeanResult | LockResult]) -> dict[str, str]:
    """Count the runs of each recipe: as many as any cell of it has."""
    most: dict[str, int] = {}
    for result in results:
        counted = {r["run"]: r for r in result.rows()} if isinstance(result, LockResult) else {}
        for row in result.rows():
            recipe = str(row.get("recipe") or "all")
            own = sum(str(r.get("recipe") or "all") == recipe for r in counted.values())
            most[recipe] = max(most.get(recipe, 0), row.get("n_runs", own))
    return {recipe: str(count) for recipe, count in most.items()}


def _remarks(results: Sequence[MeanResult | LockResult]) -> list[str]:
    means = [result for result in results if isinstance(result, MeanResult)]
    told = dict.fromkeys(f"{percent(r.level or 0)} {r.method}" for r in means)
    remarks = [f"Intervals: {'; '.join(told)}. The run is the unit of sampling."] if told else []
    if len(means) < len(results):
        remarks.append(
            "Onsets: exact brackets between checkpoints, one per run (x: number of runs); no inference."
        )
    endings = {split(name, result.variables)[1] for result in means for name in result.variables}
    if "excess" in endings:
        remarks.append("excess: observed less what rounding alone gives.")
    if "floor" in endings:
        remarks.append(
            "floor: end of what storage errors alone give; a value that it covers may be storage alone."
        )
    protocols = dict.fromkeys(f"{r.protocol} ({r.protocol_hash})" for r in results if r.protocol)
    plans = dict.fromkeys(f"{', '.join(r.cells)}: {r.planned}" for r in results if r.planned)
    measured = [f"Protocol: {', '.join(protocols)}."] if protocols else []
    return [*remarks, *measured, *([f"Plan: {'; '.join(plans)}."] if plans else [])]
