"""The result of `classify_regime`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, p_value_text
from geostat.results.table import DASH, Table, Text, build_table

__all__ = ["VERDICT", "RegimeResult"]

VERDICT = "verdict"
"""Name under which a result holds the verdicts beside its metrics."""

_ALL = "all runs"

_NO_CELL = ("variable", "recipe", "regime")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class RegimeResult(LabelledResult):
    """Which regime each recipe's runs lie in, and on what evidence.

    A row of a metric holds labels, ``estimate``, ``low``, ``high`` (the recipe's mean), ``inside`` and
    ``outside`` (one-sided p-values that the metric lies inside the regime, and outside it), ``n_runs`` and
    ``reason``. The verdict row of a recipe holds ``verdict`` (established, set, mixed, undetermined, or
    reference), ``established`` (the regime), ``not_excluded``, ``largest_p`` (of the regime that fits
    best), ``more_seeds`` (infinite: none up to 50 would decide), ``displacement``, ``n_runs`` and ``reason``.

    Attributes
    ----------
    reference : str
        What every verdict rests on: a file with its version, or recipes.
    regimes : tuple of str
        In order.
    refused : mapping of str to str
        Metrics that cannot be compared, and why.
    separation : tuple of mapping
        Per metric and pair of neighbouring references: p-value and order.
    omitted : tuple of mapping
        Verdicts with one source left out.
    excess : mapping of str to mapping
        Metric -> recipe -> mean excess over the null of the storage gate, where the data hold it.
    """

    reference: str
    regimes: tuple[str, ...]
    refused: Mapping[str, str]
    separation: tuple[Mapping[str, Any], ...] = ()
    omitted: tuple[Mapping[str, Any], ...] = ()
    excess: Mapping[str, Mapping[str, float]]

    @property
    def verdict(self) -> xr.DataArray:
        """Verdict of every recipe."""
        return self._verdicts("verdict")

    @property
    def established(self) -> xr.DataArray:
        """The established regime of every recipe; an empty text where none is."""
        return self._verdicts("established")

    @property
    def not_excluded(self) -> xr.DataArray:
        """Regimes that a recipe may still lie in, as a text."""
        return self._verdicts("not_excluded")

    @property
    def more_seeds(self) -> xr.DataArray:
        """Runs that would decide; infinite where none up to 50 would."""
        return self._verdicts("more_seeds")

    @property
    def p_value(self) -> xr.Dataset:
        """Per metric the one-sided p-values that it lies inside each regime."""
        return xr.Dataset({name: cells["inside"] for name, cells in self.cells.items() if name != VERDICT})

    def _verdicts(self, quantity: str) -> xr.DataArray:
        cells = self.cells[VERDICT]
        return cells[quantity].assign_coords(reason=cells["reason"])

    def leave_one_out(self) -> Table:
        """Verdicts with one source at a time left out: a reference run, a metric, a published checkpoint.

        Returns
        -------
        Table
            One line per recipe and source.
        """
        columns = [
            Column("recipe", lambda row: Text(row["recipe"]), number=False),
            Column("left out", lambda row: Text(f"{row['kind']} {row['source']}"), number=False),
            Column("verdict", lambda row: Text(row["verdict"]), number=False),
            Column("changed", lambda row: Text("yes" if row["changed"] else "no"), number=False),
        ]
        return build_table(list(self.omitted), columns, self.told_plan())

    def table(self) -> Table:
        """Lay out one line per recipe and metric, and one for each verdict."""
        lines = self._lines()
        names = [
            name for name in self.labels() if name not in _NO_CELL and any(r[name] is not None for r in lines)
        ]
        columns = [Column("recipe", _recipe, number=False), *map(_labelled, names), *self.columns()]
        return build_table(lines, columns, self.remarks_below())

    def columns(self) -> Sequence[Column]:
        """Metric or verdict, mean with interval, p-values, runs."""
        return [
            Column("metric", self._metric, number=False),
            Column(f"mean [{percent(self.level or 0)} interval]", _mean),
            *map(_p_inside, self.regimes),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
            Column("verdict", _verdict_text, number=False),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what the p-values are, what they rest on, and what was left out."""
        told = [
            "p: one-sided, that the metric lies inside the regime; in a verdict's line the largest over metrics",
            f"reference: {self.reference}",
            *(f"not compared: {name}, {why}" for name, why in self.refused.items()),
        ]
        return [text for text in (*told, self._told_separation(), self._told_excess()) if text]

    def _metric(self, row: Row) -> Text:
        return (
            Text("verdict", r"\textbf{verdict}")
            if row["variable"] == VERDICT
            else self.variables[row["variable"]].text
        )

    def _lines(self) -> list[dict[str, Any]]:
        """Rows with the regimes side by side, each recipe's verdict below its metrics."""
        folded: dict[tuple[Any, ...], dict[str, Any]] = {}
        keys = [name for name in self.labels() if name not in ("variable", "regime")]
        for row in self.rows():
            place = tuple(row.get(name) for name in keys)
            line = folded.setdefault((row["variable"], *place), {**row, "p": {}})
            line["p"][row.get("regime")] = row.get("inside", math.nan)
        for key, line in folded.items():
            if key[0] == VERDICT:
                line["p"] = {regime: line[f"p_{regime}"] for regime in self.regimes if f"p_{regime}" in line}
        recipes = list(dict.fromkeys(line.get("recipe") for line in folded.values()))
        order = {name: i for i, name in enumerate([*(n for n in self.cells if n != VERDICT), VERDICT])}
        return sorted(
            folded.values(), key=lambda line: (recipes.index(line.get("recipe")), order[line["variable"]])
        )

    def statement(self) -> str:
        """One sentence for a paper: separation and order first, then every verdict and what it rests on."""
        told = [self._spoken(row) for row in self.rows() if row["variable"] == VERDICT]
        before = [text for text in (self._told_separation(), self._told_excess()) if text]
        verdicts = "; ".join(told) or "no verdict selected"
        how = (
            f"{percent(self.level or 0)}, {self.method}, the run being the unit of sampling; {self.reference}"
        )
        text = f"{'; '.join([*before, verdicts])} ({how})."
        return text[0].upper() + text[1:]

    def _told_separation(self) -> str:
        if not self.separation:
            return ""
        apart = [row for row in self.separation if row["separated"]]
        failed = [
            f"{row['metric']} ({row['low']} and {row['high']})"
            for row in self.separation
            if not row["separated"]
        ]
        turned = [
            f"{row['metric']} ({row['low']} and {row['high']})"
            for row in self.separation
            if row["ordered"] is False
        ]
        parts = [f"references told apart in {len(apart)} of {len(self.separation)} pairs and metrics"]
        parts += [f"not by {', '.join(dict.fromkeys(failed))}"] if failed else []
        order = (
            f"not in the published order: {', '.join(dict.fromkeys(turned))}"
            if turned
            else "ordered as published"
        )
        return ", ".join([*parts, order])

    def _told_excess(self) -> str:
        if not self.excess:
            return "excess over the null of the storage gate: not computed"
        told = [
            f"{name} " + ", ".join(f"{value:.3g} ({recipe or _ALL})" for recipe, value in found.items())
            for name, found in self.excess.items()
        ]
        return f"mean excess over the null of the storage gate: {'; '.join(told)}"

    def _spoken(self, row: Row) -> str:
        cell = [
            f"{name} {_label(row[name])}"
            for name in self.labels()
            if name not in _NO_CELL and row.get(name) is not None
        ]
        whose = ", ".join([row.get("recipe") or _ALL, *cell])
        at = (
            f" at relative update norm {row['displacement']:.3g}"
            if row["displacement"] == row["displacement"]
            else ""
        )
        runs = f"n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
        return f"{whose}{at}: {_in_words(row)} ({runs})"


def _labelled(name: str) -> Column:
    return Column(name, lambda row: Text(_label(row[name])), number=False)


def _p_inside(regime: str) -> Column:
    return Column(f"p ({regime})", lambda row: p_value_text(row["p"].get(regime, math.nan)))


def _recipe(row: Row) -> Text:
    return Text(row.get("recipe") or _ALL)


def _label(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _mean(row: Row) -> Text:
    if row["variable"] == VERDICT:
        return Text("")
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _verdict_text(row: Row) -> Text:
    if row["variable"] != VERDICT:
        return Text("")
    told = {"established": row["established"], "set": f"{{{row['not_excluded']}}}"}
    note = "" if row["verdict"] == "established" else _note(row)
    return Text(told.get(row["verdict"], row["verdict"]) or DASH, note=note)


def _note(row: Row) -> str:
    return "; ".join(text for text in (row["reason"], _seeds(row)) if text)


def _seeds(row: Row) -> str:
    needed = row["more_seeds"]
    if needed != needed:
        return ""
    if math.isinf(needed):
        return "no number of further seeds up to 50 would decide if means and spread stayed as observed"
    plural = "s" if needed > 1 else ""
    return f"{needed:.0f} more seed{plural} would decide if means and spread stayed as observed"


def _in_words(row: Row) -> str:
    if row["verdict"] == "reference":
        return str(row["reason"])
    if row["verdict"] == "established":
        p = p_value_text(row["largest_p"]).plain
        return f"{row['established']}, established (largest p {p if p.startswith('<') else '= ' + p})"
    what = (
        f"not established, not excluded: {row['not_excluded']}" if row["verdict"] == "set" else row["verdict"]
    )
    return f"{what} ({_note(row)})" if _note(row) else str(what)
