"""The result of `sensitivity`: every analysis that could have been made, and what each would have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from geostat.nulls.sensitivities.orders import UNDEFINED
from geostat.results import Column, LabelledResult, Row, Table
from geostat.results.numbers import interval_text, number_text
from geostat.results.table import Text, build_table, escape_latex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SensitivityResult"]

TOLD = 3
"""Settings at which an order breaks that a sentence tells one by one."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class SensitivityResult(LabelledResult):
    """Recipes under every combination of settings.

    A row holds settings and recipe, ``estimate``, ``low``, ``high``, ``n_runs``, ``reason``, and of the setting
    ``order`` (recipes from the largest to the smallest estimate), ``holds`` (whether that is the order of the
    reference setting, or the declared one) and ``separated`` (whether intervals of neighbours in the order do not
    overlap; False where there are none). The table has one row per combination and a column per recipe.
    """

    @property
    def estimate(self) -> xr.DataArray | xr.Dataset:
        """Means of recipes, by setting."""
        return self.quantity("estimate")

    @property
    def holds(self) -> xr.DataArray | xr.Dataset:
        """Whether the order is the one of the reference setting, by setting."""
        return self._judged("holds")

    @property
    def order(self) -> xr.DataArray | xr.Dataset:
        """Recipes from the largest to the smallest estimate, by setting."""
        return self._judged("order")

    def _judged(self, name: str) -> xr.DataArray | xr.Dataset:
        found = {metric: cells[name].rename(metric) for metric, cells in self.cells.items()}
        return (
            next(iter(found.values()))
            if self.single
            else xr.merge(found.values(), join="outer", compat="override")
        )

    def labels(self) -> tuple[str, ...]:
        """Keys of a row that say which cell it is: settings as they were named, the recipe last."""
        dims = dict.fromkeys(str(dim) for cells in self.cells.values() for dim in cells.dims)
        named = [name for name in self.settings["over"] if name in dims]
        rest = [name for name in dims if name not in named and name != "recipe"]
        return ("variable", *named, *rest, "recipe")

    @property
    def holds_everywhere(self) -> bool:
        """Whether the order is one at every setting of every metric; a setting without value does not count for it."""
        return all(bool(cells["holds"].all()) for cells in self.cells.values())

    @property
    def recipes(self) -> list[str]:
        """Names of the recipes."""
        return [str(name) for name in next(iter(self.cells.values()))["recipe"].values]

    def settings_of(self, row: Row) -> dict[str, Any]:
        """Settings of a row.

        Parameters
        ----------
        row : mapping
            One of `rows`.

        Returns
        -------
        dict
            Axis -> value; axes on which the row's metric does not depend are left out.
        """
        names = [name for name in self.labels() if name not in ("variable", "recipe")]
        return {name: row[name] for name in names if row[name] is not None}

    def combinations(self) -> list[list[dict[str, Any]]]:
        """Rows of each combination of settings together, one row per recipe."""
        rows, size = self.rows(), len(self.recipes)
        return [rows[i : i + size] for i in range(0, len(rows), size)]

    def columns(self) -> Sequence[Column]:
        """Value of each recipe, their order, whether it holds."""
        recipes = self.recipes
        values = [Column(Text(name or "value"), _value_of(place)) for place, name in enumerate(recipes)]
        if len(recipes) == 1:
            return values
        return [
            *values,
            Column("order", lambda row: _order_text(row["order"])),
            Column("holds", lambda row: Text("yes" if row["holds"] else "no")),
        ]

    def table(self) -> Table:
        """Lay every analysis out in a row of its own: the table for an appendix.

        Returns
        -------
        Table
            Settings, value by recipe, order, whether it holds.
        """
        rows = [{**group[0], "recipe": None, "_group": group} for group in self.combinations()]
        return build_table(rows, [*self._label_columns(rows), *self.columns()], self.remarks_below())

    def explanations(self) -> Sequence[str]:
        """Where the order is compared from, and what it does not say."""
        if len(self.recipes) == 1:
            return ["One recipe: there is no order to hold."]
        which = ", ".join(f"{name} {value}" for name, value in self.settings["reference"].items())
        against = "the declared order" if self.settings["order"] == "declared" else f"the order at {which}"
        return [
            f"holds: the order of estimates is {against}.",
            "Settings are chosen and share their runs: the share of those that agree is no probability.",
        ]

    def statement(self) -> str:
        """One sentence for a paper: whether the order holds, and where it does not."""
        told = "; ".join(self._told(name) for name in self.cells)
        return f"{told[0].upper()}{told[1:]}."

    def _told(self, name: str) -> str:
        alone = self[name]
        what, groups = alone.variables[name].label, alone.combinations()
        distinct = _distinct(groups)
        counted = f"{len(groups)} settings" + (
            f" ({distinct} of them distinct)" if distinct < len(groups) else ""
        )
        if len(self.recipes) == 1:
            values = [
                group[0]["estimate"] for group in groups if group[0]["estimate"] == group[0]["estimate"]
            ]
            ends = (
                [number_text(end(values)).plain for end in (min, max)] if values else ["no value", "no value"]
            )
            return f"{what} lay between {ends[0]} and {ends[1]} over {counted}"
        broken = [group[0] for group in groups if not group[0]["holds"]]
        kept = [group[0]["order"] for group in groups if group[0]["holds"]]
        order = f"the order {kept[0]}" if len(set(kept)) == 1 else "the order"
        if not broken:
            apart = sum(group[0]["separated"] for group in groups)
            return f"{order} of {what} held at all {counted}, with disjoint intervals at {apart}"
        told = "; ".join(f"{row['order']} at {alone._at(row)}" for row in broken[:TOLD])
        more = f", and at {len(broken) - TOLD} more it does not hold" if len(broken) > TOLD else ""
        return f"{order} of {what} held at {len(kept)} of {counted}; it was {told}{more}"

    def _at(self, row: Row) -> str:
        return ", ".join(f"{name} {_plain(value)}" for name, value in self.settings_of(row).items())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Specification curve: values of all analyses, and below which settings each has.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where; by default new ones in a figure that pyplot does not know.

        Returns
        -------
        matplotlib.axes.Axes
            The upper one, with the values.

        Raises
        ------
        SampleError
            If the result holds several metrics: select one with ``result[name]``.
        """
        from geostat.nulls.sensitivities.drawing import draw_specifications

        return draw_specifications(self, ax)


def _value_of(place: int) -> Any:
    def show(row: Row) -> Text:
        mine = row["_group"][place]
        if mine["low"] != mine["low"]:
            return number_text(mine["estimate"])
        return interval_text(mine["estimate"], mine["low"], mine["high"], mine["reason"])

    return show


def _order_text(order: str) -> Text:
    if order == UNDEFINED:
        return Text(order, note="a recipe has no value")
    return Text(order, escape_latex(order).replace(r"\textgreater{}", "$>$").replace("=", "$=$"))


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _distinct(groups: Sequence[Sequence[Row]]) -> int:
    values = np.array([[row["estimate"] for row in group] for group in groups], dtype=np.float64)
    return len(np.unique(values, axis=0))
