"""The result of `dose_response`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text, p_value_text
from geostat.results.table import Text

__all__ = ["DoseResponseResult"]

TOLD = 4
"""Cells whose threshold is told one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class DoseResponseResult(LabelledResult):
    """Means over doses, each against the reference dose, and where equivalence with it ends.

    A row holds labels with the dose, ``estimate`` (mean over runs), ``difference`` to the reference dose
    with ``low`` and ``high``, ``fit`` (monotone), ``p_equivalent``, ``p_different`` (of the margin),
    ``df``, ``n_runs``, ``verdict`` (reference, equivalent, different, not shown, no test, no value) and
    ``reason``; and of its curve ``fit_increases``, ``trend`` (pairs of runs that rise with the dose minus
    pairs that fall), ``p_trend``, ``last_equivalent``, ``first_not_shown``, ``threshold_low``,
    ``threshold_high``, ``n_matrices`` and ``n_undefined``.

    Attributes
    ----------
    doses : str
        Coordinate of doses.
    reference : float
        Dose that the others are set against.
    margins : mapping of str to float
        Metric -> declared margin; a ratio on the log and logit scales.
    """

    doses: str
    reference: float
    margins: dict[str, float]
    in_units: ClassVar[tuple[str, ...]] = ("estimate", "fit", "difference", "low", "high")

    def quantity(self, name: str) -> xr.DataArray | xr.Dataset:
        """One quantity, labelled: per dose with its reasons, or per curve.

        Parameters
        ----------
        name : str
            For example ``"estimate"`` or ``"p_trend"``.

        Returns
        -------
        xarray.DataArray or xarray.Dataset
            An array where a DataArray went in, otherwise a dataset with one array per metric.
        """
        if all(self.doses in cells[name].dims for cells in self.cells.values()):
            return super().quantity(name)
        arrays = {metric: cells[name].rename(metric) for metric, cells in self.cells.items()}
        return next(iter(arrays.values())) if self.single else xr.merge(list(arrays.values()), join="outer")

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Mean of every dose."""
        return self.quantity("estimate")

    @property
    def difference(self) -> xr.DataArray | xr.Dataset:
        """Mean minus the reference dose's, or their ratio on a log or logit scale."""
        return self.quantity("difference")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends of the difference; pointwise."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends of the difference; pointwise."""
        return self.quantity("high")

    @property
    def fit(self) -> xr.DataArray | xr.Dataset:
        """Monotone fit through the means: a description without interval."""
        return self.quantity("fit")

    @property
    def verdict(self) -> xr.DataArray | xr.Dataset:
        """What is shown of every dose in its sequence of tests."""
        return self.quantity("verdict")

    @property
    def p_trend(self) -> xr.DataArray | xr.Dataset:
        """Permutation p-value of Jonckheere's statistic."""
        return self.quantity("p_trend")

    @property
    def last_equivalent(self) -> xr.DataArray | xr.Dataset:
        """Dose up to which equivalence is shown, from the reference outwards; the reference where none is."""
        return self.quantity("last_equivalent")

    @property
    def threshold_low(self) -> xr.DataArray | xr.Dataset:
        """Lower end of the interval of the threshold; infinite where the doses give none."""
        return self.quantity("threshold_low")

    @property
    def threshold_high(self) -> xr.DataArray | xr.Dataset:
        """Upper end of the interval of the threshold; infinite where the doses give none."""
        return self.quantity("threshold_high")

    def drawn(self) -> str:
        """Name the interval of a difference, which is pointwise and does not decide the sequence."""
        kind = "Welch" if self.settings["variance"] == "separate" else "pooled-variance"
        return f"{percent(self.level or 0)} {kind} t-interval of the difference, pointwise"

    def columns(self) -> Sequence[Column]:
        """Mean, fit, difference with interval, p-value of equivalence, verdict, runs."""
        return [
            Column("mean", lambda row: number_text(row["estimate"])),
            Column("monotone fit", lambda row: number_text(row["fit"])),
            Column(
                f"against {self.doses} = {self.reference:g} [{percent(self.level or 0)} interval]", _interval
            ),
            Column("p (not equivalent)", lambda row: p_value_text(row["p_equivalent"])),
            Column("verdict", lambda row: Text(row["verdict"]), number=False),
            Column("runs", lambda row: Text(str(row["n_runs"]))),
        ]

    def explanations(self) -> Sequence[str]:
        """Thresholds in words, and what the columns are."""
        told = [text for name in self.cells for text in self._curves(name)]
        more = [f"and {len(told) - TOLD} further curves"] if len(told) > TOLD else []
        return [*told[:TOLD], *more, "monotone fit: a description; p-values and intervals are pointwise"]

    def statement(self) -> str:
        """One sentence for a paper: threshold, level, method, sampling unit."""
        told = [text for name in self.cells for text in self._curves(name)]
        more = [f"{len(told) - TOLD} further curves"] if len(told) > TOLD else []
        how = f"{percent(self.level or 0)} {self.method}, the run being the unit of sampling"
        return f"{'; '.join([*told[:TOLD], *more])} ({how}, permutation seed {self.seed})."

    def _curves(self, name: str) -> list[str]:
        """One text per curve, the last step first."""
        cells = self.cells[name]
        if "step" in cells.dims:
            cells = cells.isel(step=slice(None, None, -1))
        rows: dict[tuple[Any, ...], list[Row]] = {}
        skipped = ("variable", "progress", self.doses)
        labels = [label for label in self.labels() if label not in skipped and label in cells.coords]
        for row in self._rows_of(name, cells, self.labels()):
            rows.setdefault(tuple(row[label] for label in labels), []).append(row)
        return [self._told(name, dict(zip(labels, key, strict=True)), curve) for key, curve in rows.items()]

    def _told(self, name: str, at: dict[str, Any], curve: Sequence[Row]) -> str:
        first = curve[0]
        where = "".join(f" at {label} {value}" for label, value in at.items() if value is not None)
        runs = sorted({row["n_runs"] for row in curve if row["n_runs"]})
        counts = f"{runs[0]}" if len(set(runs)) == 1 else f"{runs[0]} to {runs[-1]}" if runs else "no"
        whom = f"{self.variables[name].label}{where} ({counts} {'run' if runs == [1] else 'runs'} a dose)"
        if all(row["verdict"] in ("reference", "no test", "no value") for row in curve):
            return f"{whom}: no test against {self.doses} = {self.reference:g} is possible"
        return f"{whom}: {self._equivalence(name, first)}; {self._trend(first)}"

    def _trend(self, row: Row) -> str:
        p = p_value_text(row["p_trend"]).plain
        shown = row["p_trend"] <= 1 - (self.level or 0)
        moves = f"{'rises' if row['trend'] > 0 else 'falls'} with {self.doses}"
        told = moves if shown else f"no trend with {self.doses} is shown"
        return f"{told} (Jonckheere p {p if p.startswith('<') else '= ' + p})"

    def _equivalence(self, name: str, row: Row) -> str:
        ratio = self.settings["scale"][name] != "identity"
        margin = f"factor {self.margins[name]:g}" if ratio else f"margin {self.margins[name]:g}"
        base = f"{self.doses} = {self.reference:g} ({margin})"
        last, first = row["last_equivalent"], row["first_not_shown"]
        if math.isnan(first):
            return f"equivalent to {base} at every dose to {last:g}: no threshold within the doses"
        if last == self.reference:
            return f"equivalence with {base} is shown at no dose; {self._threshold(row)}"
        return f"equivalent to {base} up to {last:g}, not shown from {first:g} on; {self._threshold(row)}"

    def _threshold(self, row: Row) -> str:
        low, high = row["threshold_low"], row["threshold_high"]
        if math.isinf(low) or math.isinf(high):
            end = high if math.isinf(low) else low
            if end == self.reference:
                return "where the threshold lies is open: no dose is shown different"
            side = "below" if math.isinf(low) else "above"
            return f"the threshold lies {side} {end:g}, and no dose is shown different"
        brackets = "[)" if high == self.reference or row["last_equivalent"] > row["first_not_shown"] else "(]"
        return f"the threshold lies in {brackets[0]}{low:g}, {high:g}{brackets[1]}"


def _interval(row: Row) -> Text:
    return interval_text(row["difference"], row["low"], row["high"], row["reason"])
