"""The result of `latent_update`: figures of the update before rounding beside those of the stored one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import xarray as xr
from torch import Tensor

from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text
from geostat.results.table import Text

__all__ = ["LatentUpdate"]

Numbers = xr.DataArray | xr.Dataset


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LatentUpdate(LabelledResult):
    """Figures of an update as it was before storage rounded it.

    A row holds labels, ``stored`` (the figure of the stored update), ``estimate``, ``low``, ``high``,
    ``bound_low`` and ``bound_high`` (between which every update in the rounding cells has the figure, whatever
    the model), and ``reason`` where there is no interval.

    Attributes
    ----------
    rank : int
        Directions found to stand out of noise and rounding.
    noise : float
        Standard deviation of an entry beside them, in units of the weights.
    left, right : torch.Tensor or None
        Shapes (m, K) and (n, K): estimated channel, orthonormal columns. None where there is none, and in a
        result read from JSON.
    conditions_on : str
        What is taken as given.
    cannot_see : str
        What therefore leaves no trace.
    """

    rank: int
    noise: float
    conditions_on: str
    cannot_see: str
    left: Tensor | None = field(default=None, metadata={"json": False})
    right: Tensor | None = field(default=None, metadata={"json": False})

    @property
    def stored(self) -> Numbers:
        """Figures of the stored update."""
        return self.quantity("stored")

    @property
    def estimate(self) -> Numbers:
        """Estimates for the update before rounding."""
        return self.quantity("estimate")

    @property
    def low(self) -> Numbers:
        """Lower ends."""
        return self.quantity("low")

    @property
    def high(self) -> Numbers:
        """Upper ends."""
        return self.quantity("high")

    @property
    def bound_low(self) -> Numbers:
        """Lower bounds that need no model."""
        return self.quantity("bound_low")

    @property
    def bound_high(self) -> Numbers:
        """Upper bounds that need no model."""
        return self.quantity("bound_high")

    def columns(self) -> Sequence[Column]:
        """Stored figure, estimate with interval, bounds."""
        return [
            Column("stored", lambda row: number_text(row["stored"])),
            Column(f"latent [{percent(self.level or 0)} interval]", _interval),
            Column("bounds", _bounds),
        ]

    def explanations(self) -> Sequence[str]:
        """What is conditioned on, and what cannot be seen."""
        return [
            f"Directions found: {self.rank}; noise of an entry: {self.noise:.3g}",
            f"The estimate conditions on {self.conditions_on}",
            f"It cannot see {self.cannot_see}",
            "bounds: hold for every update that rounds to the stored weights; no model",
        ]

    def statement(self) -> str:
        """One sentence for a paper."""
        told = "; ".join(self._told(row) for row in self.rows())
        return f"{told} ({percent(self.level or 0)} {self.method})."

    def _told(self, row: Row) -> str:
        what = self.variables[str(row["variable"])].label
        side = f" ({row['side']})" if row.get("side") else ""
        if row["estimate"] != row["estimate"]:
            return f"{what}{side} of the update before rounding lies in {_bounds(row).plain}: {row['reason']}"
        stored = "" if row["stored"] != row["stored"] else f" (stored: {number_text(row['stored']).plain})"
        return f"{what}{side} of the update before rounding was {_interval(row).plain}{stored}"


def _interval(row: Row) -> Text:
    return interval_text(row["estimate"], row["low"], row["high"], row["reason"])


def _bounds(row: Row) -> Text:
    ends = [number_text(row[end]) for end in ("bound_low", "bound_high")]
    return Text(
        "[" + ", ".join(end.plain for end in ends) + "]", "[" + ", ".join(e.latex for e in ends) + "]"
    )
