"""The tables of "Structure or rounding?", made from what was computed: no figure in them is typed."""

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from docutils import nodes
from geostat_bench import Record, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FIGURES = {
    "low_magnitude_mask_overlap": "overlap with the smallest 30% of W_0",
    "principal_mask_overlap": "overlap with the largest 30% of W_0's rank-64 part",
}
RECIPES = {"sft": "SFT", "opd": "OPD", "rlvr": "RLVR"}
COUNTED = 0.05

Rows = list[list[str]]


def published(records: Sequence[Record]) -> Rows:
    """One row per figure and recipe: as published, and the range over all laws, weights and sizes."""
    rows = [["figure", "recipe", "published", "independent updates, same density"]]
    groups = grouped(records, "variable", "recipe")
    for (figure, recipe), group in groups.items():
        means = [float(r["null_mean"]) for r in group]
        rows.append(
            [
                FIGURES[figure],
                recipe,
                f"{float(group[0]['observed']):.3f}",
                f"{min(means):.3f} to {max(means):.3f}",
            ]
        )
    return rows


def structure(records: Sequence[Record], figures: str) -> Rows:
    """One row per recipe and learning rate, means over runs and matrices; without columns that nothing is in.

    `figures` is what the identifiers of the figures begin with: sides are averaged unless one is named.
    """
    chosen = [record for record in records if record["figure"].startswith(figures)]
    if not chosen:
        raise LookupError(f"structure.csv holds no figure {figures!r}")
    groups = grouped(chosen, "recipe", "learning_rate")
    order = sorted(groups, key=lambda key: (list(RECIPES).index(key[0]), -float(key[1])))
    rows = [
        {
            "recipe": RECIPES[recipe],
            "learning rate": f"{float(rate):.0e}".replace("e-0", "e-"),
            **counted(groups[recipe, rate]),
            **told(groups[recipe, rate]),
        }
        for recipe, rate in order
    ]
    head = [name for name in rows[0] if any(row[name] for row in rows)]
    return [head, *([row[name] for name in head] for row in rows)]


def told(group: Sequence[Record]) -> dict[str, str]:
    """The columns of one row that hold figures."""
    return {
        "observed (bf16)": number(mean(group, "observed")),
        "null": number(mean(group, "null")),
        "excess": number(excess(group)),
        f"p ≤ {COUNTED:g}": rejected(group),
        "latent (from bf16)": number(mean(group, "latent")),
        "true (fp32)": number(mean(group, "true")),
        "true excess": number(mean(group, "true_excess")),
        "interval holds true": held(group),
    }


def counted(group: Sequence[Record]) -> dict[str, str]:
    """How many runs, and matrices of all of them together."""
    runs, matrices = (
        {tuple(r[name] for name in names) for r in group} for names in (("seed",), ("seed", "matrix"))
    )
    return {"runs": str(len(runs)), "matrices": str(len(matrices))}


def grouped(records: Sequence[Record], *names: str) -> dict[tuple[str, ...], list[Record]]:
    found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        found[tuple(record[name] for name in names)].append(record)
    return found


def mean(group: Sequence[Record], name: str) -> float | None:
    """Mean of what is there; a run has as many matrices as any other."""
    values = [float(record[name]) for record in group if known(record, name)]
    return fmean(values) if values else None


def number(value: float | None) -> str:
    """Three digits; differences below a thousandth as 0."""
    return "" if value is None else "0.000" if abs(value) < 5e-4 else f"{value:#.3g}".rstrip(".")


def excess(group: Sequence[Record]) -> float | None:
    values = [
        float(r["observed"]) - float(r["null"]) for r in group if known(r, "observed") and known(r, "null")
    ]
    return fmean(values) if values else None


def known(record: Record, name: str) -> bool:
    return record[name] not in ("", "nan")


def rejected(group: Sequence[Record]) -> str:
    """For how many matrices the null is rejected."""
    values = [float(r["p_value"]) for r in group if known(r, "p_value")]
    return f"{sum(value <= COUNTED for value in values)} of {len(values)}" if values else ""


def held(group: Sequence[Record]) -> str:
    """In how many matrices the interval holds the true figure, and how many have none."""
    given = [r for r in group if known(r, "low") and known(r, "true")]
    inside = sum(float(r["low"]) <= float(r["true"]) <= float(r["high"]) for r in given)
    refused = sum(bool(r["reason"]) for r in group)
    if not given and not refused:
        return ""
    return f"{inside} of {len(given)}" + (f"; {refused} refused" if refused else "")


TABLES: dict[str, tuple[str, Callable[..., Rows]]] = {
    "published": ("published_null.csv", published),
    "structure": ("structure.csv", structure),
}


class NullsTable(SphinxDirective):
    """``published`` figures beside independent updates, or the ``structure FIGURE`` of real runs."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        name, rows = TABLES[self.arguments[0]]
        path = Path(self.env.srcdir) / "data" / name
        self.env.note_dependency(str(path))
        with path.open(newline="", encoding="utf-8") as file:
            head, *body = rows(list(csv.DictReader(file)), *self.arguments[1:])
        found = table(head, body)
        found["classes"] = ["wide", "nulls"]
        return [found]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("nulls-table", NullsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
