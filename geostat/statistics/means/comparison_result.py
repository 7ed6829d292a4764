"""The result of `compare`."""

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, p_value_text
from geostat.results.table import Text
from geostat.statistics.means.multiplicity_words import method_alone, p_columns, unadjusted
from geostat.statistics.words.told import has_value, last_with_value, own_step, shared_step

__all__ = ["ComparisonResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ComparisonResult(LabelledResult):
    """Differences (or ratios) of two recipes, a against b.

    A row holds labels, ``estimate``, ``low``, ``high``, ``p_value`` (two-sided), ``df``, ``mean_a``,
    ``mean_b``, ``n_a``, ``n_b``, ``n_matrices``, ``n_undefined`` and ``reason``.

    Attributes
    ----------
    a, b : str
        Recipes.
    """

    a: str
    b: str

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Differences, or ratios on a log or logit scale."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends."""
        return self.quantity("high")

    @property
    def p_value(self) -> xr.DataArray | xr.Dataset:
        """Two-sided p-values of no difference; one per cell, not adjusted (see `adjust`)."""
        return self.quantity("p_value")

    def columns(self) -> Sequence[Column]:
        """Contrast with interval, p-value, runs on each side."""
        return [
            Column(f"{self.a} against {self.b} [{percent(self.level or 0)} interval]", _interval),
            *p_columns(self.settings, "p"),
            Column(f"runs ({self.a}, {self.b})", lambda row: Text(f"{row['n_a']}, {row['n_b']}")),
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = [self._told(name) for name in self.cells]
        method = method_alone(self.method, self.settings)
        how = f"{percent(self.level or 0)} {method}, the run being the unit of sampling"
        return f"{self.a} against {self.b}: {'; '.join(told)} ({how}; {unadjusted(self.settings)})."

    def _told(self, name: str) -> str:
        what = self.variables[name].label
        rows = self._rows_of(name, last_with_value(self.cells[name]), self.labels())
        if not any(has_value(row) for row in rows):
            return f"{what}, no cell with a value on both sides"
        at = shared_step(rows)
        return f"{what}{at}, {', '.join(self._spoken(row, own_step(row, at)) for row in rows)}"

    def _spoken(self, row: Row, at: str) -> str:
        skipped = ("variable", "step", "progress", "recipe")
        shown = [
            f"{label} {row[label]}"
            for label in self.labels()
            if label not in skipped and row[label] is not None
        ]
        kind = "difference" if self.settings["scale"][row["variable"]] == "identity" else "ratio"
        where = f" ({', '.join(shown)})" if shown else ""
        text = interval_text(row["estimate"], row["low"], row["high"]).plain.removesuffix(" --")
        p = p_value_text(row.get("p_adjusted", row["p_value"])).plain
        tail = f", p {p if p.startswith('<') else '= ' + p}" if row["low"] == row["low"] else ", no interval"
        return f"{kind}{where}{at} {text}{tail} (n = {row['n_a']} and {row['n_b']} runs)"


def _interval(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])
