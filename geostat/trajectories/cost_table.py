"""What every tier adds, takes and costs: the table from which a measurement is chosen."""

import html
import math
import os
import re
import textwrap
from dataclasses import dataclass

from geostat.spec import DIAGNOSTICS, TIERS, Tier
from geostat.trajectories.cost import START_SECONDS, Cost, Forecast, estimate, forecasts
from geostat.trajectories.durations import duration
from geostat.trajectories.planning import at_tier
from geostat.trajectories.plans import Plan

__all__ = ["CostTable", "TierCost", "cost_table", "richest_within"]

_MIB = 2**20
_WIDTH = 79
"""Columns of a narrow terminal."""


@dataclass(frozen=True)
class TierCost:
    """What one tier gives, and takes on this machine.

    Attributes
    ----------
    plan : Plan
        The measurement under this tier.
    adds : tuple of str
        Diagnostics that cheaper tiers do not give.
    forecast : Forecast
        Its time.
    cost : Cost
        Memory of each process, disk.
    """

    plan: Plan
    adds: tuple[str, ...]
    forecast: Forecast
    cost: Cost

    @property
    def tier(self) -> Tier:
        """One of `geostat.TIERS`."""
        return self.plan.tier


@dataclass(frozen=True)
class CostTable:
    """Tiers of one measurement beside each other, cheapest first.

    Attributes
    ----------
    tiers : tuple of TierCost
        One for each tier that gives something.
    workers : int
        Processes that will measure.
    budget : float or None
        Seconds that it may take.
    """

    tiers: tuple[TierCost, ...]
    workers: int = 1
    budget: float | None = None

    def seconds(self, tier: TierCost) -> float:
        """Time of a tier with the workers given.

        Parameters
        ----------
        tier : TierCost
            Which.

        Returns
        -------
        float
            Seconds.
        """
        return tier.forecast.seconds(self.workers)

    def fits(self, tier: TierCost) -> bool:
        """Whether a tier fits the budget.

        Parameters
        ----------
        tier : TierCost
            Which.

        Returns
        -------
        bool
            True where there is no budget.
        """
        return self.budget is None or self.seconds(tier) <= self.budget

    @property
    def richest(self) -> TierCost | None:
        """The tier that gives most of those that fit; None where none does."""
        fitting = [tier for tier in self.tiers if self.fits(tier)]
        return fitting[-1] if fitting else None

    @property
    def advice(self) -> str:
        """Which tier to take; or, where none fits, what would make one fit."""
        if self.budget is None:
            return ""
        allowed = f"the budget of {duration(self.budget)}"
        if self.richest is not None:
            return (
                f"The richest tier within {allowed} is {self.richest.tier}: pass --tier {self.richest.tier}."
            )
        return f"No tier fits {allowed}. {' '.join(self._remedies())}"

    def _remedies(self) -> list[str]:
        """What would make the cheapest tier fit, and how much of it."""
        cheapest, budget = self.tiers[0], self.budget or 0.0
        if budget <= START_SECONDS:
            return [f"To start and to seal take about {duration(START_SECONDS)} by themselves: allow more."]
        found, refs = [], cheapest.plan.refs
        more = range(self.workers + 1, 1 + len(refs))
        enough = next((count for count in more if cheapest.forecast.seconds(count) <= budget), None)
        if enough is not None:
            cores = os.cpu_count() or 1
            note = "" if enough <= cores else f" (this machine has {cores} cores)"
            found.append(f"The tier {cheapest.tier} would with --workers {enough}{note}.")
        steps = len(cheapest.plan.steps)
        fewer = math.floor((steps + 1) * budget / self.seconds(cheapest)) - 1
        if 1 <= fewer < steps:
            found.append(f"The tier {cheapest.tier} would with {fewer} of the {steps} checkpoints.")
        if len(refs) > 1:
            kinds = sorted({ref.name.rpartition(".")[2] for ref in refs})
            example = f"*{kinds[0]}" if len(kinds) > 1 else refs[0].name
            other = "Or measure" if found else "Measure"
            found.append(f"{other} fewer matrices, for example --matrices '{example}'.")
        return found

    def rows(self) -> list[list[str]]:
        """The cells of the table as text, heads first.

        Returns
        -------
        list of list of str
            One row for each tier.
        """
        head = ["tier", "diagnostics", "time", "memory", "disk"]
        parallel = [] if self.workers == 1 else [f"{self.workers} workers"]
        fits = [] if self.budget is None else [f"within {duration(self.budget)}"]
        return [head[:3] + parallel + head[3:] + fits, *(self._row(tier) for tier in self.tiers)]

    def _row(self, tier: TierCost) -> list[str]:
        before = sum(len(other.adds) for other in self.tiers[: self.tiers.index(tier)])
        cells = [tier.tier, f"{before + len(tier.adds)}" + (f" (+{len(tier.adds)})" if before else "")]
        cells.append(duration(tier.forecast.seconds()))
        if self.workers > 1:
            cells.append(duration(self.seconds(tier)))
        cells += [f"{tier.cost.memory_bytes / _MIB:.0f} MiB", f"{tier.cost.disk_bytes / _MIB:.1f} MiB"]
        if self.budget is not None:
            cells.append("yes" if self.fits(tier) else "no")
        return cells

    def __repr__(self) -> str:
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        told = [f"{tier.tier}: {', '.join(tier.adds)}" for tier in self.tiers]
        told = [
            textwrap.fill(
                text if i == 0 else text.replace(": ", ": the same, and ", 1),
                _WIDTH,
                subsequent_indent="    ",
            )
            for i, text in enumerate(told)
        ]
        advice = ["", _filled(self.advice)] if self.advice else []
        return "\n".join([*lines, "", *told, *advice])

    def _repr_html_(self) -> str:
        head, *body = self.rows()
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        lines = [
            f'<tr title="{html.escape(", ".join(tier.adds))}">'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for tier, row in zip(self.tiers, body, strict=True)
        ]
        return f"<table><tr>{cells}</tr>{''.join(lines)}</table><p>{html.escape(self.advice)}</p>"


def _filled(text: str) -> str:
    """Lines of a narrow terminal; an option and what it is given stay together."""
    kept = re.sub(r"(--\w+) ", "\\1\N{NO-BREAK SPACE}", text)
    return textwrap.fill(kept, _WIDTH, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")


def cost_table(
    plan: Plan, *, workers: int = 1, budget: float | None = None, device: str = "cpu"
) -> CostTable:
    """Time, memory and disk of a measurement under every tier, on this machine.

    Parameters
    ----------
    plan : Plan
        The measurement, from `geostat.plan` under its dearest tier; its diagnostics are those that cheaper
        tiers choose from.
    workers : int
        Processes of one thread each.
    budget : float, optional
        Seconds that it may take.
    device : str
        Where the arithmetic will run.

    Returns
    -------
    CostTable
        Prints as a table; `richest` is the best tier within the budget.

    Examples
    --------
    >>> import torch
    >>> import geostat as gs
    >>> start, end = ({"blocks.0.attention.query.weight": c * torch.eye(8)} for c in (1, 2))
    >>> table = cost_table(gs.plan(start, {10: end}), budget=3600.0)
    >>> [tier.tier for tier in table.tiers]
    ['elementwise', 'top', 'angles', 'exact']
    >>> table.richest.tier
    'exact'
    """
    order = list(TIERS)
    plans = [at_tier(plan, tier) for tier in order[: 1 + order.index(plan.tier)]]
    adds = [tuple(name for name in each.diagnostics if DIAGNOSTICS[name].tier == each.tier) for each in plans]
    chosen = [(each, names) for each, names in zip(plans, adds, strict=True) if names]
    times = forecasts([each for each, _ in chosen], device)
    found = [
        TierCost(each, names, time, estimate(each)) for (each, names), time in zip(chosen, times, strict=True)
    ]
    return CostTable(tuple(found), workers, budget)


def richest_within(
    plan: Plan, seconds: float, *, workers: int = 1, device: str = "cpu"
) -> tuple[Plan | None, CostTable]:
    """The measurement under the richest tier that fits a budget.

    Parameters
    ----------
    plan : Plan
        The measurement under its dearest tier.
    seconds : float
        The budget.
    workers : int
        Processes of one thread each.
    device : str
        Where the arithmetic will run.

    Returns
    -------
    plan : Plan or None
        None where no tier fits.
    table : CostTable
        All of them; its `advice` says what would make one fit.
    """
    table = cost_table(plan, workers=workers, budget=seconds, device=device)
    return None if table.richest is None else table.richest.plan, table
