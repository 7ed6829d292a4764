"""The result of `mean_ci`."""

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text
from geostat.results.table import DASH, Text
from geostat.statistics.words.told import has_value, last_with_value, own_step, shared_step

__all__ = ["MeanResult"]

TOLD = 6
"""Cells that a sentence tells one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MeanResult(LabelledResult):
    """Means of recipes over their runs, with intervals where two or more runs allow one.

    A row holds labels, ``estimate``, ``low``, ``high``, ``n_runs``, ``df`` (infinite for a normal
    interval, NaN where variances are moderated), ``seed_sd`` (standard deviation over runs that the
    interval rests on, on its scale), ``n_matrices``, ``n_undefined`` (matrices left out), ``spread``
    (standard deviation over matrices within a run, averaged over runs: heterogeneity, no uncertainty)
    and ``reason``.
    """

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Means."""
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
    def spread(self) -> xr.DataArray | xr.Dataset:
        """Standard deviation over matrices within a run: heterogeneity, no uncertainty."""
        return self.quantity("spread")

    def columns(self) -> Sequence[Column]:
        """Estimate with interval, counts, heterogeneity."""
        layered = any(bool((cells["n_matrices"] > 0).any()) for cells in self.cells.values())
        over_matrices = [
            Column("matrices", lambda row: Text(str(row["n_matrices"] or DASH))),
            Column("spread", lambda row: number_text(row["spread"])),
        ]
        return [
            Column(f"mean [{percent(self.level or 0)} interval]", _interval),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
            *(over_matrices if layered else []),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what the spread is, and is not."""
        told = "spread: standard deviation over matrices within a run; heterogeneity, no uncertainty"
        return [told] if any(column.title == "spread" for column in self.columns()) else []

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = [self._told(name) for name in self.cells]
        how = f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling"
        return f"{'; '.join(told)} ({how})."

    def _told(self, name: str) -> str:
        what = self.variables[name].label
        rows = self._rows_of(name, last_with_value(self.cells[name]), self.labels())
        if not any(has_value(row) for row in rows):
            return f"{what} had no value in any run"
        at = shared_step(rows[:TOLD])
        values = [_spoken(row, self.labels(), own_step(row, at)) for row in rows[:TOLD]]
        more = f" and {len(rows) - TOLD} further cells" if len(rows) > TOLD else ""
        return f"{what}{at} was {', '.join(values)}{more}"


def _interval(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _spoken(row: Row, labels: Sequence[str], at: str) -> str:
    shown = [
        label for label in labels if label not in ("variable", "step", "progress") and row[label] is not None
    ]
    names = [str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown]
    whose = f" for {', '.join(names)}" if names else ""
    if not has_value(row):
        return f"without value{whose}"
    text = interval_text(row["estimate"], row["low"], row["high"]).plain.removesuffix(" --")
    runs = f"n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
    return f"{text}{whose}{at} ({runs}{'' if row['low'] == row['low'] else ', no interval'})"
