"""The table of bars, as text and as records."""

from collections.abc import Sequence

from geostat.bench.bars import Row

__all__ = ["COLUMNS", "bench_table", "record"]

COLUMNS = (
    "job",
    "measured",
    "naive_seconds",
    "fast_seconds",
    "quantity",
    "value",
    "at_least",
    "at_most",
    "goal",
    "error",
    "error_bar",
    "outcome",
    "note",
)
"""Names of a record's fields."""


def record(row: Row) -> dict[str, str | float | None]:
    """Return a line as plain values.

    Parameters
    ----------
    row : Row
        The line.

    Returns
    -------
    dict
        One value per name in `COLUMNS`; None where there is none.
    """
    bar, found = row.bar, row.found
    values = (
        row.job,
        bar.name,
        found.naive_seconds,
        found.fast_seconds,
        bar.quantity,
        found.value,
        bar.at_least,
        bar.at_most,
        bar.goal,
        found.error,
        bar.error_bar,
        row.outcome,
        found.note,
    )
    return dict(zip(COLUMNS, values, strict=True))


def bench_table(rows: Sequence[Row]) -> str:
    """Return the table as text.

    Parameters
    ----------
    rows : sequence of Row
        Its lines.

    Returns
    -------
    str
        One line per bar under a header.
    """
    header = ("measured", "naive s", "fast s", "found", "bar", "goal", "error", "error bar", "outcome")
    lines = [header, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 8) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    bar, found = row.bar, row.found
    bound = "" if bar.at_least is None else f">= {bar.at_least:g}"
    bound = bound if bar.at_most is None else f"<= {bar.at_most:g}"
    value = "" if found.value is None else f"{found.value:.3g} {bar.quantity}"
    outcome = f"{row.outcome}: {found.note}" if row.outcome == "skipped" else row.outcome
    numbers = (found.error, bar.error_bar)
    errors = tuple("" if number is None else f"{number:.1e}" for number in numbers)
    goal = "" if bar.goal is None else f"{bar.goal:g}"
    return (
        bar.name,
        _seconds(found.naive_seconds),
        _seconds(found.fast_seconds),
        value,
        bound,
        goal,
        *errors,
        outcome,
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
