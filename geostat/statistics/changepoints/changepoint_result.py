"""The result of `fit_changepoint`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import number_text, p_value_text
from geostat.results.table import DASH, Text

__all__ = ["ChangepointResult"]

TOLD = 6
"""Changes that a sentence tells one by one."""

_NOT_SPOKEN = ("variable", "step", "progress", "seed")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ChangepointResult(LabelledResult):
    """Changes of the mean of every run, dated by checkpoints.

    A row holds labels, ``estimate`` (step of the last checkpoint before the change), ``low`` and ``high``
    (steps), ``first_after``, the same as observations counted from 1, ``mean_before``, ``mean_after`` and
    ``shift`` (in the metric's units), ``reason``, and of the run ``outcome``, ``n_changes``, ``sup_f``,
    ``p_value``, ``rss``, ``rss_without`` a change, ``autocorrelation`` of successive residuals,
    ``n_checkpoints``, ``n_missing`` and ``n_matrices``.
    """

    in_units: ClassVar[tuple[str, ...]] = ("mean_before", "mean_after", "shift")

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Last step before the change."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends for that step."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends for that step."""
        return self.quantity("high")

    @property
    def first_after(self) -> xr.DataArray | xr.Dataset:
        """First step after the change."""
        return self.quantity("first_after")

    @property
    def outcome(self) -> xr.DataArray | xr.Dataset:
        """What each run shows."""
        return self.quantity("outcome")

    @property
    def p_value(self) -> xr.DataArray | xr.Dataset:
        """Of sup-F, no change against one."""
        return self.quantity("p_value")

    def columns(self) -> Sequence[Column]:
        """Date with interval, shift, test, checkpoints."""
        return [
            Column(f"last step before the change [{percent(self.level or 0)} interval]", _date),
            Column("first after", lambda row: _step(row["first_after"])),
            Column("shift", lambda row: number_text(row["shift"])),
            Column("sup-F", lambda row: number_text(row["sup_f"])),
            Column("p", lambda row: p_value_text(row["p_value"])),
            Column("checkpoints", lambda row: Text(str(row["n_checkpoints"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what the interval takes for granted."""
        return [
            "interval: takes the change for real; sup-F, with its p-value, asks whether there is one",
            f"assumed: {self.assumptions[0]}",
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        told = "; ".join(self._told(name) for name in self.cells)
        return f"{told} ({percent(self.level or 0)} {self.method}, each run by itself)."

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        dated = [row for row in rows if row["estimate"] == row["estimate"] or not row.get("change", 1) > 1]
        spoken = [self._spoken(row) for row in dated[:TOLD]]
        more = f" and {len(dated) - TOLD} further changes or runs" if len(dated) > TOLD else ""
        return f"{self.variables[name].label}: {', '.join(spoken)}{more}"

    def _spoken(self, row: Row) -> str:
        labels = [label for label in self.labels() if label not in (*_NOT_SPOKEN, "change")]
        whose = [
            str(row[label]) if label in ("run", "recipe") else f"{label} {row[label]}"
            for label in labels
            if row.get(label) is not None
        ]
        of = f" in {', '.join(whose)}" if whose else ""
        if row["estimate"] != row["estimate"]:
            return f"no date{of} ({row['reason']})"
        between = f"between steps {row['estimate']:.15g} and {row['first_after']:.15g}"
        means = f"from {number_text(row['mean_before']).plain} to {number_text(row['mean_after']).plain}"
        ends = f"[{row['low']:.15g}, {row['high']:.15g}]" if row["low"] == row["low"] else "no interval"
        test = f"sup-F {number_text(row['sup_f']).plain}, p {_compared(row['p_value'])}"
        return f"mean shifted {means} {between}{of} ({ends}; {test}; n = {row['n_checkpoints']} checkpoints)"


def _compared(p_value: float) -> str:
    text = p_value_text(p_value).plain
    return text if text.startswith("<") else f"= {text}"


def _step(value: float) -> Text:
    return Text(DASH, "--") if value != value else Text(f"{value:.15g}", f"${value:.15g}$")


def _date(row: Row) -> Text:
    if row["estimate"] != row["estimate"]:
        told = row["outcome"] if row["outcome"] != "change" else DASH
        return Text(told, note=row["reason"])
    date = f"{row['estimate']:.15g}"
    if row["low"] != row["low"]:
        return Text(f"{date} {DASH}", f"${date}$~--", note=row["reason"])
    ends = f"{row['low']:.15g}", f"{row['high']:.15g}"
    return Text(f"{date} [{ends[0]}, {ends[1]}]", rf"${date}\;[{ends[0]},\,{ends[1]}]$")
