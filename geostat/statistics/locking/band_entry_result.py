"""The result of `band_entry`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.table import Text
from geostat.statistics.locking.step_words import steps_text

__all__ = ["BandEntryResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class BandEntryResult(LabelledResult):
    """Steps at which means over runs enter a band.

    A row holds labels, ``estimate`` (step from which the observed mean stays inside), ``low``, ``high`` (steps;
    minus infinity: left-censored, infinity: staying is not shown), ``interval`` (as text), ``n_windows``
    (tests), ``n_runs``, ``n_matrices`` and ``reason``.
    """

    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Step from which the observed mean stays inside."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends in steps."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends in steps."""
        return self.quantity("high")

    def columns(self) -> Sequence[Column]:
        """Interval of the entry, tests, runs."""
        return [
            Column(f"entry of the mean over runs (step) [{percent(self.level or 0)} interval]", _interval),
            Column("windows", lambda row: Text(str(row["n_windows"]))),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what the interval is not."""
        return ["The entry is that of the mean over runs, which may enter a band while no run stays in it."]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = "; ".join(f"{self.variables[name].label}: {self._told(name)}" for name in self.cells)
        how = f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling"
        how = how if self._has_interval() else "within-run: nothing is inferred about other seeds"
        return (
            f"Entry of the mean over runs into the band (steps), {told} ({how}; this speaks of the mean "
            "trajectory and is not to be read as saying that the runs lock)."
        )

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        return ", ".join(_spoken(row, self.labels()) for row in rows)


def _interval(row: Row) -> Text:
    return steps_text(row["low"], row["high"], row["reason"])


def _spoken(row: Row, labels: Sequence[str]) -> str:
    shown = [label for label in labels if label != "variable" and row[label] is not None]
    whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
    if row["low"] != row["low"]:
        told = "no interval" if row["n_runs"] < 2 else f"no interval, because {row['reason']}"
    elif row["high"] == float("inf"):
        told = "not shown to stay in the band"
    else:
        told = row["interval"]
    start = f"{whose} " if whose else ""
    return f"{start}{told} (n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''})"
