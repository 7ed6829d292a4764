"""The result of every null: what was observed beside what rounding, diffusion or chance alone would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text, p_value_text
from geostat.results.table import Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NullResult"]

Numbers = xr.DataArray | xr.Dataset


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NullResult(LabelledResult):
    """Observed figures beside their distribution under a null hypothesis.

    A row holds labels, ``observed``, ``null_mean``, ``null_sd``, ``excess`` (observed less null mean), ``low`` and
    ``high`` (between which the null keeps the figure with probability `level`), ``p_value`` and ``reason``.

    Attributes
    ----------
    conditions_on : str
        What the null takes from the data as given.
    cannot_see : str
        What therefore leaves no trace in it: structure of this kind is not excluded by a large p-value.
    """

    conditions_on: str
    cannot_see: str

    @property
    def observed(self) -> Numbers:
        """The figures of the data."""
        return self.quantity("observed")

    @property
    def null_mean(self) -> Numbers:
        """Mean under the null."""
        return self.quantity("null_mean")

    @property
    def null_sd(self) -> Numbers:
        """Standard deviation under the null."""
        return self.quantity("null_sd")

    @property
    def excess(self) -> Numbers:
        """Observed less null mean."""
        return self.quantity("excess")

    @property
    def low(self) -> Numbers:
        """Lower end of what the null gives."""
        return self.quantity("low")

    @property
    def high(self) -> Numbers:
        """Upper end of what the null gives."""
        return self.quantity("high")

    @property
    def p_value(self) -> Numbers:
        """Probability, under the null, of a figure as far out as the observed one or farther."""
        return self.quantity("p_value")

    def columns(self) -> Sequence[Column]:
        """Observed, null with its interval, excess, p-value."""
        return [
            Column("observed", lambda row: number_text(row["observed"])),
            Column(f"null [{percent(self.level or 0)} of it]", _null),
            Column("excess", lambda row: number_text(row["excess"])),
            Column("p", lambda row: p_value_text(row["p_value"])),
        ]

    def explanations(self) -> Sequence[str]:
        """What the null conditions on, and what it cannot see."""
        return [f"The null conditions on {self.conditions_on}", f"It cannot see {self.cannot_see}"]

    def statement(self) -> str:
        """One sentence for a paper: observed, null, excess, p, and what is conditioned on."""
        told = [self._told(row) for row in self.rows()]
        return f"{'; '.join(told)} ({self.method}, conditioning on {self.conditions_on.removesuffix('.')})."

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Picture for a paper: observed figures in front of their null.

        Over steps a line for each run, side or matrix with the null as a band and its mean dashed; otherwise a row
        for each figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes, whose figure pyplot does not know.

        Returns
        -------
        matplotlib.axes.Axes
            Save with ``result.plot().figure.savefig(path)``.

        Raises
        ------
        SampleError
            If several statistics would share an axis (select one with ``result[name]``).
        """
        from geostat.nulls.drawing import draw_null

        return draw_null(self, ax)

    def _told(self, row: Row) -> str:
        what = self.variables[str(row["variable"])].label
        at = ", ".join(f"{label} {row[label]}" for label in self.labels()[1:] if row[label] is not None)
        observed, null = number_text(row["observed"]).plain, _null(row).plain
        return f"{what}{f' ({at})' if at else ''} was {observed}, under the null {null}, p {_p_value(row)}"


def _null(row: Row) -> Text:
    return interval_text(row["null_mean"], row["low"], row["high"], row.get("reason", ""))


def _p_value(row: Row) -> str:
    told = p_value_text(row["p_value"]).plain
    return told if told.startswith("<") else f"= {told}"
