"""The result of `locking_onset`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text, p_value_text
from geostat.results.table import Text
from geostat.statistics.locking.step_words import steps_text
from geostat.statistics.locking.verdict_beside import disagreements

__all__ = ["LockingResult"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LockingResult(LabelledResult):
    """One verdict per recipe, what is said of the recipe, and what other procedures say.

    A row holds labels; ``verdict``, ``last_out``, ``first_in``, ``onset`` (hull of the runs' brackets, in steps
    and as text); ``recipe_locks`` (whether the interval of the share lies above one half);
    ``n_locked, n_left_censored, n_one_side, n_never, n_short, n_undefined`` (runs by outcome);
    ``share, share_low, share_high``; ``n_runs, n_matrices``; ``median_low, median_high`` (interval of the median
    onset); ``entry_low, entry_high`` (mean trajectory); ``fit_estimate, fit_low, fit_high, existence_p``
    (model-dependent); ``update_size`` and ``reason``. Onsets are steps: minus infinity is left-censored, infinity
    no bound.
    """

    interval_quantities: ClassVar[tuple[str, str]] = ("share_low", "share_high")
    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def verdict(self) -> xr.DataArray | xr.Dataset:
        """Verdicts on the runs at hand."""
        return self.quantity("verdict")

    @property
    def recipe_locks(self) -> xr.DataArray | xr.Dataset:
        """Whether more than half of the recipe's runs are shown to lock: the only claim about the recipe."""
        return self.quantity("recipe_locks")

    @property
    def share(self) -> xr.DataArray | xr.Dataset:
        """Runs that certainly locked over all runs."""
        return self.quantity("share")

    @property
    def last_out(self) -> xr.DataArray | xr.Dataset:
        """Lower end of the runs' brackets; NaN without a lock, minus infinity if left-censored."""
        return self.quantity("last_out")

    @property
    def first_in(self) -> xr.DataArray | xr.Dataset:
        """Upper end of the runs' brackets; NaN without a lock."""
        return self.quantity("first_in")

    def columns(self) -> Sequence[Column]:
        """Verdict, bracket, share, and what stands beside them."""
        level = percent(self.level or 0)
        always = [
            Column("verdict", lambda row: Text(row["verdict"], note=row["reason"]), number=False),
            Column("onset of the runs (step)", lambda row: steps_text(row["last_out"], row["first_in"])),
            Column(f"share of runs [{level} interval]", _share),
            Column("recipe locks", lambda row: Text("yes" if row["recipe_locks"] else "not shown")),
        ]
        beside = [
            Column(f"median onset [{level}]", lambda row: steps_text(row["median_low"], row["median_high"])),
            Column(
                f"mean enters band [{level}]", lambda row: steps_text(row["entry_low"], row["entry_high"])
            ),
            Column(f"fitted onset [{level}]", lambda row: steps_text(row["fit_low"], row["fit_high"])),
            Column("p (any onset)", lambda row: p_value_text(row["existence_p"])),
            Column(str(self.settings.get("update_size", "")), lambda row: number_text(row["update_size"])),
        ]
        keys = ("median_low", "entry_low", "fit_low", "existence_p", "update_size")
        return [*always, *(c for c, key in zip(beside, keys, strict=True) if self._any(key))]

    def _any(self, quantity: str) -> bool:
        return any(bool(cells[quantity].notnull().any()) for cells in self.cells.values())

    def explanations(self) -> Sequence[str]:
        """Say what each column speaks of."""
        told = ["The verdict speaks of the runs at hand; only the share of runs speaks of the recipe."]
        if self._any("entry_low"):
            told.append("mean enters band: the mean trajectory over runs, never the runs.")
        if self._any("fit_low") or self._any("existence_p"):
            told.append("fitted onset, p: under a model of curve and noise.")
        return told

    def statement(self) -> str:
        """One sentence for a paper: verdict, bracket, share, level, method, n, disagreement."""
        (name,) = self.cells
        rows = self._rows_of(name, self.cells[name], self.labels())
        told = "; ".join(self._told(row) for row in rows)
        band = " ".join(part for part in (self.settings["band"], self.settings["sides"]) if part)
        return f"Locking by {self.variables[name].label} ({band}): {told} ({self._how()})."

    def _how(self) -> str:
        if not self._has_interval():
            return "within-run: exact brackets, nothing is inferred about other seeds"
        return f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling; {self.scope}"

    def _told(self, row: Row) -> str:
        shown = [label for label in self.labels() if label != "variable" and row[label] is not None]
        whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
        parts = [*_verdict(row), *_beside(row), *_disagreeing(row, self.level or 0.95)]
        return f"{whose}: {', '.join(parts)}" if whose else ", ".join(parts)


def _share(row: Row) -> Text:
    return interval_text(row["share"], row["share_low"], row["share_high"])


def _verdict(row: Row) -> list[str]:
    runs = f"{row['n_locked']} of {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''} locked"
    share = "" if math.isnan(row["share_low"]) else f" (share {_share(row).plain})"
    onset = f" with onset {row['onset']}" if not math.isnan(row["first_in"]) else f" ({row['reason']})"
    claim = (
        "so that more than half of the recipe's runs lock"
        if row["recipe_locks"]
        else "no claim on the recipe"
    )
    return [f"{row['verdict']}{onset}", f"{runs}{share}", claim]


def _beside(row: Row) -> list[str]:
    told = []
    if not math.isnan(row["median_low"]):
        told.append(f"median onset {steps_text(row['median_low'], row['median_high']).plain}")
    if not math.isnan(row["entry_low"]):
        entry = steps_text(row["entry_low"], row["entry_high"]).plain
        shown = math.isfinite(row["entry_high"])
        told.append(
            f"the mean over runs enters the band in {entry}" if shown else "no entry of the mean shown"
        )
    if not math.isnan(row["fit_low"]):
        told.append(f"model-dependent onset {steps_text(row['fit_low'], row['fit_high']).plain}")
    if not math.isnan(row["existence_p"]):
        p = p_value_text(row["existence_p"]).plain
        told.append(f"any onset at all p {p if p.startswith('<') else '= ' + p}")
    return told


def _disagreeing(row: Row, level: float) -> list[str]:
    return [f"but {text}" for text in disagreements(row, level)]
