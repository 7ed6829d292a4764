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
    "update_sparsity": "unchanged fraction",
    "low_magnitude_mask_overlap": "overlap with the smallest 30% of W_0",
    "principal_mask_overlap": "overlap with the largest 30% of W_0's rank-64 part",
    "stable_rank": "stable rank",
    "update_norm": "norm",
    "similarity_to_true_channel_left": "true channel held, left",
    "similarity_to_true_channel_right": "true channel held, right",
}

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


def structure(records: Sequence[Record]) -> Rows:
    """One row per study, recipe and figure: means over matrices and seeds."""
    head = [
        "study",
        "recipe",
        "figure",
        "stored",
        "null",
        "excess",
        "through rounding",
        "true",
        "true excess",
    ]
    rows = [[*head, "interval holds the truth"]]
    for (study, recipe, figure), group in grouped(records, "study", "recipe", "figure").items():
        told = {name: mean(group, name) for name in ("observed", "null", "latent", "true", "true_excess")}
        excess = None if told["null"] is None or told["observed"] is None else told["observed"] - told["null"]
        numbers = [told["observed"], told["null"], excess, told["latent"], told["true"], told["true_excess"]]
        rows.append([study, recipe, FIGURES[figure], *map(number, numbers), held(group)])
    return rows


def grouped(records: Sequence[Record], *names: str) -> dict[tuple[str, ...], list[Record]]:
    found: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        found[tuple(record[name] for name in names)].append(record)
    return found


def mean(group: Sequence[Record], name: str) -> float | None:
    """Mean of what is there; a run has as many matrices as any other."""
    values = [float(record[name]) for record in group if record[name] not in ("", "nan")]
    return fmean(values) if values else None


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def held(group: Sequence[Record]) -> str:
    """In how many matrices the interval holds the true figure."""
    given = [r for r in group if r["low"] not in ("", "nan") and r["true"]]
    inside = sum(float(r["low"]) <= float(r["true"]) <= float(r["high"]) for r in given)
    return f"{inside} of {len(given)}" if given else ""


TABLES: dict[str, tuple[str, Callable[[Sequence[Record]], Rows]]] = {
    "published": ("published_null.csv", published),
    "structure": ("structure.csv", structure),
}


class NullsTable(SphinxDirective):
    """``published`` figures beside independent updates, or the ``structure`` of real runs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name, rows = TABLES[self.arguments[0]]
        path = Path(self.env.srcdir) / "data" / name
        self.env.note_dependency(str(path))
        with path.open(newline="", encoding="utf-8") as file:
            head, *body = rows(list(csv.DictReader(file)))
        return [table(head, body)]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("nulls-table", NullsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
