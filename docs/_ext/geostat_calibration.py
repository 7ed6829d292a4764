"""The table of calibration, made from what was measured: no figure in it is typed."""

import csv
import html
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DATA = Path("data") / "calibration.csv"
SHORTFALLS = Path("..") / "tests" / "calibration" / "shortfalls.toml"
MEAN = "mean of all cells"
OUTCOMES = {
    "met": "met",
    "within error": "met up to Monte Carlo error",
    "missed": "not met",
    "reported": "reported only",
}

CONTROLS = {
    "met": "fails as predicted",
    "within error": "fails as predicted up to Monte Carlo error",
    "missed": "does not fail as predicted",
}

Record = Mapping[str, str]


def read(path: Path) -> list[Record]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def reasons(path: Path) -> dict[str, list[str]]:
    """Why a bar is known not to be met, by its name."""
    found: dict[str, list[str]] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("shortfall", []):
        found.setdefault(entry["bar"], []).append(entry["reason"])
    return found


def bars(records: Iterable[Record]) -> list[list[Record]]:
    """Records of each bar, together."""
    return [list(own) for _, own in groupby(records, key=lambda record: record["bar"])]


def cells_of(own: Sequence[Record]) -> list[Record]:
    return [record for record in own if record["cell"] != MEAN]


def room(record: Record) -> float:
    """How far inside its bound a value lies; negative outside."""
    value = float(record["value"])
    sides = [(value - float(record["at_least"]))] if record["at_least"] else []
    sides += [float(record["at_most"]) - value] if record["at_most"] else []
    return min(sides, default=-value)


def figure(record: Record) -> str:
    return f"{decimal(record['value'])} ± {decimal(record['error'])}"


def decimal(text: str) -> str:
    """Three places, or three digits where that shows nothing."""
    value = float(text)
    return f"{value:.3f}" if 0.0005 <= abs(value) < 100 or value == 0 else f"{value:.3g}"


def bounded(record: Record) -> str:
    low, high = record["at_least"], record["at_most"]
    if low and high:
        bound = f" {float(low):g} to {float(high):g}"
    else:
        bound = f" ≥ {float(low):g}" if low else f" ≤ {float(high):g}" if high else ""
    return record["quantity"] + bound


def outcome(own: Sequence[Record], why: Sequence[str]) -> str:
    """How a bar went, in words, with the reason where it is not met."""
    found = cells_of(own)
    counts = {name: sum(r["outcome"] == name for r in found) for name in OUTCOMES}
    words = OUTCOMES | (CONTROLS if own[0]["control"] == "True" else {})
    told = [f"{words[name]}{amount(count, len(found))}" for name, count in counts.items() if count]
    if any(r["cell"] == MEAN and r["outcome"] == "missed" for r in own) and not counts["missed"]:
        told.append("not met by the mean of all cells")
    text = "; ".join(told)
    return f"{text}. {' '.join(why)}" if why else text


def amount(count: int, total: int) -> str:
    return "" if count == total else f" in {count} of {total} cells"


def kind(own: Sequence[Record]) -> str:
    """Which table a bar stands in."""
    if own[0]["control"] == "True":
        return "control"
    return "claim" if own[0]["at_least"] or own[0]["at_most"] else "reported"


def simulated(found: Sequence[Record]) -> str:
    cells = f"{len(found)} cells" if len(found) > 1 else "1 cell"
    return f"{cells} of {int(found[0]['n_rep']):,} studies"


def summary_row(own: Sequence[Record], why: Sequence[str]) -> list[str]:
    found = cells_of(own)
    worst = min(found, key=room)
    mean = next((record for record in own if record["cell"] == MEAN), worst)
    where = f" ({worst['cell']})" if len(found) > 1 else ""
    return [
        own[0]["bar"],
        simulated(found),
        bounded(own[0]),
        figure(worst) + where,
        figure(mean),
        outcome(own, why),
    ]


def reported_row(own: Sequence[Record]) -> list[str]:
    found = sorted(cells_of(own), key=lambda record: float(record["value"]))
    ends = [f"{figure(record)} ({record['cell']})" for record in (found[0], found[-1])]
    return [
        own[0]["bar"],
        simulated(found),
        own[0]["quantity"],
        *(ends if len(found) > 1 else [figure(found[0]), ""]),
    ]


HEADER = ["claim", "simulated", "bound", "worst cell", "mean of cells", "outcome"]
REPORTED = ["what was simulated", "simulated", "quantity", "lowest cell", "highest cell"]


class CalibrationTable(SphinxDirective):
    """One row per bar of a kind: ``claim``, ``control`` (known to be wrong), ``reported`` (without a bound)."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (wanted,) = self.arguments
        records, why = measured(self)
        own = [bar for bar in bars(records) if kind(bar) == wanted]
        if not own:
            return [nodes.paragraph("", "There is none.")]
        if wanted == "reported":
            return [table(REPORTED, [reported_row(bar) for bar in own])]
        return [table(HEADER, [summary_row(bar, why.get(bar[0]["bar"], [])) for bar in own])]


class CalibrationCells(SphinxDirective):
    """A fold-out per claim with every cell."""

    def run(self) -> list[nodes.Node]:
        records, _ = measured(self)
        found: list[nodes.Node] = []
        for own in bars(records):
            rows = [
                [r["cell"], figure(r), OUTCOMES[r["outcome"]], r["n_rep"], f"{float(r['seconds']):.1f}"]
                for r in own
            ]
            title = html.escape(f"{own[0]['bar']}: {bounded(own[0])}")
            found += [
                nodes.raw("", f"<details><summary>{title}</summary>", format="html"),
                table(["cell", own[0]["quantity"], "outcome", "studies", "seconds"], rows),
                nodes.raw("", "</details>", format="html"),
            ]
        return found


class CalibrationFacts(SphinxDirective):
    """How much was simulated, and how long that takes."""

    def run(self) -> list[nodes.Node]:
        records, _ = measured(self)
        found = cells_of(records)
        hours = sum(float(record["seconds"]) for record in found) / 60
        studies = sum(int(record["n_rep"]) for record in found)
        text = (
            f"{len(bars(records))} claims in {len(found)} cells, {studies:,} simulated studies: {hours:.0f} minutes of "
            "one processor core, about half of that with two workers."
        )
        return [nodes.paragraph("", text)]


def measured(directive: SphinxDirective) -> tuple[list[Record], dict[str, list[str]]]:
    """The data file and the known shortfalls; the page is made anew when one of them changes."""
    here = Path(directive.env.srcdir)
    for path in (here / DATA, here / SHORTFALLS):
        directive.env.note_dependency(str(path))
    return read(here / DATA), reasons(here / SHORTFALLS)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec("", colwidth=1) for _ in header), cols=len(header))
    group += nodes.thead("", line(header))
    group += nodes.tbody("", *(line(row) for row in rows))
    return nodes.table("", group, classes=["wide", "calibration"])


def line(texts: Sequence[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in texts))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("calibration-table", CalibrationTable)
    app.add_directive("calibration-cells", CalibrationCells)
    app.add_directive("calibration-facts", CalibrationFacts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
