"""The result of `bootstrap_ci`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text
from geostat.results.table import Text
from geostat.statistics.words.told import has_value, last_with_value, own_step, shared_step

__all__ = ["BootstrapResult"]

TOLD = 6
"""Cells that a sentence tells one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BootstrapResult(LabelledResult):
    """Statistics of recipes over their runs, with bootstrap intervals where the runs are many enough.

    A row holds labels, ``estimate``, ``low``, ``high``, ``standard_error`` (standard deviation over
    resamples), ``degenerate`` (share of resamples without spread or value), ``n_runs``, ``n_units`` and
    ``unit`` (what is resampled: runs, or clusters of runs), ``n_matrices``, ``n_undefined``, ``reason``.

    Attributes
    ----------
    statistic : str
        What was estimated.
    """

    statistic: str

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Statistic of the runs at hand."""
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
    def standard_error(self) -> xr.DataArray | xr.Dataset:
        """Standard deviation of the statistic over resamples; too small by sqrt((n - 1) / n) for a mean."""
        return self.quantity("standard_error")

    def columns(self) -> Sequence[Column]:
        """Estimate with interval, number of units."""
        return [
            Column(f"{self.statistic} [{percent(self.level or 0)} interval]", _interval),
            Column("resampled", lambda row: Text(_counted(row))),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = [self._told(name) for name in self.cells]
        how = f"{percent(self.level or 0)} {self.method}, {self.settings['n_resamples']} resamples, seed {self.seed}"
        short = "; fewer units than the method is offered for" if self.settings["undercovers"] else ""
        return f"{'; '.join(told)} ({how}{short})."

    def _told(self, name: str) -> str:
        what = f"{self.statistic} {self.variables[name].label}"
        rows = self._rows_of(name, last_with_value(self.cells[name]), self.labels())
        if not any(has_value(row) for row in rows):
            some = any(row["n_units"] for row in rows)
            return f"{what} is undefined" if some else f"{what} had no value in any run"
        at = shared_step(rows[:TOLD])
        values = [self._spoken(row, own_step(row, at)) for row in rows[:TOLD]]
        more = f" and {len(rows) - TOLD} further cells" if len(rows) > TOLD else ""
        return f"{what}{at} was {', '.join(values)}{more}"

    def _spoken(self, row: Row, at: str) -> str:
        shown = [
            label
            for label in self.labels()
            if label not in ("variable", "step", "progress") and row[label] is not None
        ]
        names = [str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown]
        whose = f" for {', '.join(names)}" if names else ""
        if not has_value(row):
            return f"without value{whose}"
        text = interval_text(row["estimate"], row["low"], row["high"]).plain.removesuffix(" --")
        missing = "" if row["low"] == row["low"] else ", no interval"
        return f"{text}{whose}{at} (n = {_counted(row)}{missing})"


def _interval(row: Row) -> Text:
    text = interval_text(row["estimate"], row["low"], row["high"], row["reason"])
    return replace(text, note=row["reason"])


def _counted(row: Row) -> str:
    return f"{row['n_units']} {row['unit'] if row['n_units'] != 1 else row['unit'].removesuffix('s')}"
