"""The table of the benchmark, made from what was measured: no figure in it is typed."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DATA = Path("data") / "bench.csv"
TRIED = ("rotation", "refinement")

HEADER = [
    "measured",
    "published protocol, s",
    "geostat, s",
    "found",
    "bar",
    "goal",
    "error",
    "error bar",
    "outcome",
]
OUTCOMES = {"met": "met", "missed": "not met", "skipped": "not measured", "reported": "reported only"}

Record = Mapping[str, str]


def read(path: Path) -> list[Record]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def chosen(records: Sequence[Record], wanted: str) -> list[Record]:
    """Records of one table: ``bars``, or what was ``tried`` and left out on a CPU."""
    return [r for r in records if r["job"].startswith(TRIED) == (wanted == "tried")]


def number(text: str) -> str:
    return f"{float(text):.3g}" if text else ""


def bound(record: Record) -> str:
    if record["at_least"]:
        return f"≥ {float(record['at_least']):g}"
    return f"≤ {float(record['at_most']):g}" if record["at_most"] else ""


def outcome(record: Record) -> str:
    word = OUTCOMES[record["outcome"]]
    return f"{word}: {record['note']}" if record["note"] else word


def row(record: Record) -> list[str]:
    value = f"{number(record['value'])} {record['quantity']}" if record["value"] else ""
    return [
        record["measured"],
        number(record["naive_seconds"]),
        number(record["fast_seconds"]),
        value,
        bound(record),
        number(record["goal"]),
        number(record["error"]),
        number(record["error_bar"]),
        outcome(record),
    ]


class BenchTable(SphinxDirective):
    """One row per bar: ``bars``, or ``tried`` for what is measured and not used on a CPU."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / DATA
        self.env.note_dependency(str(path))
        return [table(HEADER, [row(record) for record in chosen(read(path), self.arguments[0])])]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec("", colwidth=1) for _ in header), cols=len(header))
    group += nodes.thead("", line(header))
    group += nodes.tbody("", *(line(texts) for texts in rows))
    return nodes.table("", group, classes=["wide", "benchmarks"])


def line(texts: Sequence[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in texts))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("bench-table", BenchTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
