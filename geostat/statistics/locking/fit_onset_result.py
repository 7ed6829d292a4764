"""The result of `fit_onset`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import number_text
from geostat.results.table import Text
from geostat.statistics.locking.step_words import steps_text

__all__ = ["FitOnsetResult"]

PROBABILITY = "probability_"


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class FitOnsetResult(LabelledResult):
    """Onsets of settling under a model of curves and noise, in steps.

    A row holds labels, ``estimate`` (posterior median), ``low``, ``high`` (steps, ends at checkpoints),
    ``interval`` (as text), ``probability_<family>`` for each family of curves, ``log_spread`` (standard
    deviation of log tau between runs, posterior median; NaN with one run), ``rho`` (autocorrelation at the mean
    gap, averaged over runs), ``amplitude_t`` (largest t statistic of a run's change), ``n_runs`` (used),
    ``n_checkpoints`` (most that a run has), ``n_matrices`` and ``reason``.
    """

    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Posterior medians in steps."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends in steps: the onset lies after that checkpoint."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends in steps: the onset lies at or before that checkpoint."""
        return self.quantity("high")

    @property
    def families(self) -> tuple[str, ...]:
        """Families of curves that were averaged."""
        first = next(iter(self.cells.values()))
        return tuple(str(q).removeprefix(PROBABILITY) for q in first if str(q).startswith(PROBABILITY))

    def columns(self) -> Sequence[Column]:
        """Estimate, interval, the likeliest family, noise, runs."""
        return [
            Column("onset (step)", lambda row: number_text(row["estimate"])),
            Column(f"{percent(self.level or 0)} interval", _interval),
            Column("family", self._likeliest, number=False),
            Column("rho", lambda row: number_text(row["rho"])),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what the family and rho are."""
        return [
            "family: the likeliest of the curves that the interval averages over, with its posterior probability",
            "rho: autocorrelation of the noise at the mean gap between checkpoints",
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, scope, n."""
        told = "; ".join(f"{self.variables[name].label}: {self._told(name)}" for name in self.cells)
        how = f"{percent(self.level or 0)} {self.method}; {self.scope}"
        return f"Onset of settling (steps), {told} ({how})."

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        return ", ".join(_spoken(row, self.labels()) for row in rows)

    def _likeliest(self, row: Row) -> Text:
        best = max(self.families, key=lambda family: _known(row[PROBABILITY + family]))
        probability = row[PROBABILITY + best]
        return Text(f"{best} ({probability:.2f})" if probability == probability else "")


def _known(probability: float) -> float:
    return probability if probability == probability else -1.0


def _interval(row: Row) -> Text:
    return steps_text(row["low"], row["high"], row["reason"])


def _spoken(row: Row, labels: Sequence[str]) -> str:
    shown = [label for label in labels if label != "variable" and row[label] is not None]
    whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
    start = f"{whose} " if whose else ""
    if row["low"] != row["low"]:
        return f"{start}no interval"
    runs = f"n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
    return f"{start}{number_text(row['estimate']).plain} in {row['interval']} ({runs})"
