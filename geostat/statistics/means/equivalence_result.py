"""The result of `equivalence`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, p_value_text
from geostat.results.table import Text
from geostat.statistics.means.multiplicity_words import method_alone, p_columns, unadjusted
from geostat.statistics.words.told import has_value, last_with_value, own_step, shared_step

__all__ = ["EquivalenceResult", "judged"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class EquivalenceResult(LabelledResult):
    """Outcomes of two one-sided tests, a against b, within a margin.

    A row holds labels, ``estimate``, ``low``, ``high`` (of level 2 level - 1), ``p_value`` (the larger of
    ``p_lower`` and ``p_upper``), ``p_different`` (one-sided, against a contrast inside the margin),
    ``t_lower``, ``t_upper``, ``df``, ``margin_low``, ``margin_high``, ``mean_a``, ``mean_b``, ``n_a``,
    ``n_b`` (0 for a reference), ``runs_to_decide`` (a side, for 80% power if nothing changed),
    ``n_matrices``, ``n_undefined``, ``equivalent``, ``outcome`` and ``reason``.

    Attributes
    ----------
    a, b : str
        Recipes, or the reference as text.
    """

    a: str
    b: str

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Differences, or ratios on a log or logit scale."""
        return self.quantity("estimate")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower ends of the interval that decides."""
        return self.quantity("low")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper ends of the interval that decides."""
        return self.quantity("high")

    @property
    def p_value(self) -> xr.DataArray | xr.Dataset:
        """The larger one-sided p-value: small where equivalence is established."""
        return self.quantity("p_value")

    @property
    def equivalent(self) -> xr.DataArray | xr.Dataset:
        """Whether equivalence is established."""
        return self.quantity("equivalent")

    @property
    def outcome(self) -> xr.DataArray | xr.Dataset:
        """``equivalent``, ``different``, ``undetermined`` or ``undefined``."""
        return self.quantity("outcome")

    @property
    def interval_level(self) -> float:
        """Level of the interval that decides, 2 level - 1."""
        return round(2 * (self.level or 0) - 1, 12)

    def drawn(self) -> str:
        """Name the level of the interval, which is not that of the tests."""
        return f"{percent(self.interval_level)} interval; {self.method}"

    def columns(self) -> Sequence[Column]:
        """Contrast with its interval, margin, p-value, outcome, runs on each side."""
        contrast = f"{self.a} against {self.b} [{percent(self.interval_level)} interval]"
        return [
            Column(
                contrast, lambda row: interval_text(row["estimate"], row["low"], row["high"], row["reason"])
            ),
            Column("margin", lambda row: Text(f"({row['margin_low']:.4g}, {row['margin_high']:.4g})")),
            *p_columns(self.settings, "p"),
            Column("outcome", lambda row: Text(row["outcome"]), number=False),
            Column("runs", lambda row: Text(self._runs(row))),
        ]

    def statement(self) -> str:
        """One sentence for a paper: outcome, margin, level, method, sampling unit, n."""
        told = [self._told(name) for name in self.cells]
        how = f"{method_alone(self.method, self.settings)}, the run being the unit of sampling"
        return f"{self.a} against {self.b}: {'; '.join(told)} ({how}; {unadjusted(self.settings)})."

    def to_latex(self, *, caption: str | None = None, label: str = "", standalone: bool = False) -> str:
        r"""Table for a paper, in booktabs style.

        Parameters
        ----------
        caption : str, optional
            Plain text; by default the estimand and the method.
        label : str
            For ``\ref``.
        standalone : bool
            Whether to wrap it in a document that compiles by itself.

        Returns
        -------
        str
            A ``table`` environment; the preamble needs ``\usepackage{booktabs}``.
        """
        # The caption of other results names one level, but here that of the tests is not the interval's.
        own = f"{self.estimand} Method: {self.method}."
        return super().to_latex(
            caption=own if caption is None else caption, label=label, standalone=standalone
        )

    def _told(self, name: str) -> str:
        what = self.variables[name].label
        rows = self._rows_of(name, last_with_value(self.cells[name]), self.labels())
        if not any(has_value(row) for row in rows):
            return f"{what}, no cell with a value to compare"
        at = shared_step(rows)
        return f"{what}{at}, {', '.join(self._spoken(row, own_step(row, at)) for row in rows)}"

    def _spoken(self, row: Row, at: str) -> str:
        skipped = ("variable", "step", "progress", "recipe")
        shown = [f"{key} {row[key]}" for key in self.labels() if key not in skipped and row[key] is not None]
        where = f" ({', '.join(shown)})" if shown else ""
        kind = "difference" if self.settings["scale"][row["variable"]] == "identity" else "ratio"
        text = interval_text(row["estimate"], row["low"], row["high"]).plain.removesuffix(" --")
        margin = f"margin ({row['margin_low']:.4g}, {row['margin_high']:.4g})"
        told = f"{row['outcome']}{where}{at}: {kind} {text}, {margin}"
        if row["low"] != row["low"]:
            return f"{told}, no interval (n = {self._runs(row)} runs)"
        p = p_value_text(row.get("p_adjusted", row["p_value"])).plain
        return (
            f"{told}, p {p if p.startswith('<') else '= ' + p} (n = {self._runs(row)} runs{self._more(row)})"
        )

    def _more(self, row: Row) -> str:
        if row["outcome"] != "undetermined" or self.settings.get("adjusted"):
            return ""
        side = " a side" if self._two_sides else ""
        if row["runs_to_decide"] != row["runs_to_decide"]:
            return f"; 200{side} would not decide if difference and spread stayed as they are"
        needed = max(row["runs_to_decide"], max(row["n_a"], row["n_b"]) + 1)
        return f"; about {needed:.0f}{side} would decide if difference and spread stayed as they are"

    @property
    def _two_sides(self) -> bool:
        return self.settings["reference"] is None

    def _runs(self, row: Row) -> str:
        return f"{row['n_a']} and {row['n_b']}" if self._two_sides else f"{row['n_a']}"


def judged(cells: xr.Dataset, level: float) -> xr.Dataset:
    """Read outcomes off the p-values, the adjusted ones where there are some.

    Parameters
    ----------
    cells : xarray.Dataset
        With ``p_value`` and ``p_different``.
    level : float
        Each one-sided test is one at 1 - level.

    Returns
    -------
    xarray.Dataset
        With ``equivalent`` and ``outcome``.
    """
    size = 1 - level
    p = cells["p_adjusted"] if "p_adjusted" in cells else cells["p_value"]
    opposite = cells["p_different_adjusted"] if "p_different_adjusted" in cells else cells["p_different"]
    texts = np.full(p.shape, "undetermined", dtype=object)
    texts[(opposite <= size).values] = "different"
    texts[(p <= size).values] = "equivalent"
    texts[cells["estimate"].isnull().values] = "undefined"
    outcome = p.copy(data=texts.astype(np.dtypes.StringDType()))
    reason = cells["reason"]
    return cells.drop_vars("reason").assign(equivalent=p <= size, outcome=outcome, reason=reason)
