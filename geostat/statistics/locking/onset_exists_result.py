"""The result of `onset_exists`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.numbers import number_text, p_value_text
from geostat.results.table import Text

__all__ = ["ExistenceResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ExistenceResult(LabelledResult):
    """Whether runs change at all, by a likelihood ratio against a constant in autocorrelated noise.

    A row holds labels, ``statistic``, ``p_value``, ``critical`` (value that the statistic must exceed),
    ``worst_rho`` (autocorrelation at the mean gap that sets it), ``verdict`` (``change``, ``not distinguishable
    from noise`` or ``undefined``), ``n_runs`` (used), ``n_checkpoints`` (most that a run has), ``n_matrices``
    and ``reason``.
    """

    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def p_value(self) -> xr.DataArray | xr.Dataset:
        """Share of null statistics that are as large, under the worst autocorrelation."""
        return self.quantity("p_value")

    @property
    def statistic(self) -> xr.DataArray | xr.Dataset:
        """Largest sum over runs of log likelihood ratios."""
        return self.quantity("statistic")

    @property
    def verdict(self) -> xr.DataArray | xr.Dataset:
        """``change``, ``not distinguishable from noise`` or ``undefined``."""
        return self.quantity("verdict")

    def columns(self) -> Sequence[Column]:
        """Verdict, p-value, statistic with its critical value, runs."""
        return [
            Column("verdict", lambda row: Text(row["verdict"], note=row["reason"]), number=False),
            Column("p", lambda row: p_value_text(row["p_value"])),
            Column("statistic", lambda row: number_text(row["statistic"])),
            Column("critical", lambda row: number_text(row["critical"])),
            Column("worst rho", lambda row: number_text(row["worst_rho"])),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Say what p rests on, and what a large one does not mean."""
        return [
            "p: under the autocorrelation that makes the statistic largest; a large p does not show that nothing "
            "changes",
        ]

    def statement(self) -> str:
        """One sentence for a paper: level, method, n."""
        told = "; ".join(f"{self.variables[name].label}: {self._told(name)}" for name in self.cells)
        return f"Existence of a change over training, {told} ({self.method}; test of size {self._size})."

    @property
    def _size(self) -> str:
        return f"{1 - (self.level or 0):.3g}"

    def _told(self, name: str) -> str:
        rows = self._rows_of(name, self.cells[name], self.labels())
        return ", ".join(_spoken(row, self.labels()) for row in rows)


def _spoken(row: Row, labels: Sequence[str]) -> str:
    shown = [label for label in labels if label != "variable" and row[label] is not None]
    whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
    start = f"{whose} " if whose else ""
    if row["p_value"] != row["p_value"]:
        return f"{start}undefined"
    p = p_value_text(row["p_value"]).plain
    runs = f"n = {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
    return f"{start}{row['verdict']} (p {p if p.startswith('<') else '= ' + p}, {runs})"
