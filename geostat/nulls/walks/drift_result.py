"""The result of `drift_diffusion`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text
from geostat.results.table import Text

__all__ = ["DriftDiffusionResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class DriftDiffusionResult(LabelledResult):
    """Whether runs drift or diffuse, by how their distance from the start grows.

    A row holds labels, ``estimate``, ``low``, ``high``, ``diffusion`` and ``drift`` (what a random walk and a straight
    line give, NaN where that is not known), ``verdict`` (``drift``, ``diffusion`` or ``undetermined``; of the growth
    exponent alone, empty elsewhere), ``n_runs`` and ``reason``.

    Attributes
    ----------
    margin : float
        Declared half-width of the bands around what diffusion and drift give.
    """

    margin: float
    in_units: ClassVar[tuple[str, ...]] = ("estimate", "low", "high", "diffusion", "drift")

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Means over runs."""
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
    def verdict(self) -> xr.DataArray:
        """``drift``, ``diffusion`` or ``undetermined``, for each recipe."""
        return self.cells["growth_exponent"]["verdict"]

    def columns(self) -> Sequence[Column]:
        """Estimate with interval, the two references, the verdict."""
        return [
            Column(f"mean [{percent(self.level or 0)} interval]", _interval),
            Column("diffusion", lambda row: number_text(row["diffusion"])),
            Column("drift", lambda row: number_text(row["drift"])),
            Column("verdict", lambda row: Text(row["verdict"]), number=False),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Say by what the verdict was reached."""
        return [
            f"verdict: whether the whole interval of the growth exponent lies within {self.margin:g} of what diffusion "
            "or drift gives under the declared learning rate; otherwise undetermined"
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n."""
        name = "growth_exponent"
        told = [_spoken(row) for row in self._rows_of(name, self.cells[name], self.labels())]
        how = f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling; margin {self.margin:g}"
        return f"{self.variables[name].label} was {', '.join(told)} ({how})."


def _interval(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _spoken(row: Row) -> str:
    text = interval_text(row["estimate"], row["low"], row["high"]).plain.removesuffix(" --")
    whose = f" for {row['recipe']}" if row.get("recipe") else ""
    runs = f"n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
    return f"{text}{whose}: {row['verdict']} ({runs})"
