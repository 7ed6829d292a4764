"""What was measured of each cell, as lines of a table, and what is known to fall short."""

import csv
import math
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bars.bar import Bar, Cell, Number, Share
from loading import cell_text

SLACK = 3.0
"""Monte Carlo standard errors up to which a value outside its bound may be chance."""
MEAN = "mean of all cells"
MET, WITHIN, MISSED, REPORTED = "met", "within error", "missed", "reported"


@dataclass(frozen=True)
class Record:
    """One measured cell; `cell` is `MEAN` for the mean over a bar's cells."""

    bar: str
    section: str
    control: bool
    quantity: str
    cell: str
    value: float
    error: float
    at_least: float | None
    at_most: float | None
    outcome: str
    n_rep: int
    seconds: float


def record_of(bar: Bar, cell: str, measured: Share | Number, n_rep: int, seconds: float) -> Record:
    return Record(
        bar.name,
        bar.section,
        bar.control,
        bar.quantity,
        cell,
        float(f"{measured.value:.6g}"),
        float(f"{measured.error:.3g}"),
        bar.at_least,
        bar.at_most,
        outcome(bar, measured),
        n_rep,
        round(seconds, 2),
    )


def outcome(bar: Bar, measured: Share | Number) -> str:
    """Met as it stands, met up to what chance may do, or missed; NaN is missed."""
    if bar.at_least is None and bar.at_most is None:
        return REPORTED
    if bar.holds(measured):
        return MET
    return WITHIN if bar.holds(measured, SLACK) else MISSED


def mean_record(bar: Bar, records: Sequence[Record]) -> Record:
    """Mean over cells, in which a small shortfall of every cell cannot hide behind its error."""
    value = math.fsum(record.value for record in records) / len(records)
    error = math.sqrt(math.fsum(record.error**2 for record in records)) / len(records)
    seconds = math.fsum(record.seconds for record in records)
    return record_of(bar, MEAN, Number(value, error), records[0].n_rep, seconds)


def write(path: Path, records: Iterable[Record]) -> None:
    """Replace the file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(path.suffix + ".new")
    with aside.open("w", newline="", encoding="utf-8") as file:
        _writer(file).writerows(_line(record) for record in records)
    os.replace(aside, path)


def _writer(file: Any) -> "csv.DictWriter[str]":
    writer = csv.DictWriter(file, [field.name for field in fields(Record)], lineterminator="\n")
    writer.writeheader()
    return writer


def _line(record: Record) -> dict[str, Any]:
    return {name: "" if value is None else value for name, value in asdict(record).items()}


def read(path: Path) -> list[Record]:
    """Records of a file; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [_record(line) for line in csv.DictReader(file)]


def _record(line: Mapping[str, str]) -> Record:
    told: dict[str, Any] = dict(line)
    bounds = {name: float(line[name]) if line[name] else None for name in ("at_least", "at_most")}
    numbers = {name: float(line[name]) for name in ("value", "error", "seconds")}
    return Record(
        **told | bounds | numbers | {"control": line["control"] == "True", "n_rep": int(line["n_rep"])}
    )


@dataclass(frozen=True)
class Shortfall:
    """Cells of a bar that are known not to meet it, and why."""

    bar: str
    reason: str
    cells: tuple[Mapping[str, Any], ...] = ()

    def covers(self, bar: str, cell: Cell) -> bool:
        """Whether it speaks of this cell: all settings of one entry agree; without entries all cells."""
        same = any(all(cell.get(key) == value for key, value in entry.items()) for entry in self.cells)
        return bar == self.bar and (same or not self.cells)


def read_shortfalls(path: Path) -> list[Shortfall]:
    found = tomllib.loads(path.read_text(encoding="utf-8")).get("shortfall", [])
    return [Shortfall(entry["bar"], entry["reason"], tuple(entry.get("cells", ()))) for entry in found]


def unexplained(
    records: Iterable[Record], bars: Iterable[Bar], shortfalls: Iterable[Shortfall]
) -> list[Record]:
    """Missed cells that no shortfall speaks of; a missed mean needs one that speaks of the bar."""
    by_name, listed = {bar.name: bar for bar in bars}, list(shortfalls)
    return [
        record
        for record in records
        if record.outcome == MISSED and not _explained(record, by_name[record.bar], listed)
    ]


def _explained(record: Record, bar: Bar, shortfalls: Sequence[Shortfall]) -> bool:
    if record.cell == MEAN:
        return any(each.bar == bar.name for each in shortfalls)
    cells = [cell for cell in bar.cells if cell_text(cell) == record.cell]
    return any(each.covers(bar.name, cell) for each in shortfalls for cell in cells)
