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
    ``n_locked, n_left_censored, n_one_side, n_never, n_short, n_undefined`` (runs by outcome), ``outcomes`` and
    ``claim`` (the runs, and what is said of the recipe, in words); ``share, share_low, share_high``;
    ``n_runs, n_matrices``; ``median_low, median_high`` (interval of the median onset);
    ``entry_low, entry_high`` (mean trajectory); ``fit_estimate, fit_low, fit_high, existence_p``
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
            Column("onset of runs (step)", lambda row: steps_text(row["last_out"], row["first_in"])),
            Column(f"share of runs [{level}]", _share),
            Column("recipe locks", lambda row: Text("yes" if row["recipe_locks"] else "not shown")),
        ]
        beside = [
            Column(f"median onset [{level}]", lambda row: steps_text(row["median_low"], row["median_high"])),
            Column(f"mean enters [{level}]", lambda row: steps_text(row["entry_low"], row["entry_high"])),
            Column(f"90% of change [{level}]", lambda row: steps_text(row["fit_low"], row["fit_high"])),
            Column("p (no change)", lambda row: p_value_text(row["existence_p"])),
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
            told.append("mean enters: the mean over runs enters the band, which says nothing of single runs.")
        if self._any("fit_low") or self._any("existence_p"):
            told.append(
                "90% of change, p: fit_onset and onset_exists, under a model of curve and noise. They ask when and "
                "whether the curve changes, wherever it lies; the verdict asks when it enters the band."
            )
        return told

    def statement(self) -> str:
        """For a paper, recipe by recipe: verdict, bracket, share of runs, then one clause per procedure."""
        (name,) = self.cells
        rows = self._rows_of(name, self.cells[name], self.labels())
        told = ". ".join(self._told(row) for row in rows)
        band = " ".join(part for part in (self.settings["band"], self.settings["sides"]) if part)
        return f"Locking by {self.variables[name].label} ({band}). {told} ({self._how()})."

    def _how(self) -> str:
        if not self._has_interval():
            return "within-run: exact brackets, nothing is inferred about other seeds"
        return (
            f"{percent(self.level or 0)} Clopper-Pearson intervals of the share, the run being the unit of sampling; "
            f"brackets are exact; {self.scope}"
        )

    def _told(self, row: Row) -> str:
        shown = [label for label in self.labels() if label != "variable" and row[label] is not None]
        whose = " ".join(str(row[label]) if label == "recipe" else f"{label} {row[label]}" for label in shown)
        parts = [*_verdict(row), *_beside(row, self.level or 0.95)]
        return f"{whose}: {'; '.join(parts)}" if whose else "; ".join(parts)


def _share(row: Row) -> Text:
    return interval_text(row["share"], row["share_low"], row["share_high"])


def _verdict(row: Row) -> list[str]:
    """Verdict and bracket, and what the share of runs says of the recipe."""
    told = row["outcomes"]
    if not math.isnan(row["first_in"]):
        onset = steps_text(row["last_out"], row["first_in"]).plain
        told = f"onset {onset} in {row['n_locked']} of {row['n_runs']} run{'s' if row['n_runs'] != 1 else ''}"
    if math.isnan(row["share_low"]):
        return [f"{row['verdict']} ({told})", row["claim"]]
    return [f"{row['verdict']} ({told})", f"share of runs that lock {_share(row).plain}, {row['claim']}"]


def _beside(row: Row, level: float) -> list[str]:
    """At most one clause per procedure, beginning with "but" where it contradicts the brackets."""
    against = disagreements(row, level)
    clauses = {"entry": _entry(row), "fit": _fit(row, level), "existence": _existence(row, level)}
    told = [f"but {against[name]}" if name in against else clause for name, clause in clauses.items()]
    if not math.isnan(row["median_low"]):
        told.insert(0, f"median onset {steps_text(row['median_low'], row['median_high']).plain}")
    return [clause for clause in told if clause]


def _entry(row: Row) -> str:
    if math.isnan(row["entry_low"]):
        return ""
    if not math.isfinite(row["entry_high"]):
        return "the mean over runs is not shown to stay in the band"
    if math.isinf(row["entry_low"]):
        return f"the mean over runs is in the band by step {row['entry_high']:g}"
    return f"the mean over runs enters the band in {steps_text(row['entry_low'], row['entry_high']).plain}"


def _fit(row: Row, level: float) -> str:
    if math.isnan(row["fit_low"]):
        return ""
    change = steps_text(row["fit_low"], row["fit_high"]).plain
    if row["existence_p"] > 1 - level:
        return f"{change} is where fit_onset would put 90% of a change if there were one"
    return f"90% of the change is made in {change} (fit_onset: a different question)"


def _existence(row: Row, level: float) -> str:
    if math.isnan(row["existence_p"]):
        return ""
    p = p_value_text(row["existence_p"]).plain
    p = f"onset_exists, p {p if p.startswith('<') else '= ' + p}"
    shown = "a change is" if row["existence_p"] <= 1 - level else "no change is"
    return f"{shown} distinguishable from noise ({p})"
