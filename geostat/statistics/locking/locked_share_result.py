"""The result of `locked_share`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text
from geostat.results.table import Text

__all__ = ["ShareResult"]

TOLD = 6
"""Cells that a sentence tells one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ShareResult(LabelledResult):
    """Shares of runs that lock, with exact intervals.

    A row holds labels, ``estimate``, ``low``, ``high`` (shares of runs), ``n_locked``, ``n_unknown`` (runs of
    which the checkpoints do not tell), ``n_runs``, ``n_matrices`` and ``reason``.
    """

    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Runs that certainly locked over all runs."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends."""
        return self.quantity("high")

    def columns(self) -> Sequence[Column]:
        """Share with interval, counts."""
        return [
            Column(f"share of runs [{percent(self.level or 0)} interval]", _share),
            Column("locked", lambda row: Text(str(row["n_locked"]))),
            Column("undecided", lambda row: Text(str(row["n_unknown"]))),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = "; ".join(f"{self.variables[name].label}: {self._told(name)}" for name in self.cells)
        if not self._has_interval():
            return f"{told} (within-run: nothing is inferred about other seeds)."
        return f"{told} ({percent(self.level or 0)} {self.method}, the run being the unit of sampling)."

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        if len(rows) > TOLD and "step" in self.cells[name].dims:
            last = self.cells[name].isel(step=[-1])
            rows = self._rows_of(name, last, self.labels())
        spoken = [_spoken(row, self.labels()) for row in rows[:TOLD]]
        return ", ".join(spoken) + (f" and {len(rows) - TOLD} further cells" if len(rows) > TOLD else "")


def _share(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _spoken(row: Row, labels: Sequence[str]) -> str:
    shown = [label for label in labels if label not in ("variable", "progress") and row[label] is not None]
    named = {"recipe": "{}", "step": "by step {}"}
    whose = " ".join(named.get(label, f"{label} {{}}").format(row[label]) for label in shown)
    tail = f", {row['n_unknown']} undecided" if row["n_unknown"] else ""
    interval = _share(row).plain.removesuffix(" --")
    missing = "" if row["low"] == row["low"] else ", no interval"
    start = f"{whose} " if whose else ""
    plural = "s" if row["n_runs"] != 1 else ""
    return f"{start}{row['n_locked']} of {row['n_runs']} run{plural} locked{tail} (share {interval}{missing})"
