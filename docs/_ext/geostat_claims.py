"""The tables of "The paper's claims in miniature", made from what was computed: no figure in them is typed."""

import math
from pathlib import Path
from typing import Any

from docutils import nodes
from geostat_bench import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from geostat.demo.claims import Claim, Figure, read_claims

ROLES = {"claim": "claim", "control": "control", "beside": ""}
HOLDS = {True: "yes", False: "no, the opposite", None: "cannot tell"}

Rows = list[list[str]]


def summary(claims: list[Claim]) -> Rows:
    """One row per claim."""
    rows = [["claim", "verdict", "against its control", "source"]]
    return [*rows, *([c.statement, c.verdict, c.control or "", c.source] for c in claims)]


def figures(claim: Claim) -> Rows:
    """One row per figure; columns that are empty throughout are left out."""
    rows = [["figure", "estimate", "interval", "seeds", "published", "role", "so?"]]
    rows += [row(figure) for figure in claim.figures]
    kept = [i for i in range(len(rows[0])) if any(each[i] for each in rows[1:])]
    return [[each[i] for i in kept] for each in rows]


def row(figure: Figure) -> list[str]:
    interval = "" if math.isnan(figure.low) else f"{number(figure.low)} to {number(figure.high)}"
    asked = "" if figure.role == "beside" else HOLDS[figure.holds]
    count = str(figure.n) if figure.n else ""
    return [
        figure.what,
        number(figure.estimate),
        interval,
        count,
        figure.published,
        ROLES[figure.role],
        asked,
    ]


def number(value: float) -> str:
    """Three digits, with a minus sign; nothing below one in a hundred thousand."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = "0" if abs(value) < 1e-5 else f"{value:#.3g}".rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}", 1) if text.startswith("-") else text


class ClaimsTable(SphinxDirective):
    """All claims, or the figures of one."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "data" / "claims.csv"
        self.env.note_dependency(str(path))
        claims = read_claims(path)
        if not self.arguments:
            head, *body = summary(claims)
        else:
            head, *body = figures(next(claim for claim in claims if claim.key == self.arguments[0]))
        found = table(head, body)
        found["classes"] = ["wide", "claims"]
        return [found]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
