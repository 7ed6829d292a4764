"""The result of `median_onset`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.table import Text
from geostat.statistics.locking.step_words import steps_text

__all__ = ["MedianOnsetResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class MedianOnsetResult(LabelledResult):
    """Median onsets over runs, in steps.

    A row holds labels, ``low``, ``high`` (steps; minus infinity: left-censored, infinity: no bound),
    ``sample_low``, ``sample_high`` (bracket of the runs' own median), ``onset`` and ``interval`` (both as
    text), the attained ``confidence``, ``n_locked``, ``n_unknown``, ``n_runs``, ``n_matrices`` and ``reason``.
    """

    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends in steps."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends in steps."""
        return self.quantity("high")

    def columns(self) -> Sequence[Column]:
        """Median of the runs, interval, counts."""
        return [
            Column(
                "median onset of these runs", lambda row: steps_text(row["sample_low"], row["sample_high"])
            ),
            Column(f"{percent(self.level or 0)} interval", _interval),
            Column("locked", lambda row: Text(str(row["n_locked"]))),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = "; ".join(f"{self.variables[name].label}: {self._told(name)}" for name in self.cells)
        how = f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling"
        if not self._has_interval():
            how = "within-run: nothing is inferred about other seeds"
        return f"Median onset of locking (steps), {told} ({how})."

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        return ", ".join(_spoken(row, self.labels()) for row in rows)


def _interval(row: Row) -> Text:
    return steps_text(row["low"], row["high"], row["reason"])


def _spoken(row: Row, labels: Sequence[str]) -> str:
    shown = [label for label in labels if label != "variable" and row[label] is not None]
    whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
    why = f": {row['reason']}" if row["n_runs"] > 1 else ""
    interval = f"interval {row['interval']}" if row["low"] == row["low"] else f"no interval{why}"
    onset = "not bounded by these checkpoints" if row["onset"] == "no bound" else row["onset"]
    start = f"{whose} " if whose else ""
    return f"{start}{onset} (n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}; {interval})"
