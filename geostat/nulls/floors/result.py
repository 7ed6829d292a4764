"""What storage alone gives, and which figures do not rise above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.nulls.floors.errors import ONE_END
from geostat.results import Column, LabelledResult, Row
from geostat.results.base import percent
from geostat.results.numbers import interval_text, number_text
from geostat.results.table import Text

__all__ = ["DIAGNOSTICS_WITH_FLOOR", "NoiseFloor"]

DIAGNOSTICS_WITH_FLOOR = {
    "max_principal_angle": "at most",
    "mean_principal_angle": "at most",
    "normalized_spectral_shift": "at most",
    "update_norm": "at most",
    "relative_update_norm": "at most",
    "top_k_energy": "at most",
    "stable_rank": "at least",
    "effective_rank": "at least",
    "principal_subspace_energy": "within",
}
"""How storage errors show: small angles, norms and shares, but *high* ranks, and energy as if by chance."""

_WORDS = {
    "at most": "<= {high}",
    "at least": ">= {low}",
    "within": "{low} to {high}",
}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class NoiseFloor(LabelledResult):
    """Figures that storage errors alone give for one matrix.

    A row holds labels, ``estimate`` (mean over draws), ``sd``, ``low`` and ``high`` (between which the next draw
    lies with probability `level`), ``closed_form`` and ``reason``.

    Attributes
    ----------
    conditions_on : str
        What the floor takes as given.
    cannot_see : str
        What it therefore does not say.
    """

    conditions_on: str
    cannot_see: str
    in_units: ClassVar[tuple[str, ...]] = ("estimate", "sd", "low", "high", "closed_form")

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Mean over draws."""
        return self.quantity("estimate")

    @property
    def high(self) -> xr.DataArray | xr.Dataset:
        """Upper end of what storage alone gives."""
        return self.quantity("high")

    @property
    def low(self) -> xr.DataArray | xr.Dataset:
        """Lower end of what storage alone gives."""
        return self.quantity("low")

    @property
    def closed_form(self) -> xr.DataArray | xr.Dataset:
        """Value that follows from the variances of the errors; NaN where none does."""
        return self.quantity("closed_form")

    def covers(
        self, diagnostic: str, value: float | xr.DataArray, *, rounding: str = ONE_END, **at: object
    ) -> bool | xr.DataArray:
        """Whether a figure is one that storage errors alone would give.

        Angles, norms, the spectral shift and the energy of the top directions are covered where they do not exceed
        the upper end. Errors have *high* ranks: stable and effective rank are covered from the lower end on. Energy
        in principal subspaces is covered between both ends.

        Parameters
        ----------
        diagnostic : str
            Identifier.
        value : float or xarray.DataArray
            Figures; an array may have dims ``side`` and ``energy_k``, matched by label.
        rounding : str
            Kind of error: a label of dim ``rounding``.
        **at
            Labels of other dims, such as ``side="right"``, where `value` lacks them.

        Returns
        -------
        bool or xarray.DataArray
            False for NaN.

        Raises
        ------
        SampleError
            If the floor holds no such diagnostic or label, or labels are missing.

        Examples
        --------
        >>> import torch
        >>> from geostat.nulls.floors.floor import noise_floor
        >>> weights = torch.randn(48, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
        >>> floor = noise_floor(weights, diagnostics=["relative_update_norm"], n=4, rng=0)
        >>> floor.covers("relative_update_norm", 1e-3), floor.covers("relative_update_norm", 1e-2)
        (True, False)
        """
        low, high = self._ends(diagnostic, {"rounding": rounding, **at})
        rule = DIAGNOSTICS_WITH_FLOOR[diagnostic]
        given = value if isinstance(value, xr.DataArray) else xr.DataArray(float(value))
        above = given >= low if rule != "at most" else given == given
        below = given <= high if rule != "at least" else given == given
        covered = above & below
        if covered.ndim and not isinstance(value, xr.DataArray):
            left = ", ".join(f"{dim}=" for dim in covered.dims)
            raise SampleError(
                f"the floor of {diagnostic} differs along {left.rstrip('=')}: pass {left}, or an array."
            )
        return covered if isinstance(value, xr.DataArray) else bool(covered)

    def _ends(self, diagnostic: str, at: dict[str, object]) -> tuple[xr.DataArray, xr.DataArray]:
        cells = self[diagnostic].cells[diagnostic]
        for dim, label in at.items():
            known = cells[dim].values.tolist() if dim in cells.dims else []
            if label not in known:
                raise SampleError(
                    f"the floor of {diagnostic} has no {dim}={label!r}. It has: {', '.join(map(str, known)) or 'none'}."
                )
            cells = cells.sel({dim: label}, drop=True)
        return cells["low"], cells["high"]

    def columns(self) -> Sequence[Column]:
        """Floor with its interval, in words, and by formula."""
        return [
            Column(
                f"storage alone [{percent(self.level or 0)}]",
                lambda row: interval_text(row["estimate"], row["low"], row["high"], row["reason"]),
            ),
            Column("covered", lambda row: Text(_covered(row))),
            Column("closed form", lambda row: number_text(row["closed_form"])),
        ]

    def explanations(self) -> Sequence[str]:
        """What the floor conditions on, and what it does not say."""
        return [f"The floor conditions on {self.conditions_on}", f"It cannot see {self.cannot_see}"]

    def statement(self) -> str:
        """One sentence for a paper: what storage alone gives."""
        told = [
            f"{self.variables[str(row['variable'])].label} {_at(row, self.labels())}: {_covered(row)}"
            for row in self.rows()
            if not np.isnan(row["estimate"])
        ]
        return f"Storage errors alone give: {'; '.join(told)} ({self.method})."


def _covered(row: Row) -> str:
    if np.isnan(row["low"]):
        return "--"
    low, high = number_text(row["low"]).plain, number_text(row["high"]).plain
    return _WORDS[DIAGNOSTICS_WITH_FLOOR[str(row["variable"])]].format(low=low, high=high)


def _at(row: Row, labels: Sequence[str]) -> str:
    return "(" + ", ".join(f"{label} {row[label]}" for label in labels[1:] if row[label] is not None) + ")"
