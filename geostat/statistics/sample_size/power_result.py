"""The result of `power`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import number_text
from geostat.results.table import Text

__all__ = ["PowerResult"]

TOLD = 4
"""Cells that a sentence tells one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PowerResult(LabelledResult):
    """Power by number of runs, and the smallest number that reaches the target.

    A row holds labels with ``runs`` (a recipe), ``power``, ``power_low`` and ``power_high`` (at the ends of
    the interval of the seed standard deviation), ``seed_sd``, ``sd_low``, ``sd_high``, ``sd_df``, ``needed``
    and ``needed_safe`` (smallest numbers of runs at ``seed_sd`` and at ``sd_high``; NaN where none of the
    grid is enough) and ``reason``.

    Attributes
    ----------
    question : str
        What the power is the probability of.
    target : float
        Power that is wanted.
    origin : {"assumed", "pilot", "none"}
        Where the seed standard deviation comes from.
    """

    question: str
    target: float
    origin: str
    interval_quantities: ClassVar[tuple[str, str]] = ("power_low", "power_high")
    in_units: ClassVar[tuple[str, ...]] = ("seed_sd", "sd_low", "sd_high")

    @property
    def power(self) -> xr.DataArray | xr.Dataset:
        """Probability of the answer asked for, by number of runs."""
        return self.quantity("power")

    @property
    def needed(self) -> xr.DataArray | xr.Dataset:
        """Smallest number of runs that reaches the target; NaN where none of the grid does."""
        return self._of_cell("needed")

    @property
    def needed_safe(self) -> xr.DataArray | xr.Dataset:
        """The same if seeds scatter as much as the pilot's interval allows."""
        return self._of_cell("needed_safe")

    def _of_cell(self, name: str) -> xr.DataArray | xr.Dataset:
        arrays = {metric: cells[name].rename(metric) for metric, cells in self.cells.items()}
        return next(iter(arrays.values())) if self.single else xr.merge(list(arrays.values()), join="outer")

    def drawn(self) -> str:
        """Say that the range is that of a power, not an interval of the planned procedure."""
        return f"power at the ends of the pilot's {percent(self.level or 0)} interval of the seed SD; {self.method}"

    def columns(self) -> Sequence[Column]:
        """Power, and from a pilot its range and the standard deviation with its interval."""
        pilot = [
            Column("range by the pilot's SD", _range),
            Column("seed SD", lambda row: number_text(row["seed_sd"])),
        ]
        return [Column("power", _power), *(pilot if self.origin == "pilot" else [])]

    def explanations(self) -> Sequence[str]:
        """Say what the power is of, and where the standard deviation comes from."""
        told = [f"power: probability {self.question}", f"target {self.target:g}: {self._all_told()}"]
        return told + (
            ["seed SD: standard deviation of runs that differ by the seed"] if self.origin != "none" else []
        )

    def statement(self) -> str:
        """One sentence for a paper: runs needed, for what, assumptions."""
        return f"{self._all_told()} (probability {self.question}; {percent(self.level or 0)} {self.method})."

    def _all_told(self) -> str:
        curves = [(name, curve) for name in self.cells for curve in self._curves(name)]
        told = [self._told(name, curve) for name, curve in curves[:TOLD]]
        more = [f"{len(curves) - TOLD} further cells"] if len(curves) > TOLD else []
        return "; ".join([*told, *more])

    def _curves(self, name: str) -> list[list[Row]]:
        """Rows by cell of the pilot, the last step first."""
        cells = self.cells[name]
        if "step" in cells.dims:
            cells = cells.isel(step=slice(None, None, -1))
        rows = self._rows_of(name, cells.transpose(..., "runs"), self.labels())
        count = cells.sizes["runs"]
        return [list(rows[i : i + count]) for i in range(0, len(rows), count)]

    def _told(self, name: str, curve: Sequence[Row]) -> str:
        first = curve[0]
        skipped = ("variable", "runs", "progress")
        at = [
            f"{label} {first[label]}"
            for label in self.labels()
            if label not in skipped and first[label] is not None
        ]
        where = f" at {', '.join(at)}" if at else ""
        whose = (
            f"{self.variables[name].label}{where}: " if self.origin == "pilot" or len(self.cells) > 1 else ""
        )
        if math.isnan(first["power"]):
            return f"{whose}no power can be given ({first['reason']})"
        return whose + self._enough(curve) + self._how_known(first)

    def _enough(self, curve: Sequence[Row]) -> str:
        needed = curve[0]["needed"]
        if math.isnan(needed):
            last = curve[-1]
            return f"no number of runs up to {last['runs']} is enough (power {_rounded(last['power'])})"
        row = next(row for row in curve if row["runs"] == needed)
        runs = "runs" if row["runs"] != 1 else "run"
        return f"{row['runs']} {runs} a recipe give a power of {_rounded(row['power'])}"

    def _how_known(self, row: Row) -> str:
        if self.origin == "none":
            return ""
        sd = number_text(row["seed_sd"]).plain
        if self.origin == "assumed":
            return f" if the seed SD is {sd}, as assumed"
        ends = f"{number_text(row['sd_low']).plain} to {number_text(row['sd_high']).plain}"
        most = max(self.settings["n_runs"])
        safe = f"more than {most}" if math.isnan(row["needed_safe"]) else f"{row['needed_safe']:.0f}"
        return (
            f" if the seed SD is {sd}, but {row['sd_df']:.0f} degrees of freedom leave it open from {ends} "
            f"({percent(self.level or 0)} interval), and at its upper end it takes {safe} runs"
        )


def _rounded(power: float) -> str:
    """Two digits, never rounded up to 1 or across a target."""
    return f"{math.floor(power * 100 + 1e-9) / 100:.2f}"


def _power(row: Row) -> Text:
    if math.isnan(row["power"]):
        return Text("--", "--", note=row["reason"])
    return Text(_rounded(row["power"]))


def _range(row: Row) -> Text:
    if math.isnan(row["power_low"]):
        return Text("--", "--")
    return Text(f"{_rounded(row['power_low'])} to {_rounded(row['power_high'])}")
