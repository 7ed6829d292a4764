"""What the runs show, in sentences that claim no more than a test or a bracket allows."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.results import Result, Row
from geostat.results.numbers import interval_text
from geostat.statistics import (
    ComparisonResult,
    LockingResult,
    RegimeResult,
    adjust_p_values,
    classify_regime,
    compare,
    displacement_matched,
    locking_onset,
)
from geostat.statistics.means.scales import ScaleName

__all__ = ["Verdicts", "verdicts"]

Verdicts = tuple[tuple[str, ...], tuple[Result, ...]]
"""Sentences, and the results behind them."""

LEVEL = 0.05
"""Largest p-value that is called shown."""

RISING: tuple[tuple[str, ScaleName, tuple[str, ...]], ...] = (
    ("update_sparsity", "logit", ("sft", "opd", "rlvr")),
    ("normalized_spectral_shift", "log", ("rlvr", "opd", "sft")),
)
"""Metrics with the order of recipes that is published for larger models."""

_WORDS = {
    "update_sparsity": "odds of an unchanged entry,",
    "normalized_spectral_shift": "spectral shift,",
}


def verdicts(runs: xr.Dataset, ends: xr.Dataset) -> Verdicts:
    """Ask for order, locking and regime.

    Parameters
    ----------
    runs : xarray.Dataset
        From `combine`.
    ends : xarray.Dataset
        Each run at its own last checkpoint.

    Returns
    -------
    tuple
        Sentences, and the results behind them.
    """
    with _quiet():
        contrasts = _contrasts(ends)
        matched = _matched(runs)
        locking = locking_onset(runs)
        regime = classify_regime(runs, boundaries="published", leave_one_out=False)
    told = (_order(contrasts), *map(_at_equal_displacement, matched), _locking(locking), _regime(regime))
    return told, (*contrasts, *matched, locking, regime)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the results would warn of is said once, by the last sentences of the paragraph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)
        yield


def _contrasts(ends: xr.Dataset) -> list[ComparisonResult]:
    """Neighbours in the published order, seed by seed, the higher against the lower."""
    return [
        compare(ends[name], high, low, paired=True, scale=scale)
        for name, scale, rising in RISING
        for low, high in pairwise(rising)
    ]


def _order(contrasts: Sequence[ComparisonResult]) -> str:
    rows = [result.rows()[0] for result in contrasts]
    if all(math.isnan(row["p_value"]) for row in rows):
        return "Whether the recipes stand in an order cannot be tested with these runs."
    adjusted = adjust_p_values([row["p_value"] for row in rows])
    told = ", ".join(
        f"{_WORDS[row['variable']]} {result.a} over {result.b} {_contrast(row)}"
        + ("" if p <= LEVEL else " (not shown)")
        for result, row, p in zip(contrasts, rows, adjusted, strict=True)
    )
    return (
        f"At the end of the runs the recipes stand in this order, seed by seed: {told}; an order is called shown "
        f"where the p-value, adjusted for {len(rows)} tests (Holm), is at most {LEVEL:g}."
    )


def _contrast(row: Row) -> str:
    return interval_text(row["estimate"], row["low"], row["high"]).plain.replace(" --", " without interval")


def _matched(runs: xr.Dataset) -> list[ComparisonResult]:
    """The unchanged fraction where OPD and RLVR have moved equally far; nothing where they never have."""
    names = ["update_sparsity", "relative_update_norm"]
    try:
        equal = displacement_matched(runs[names], ["opd", "rlvr"])
        return [compare(equal["update_sparsity"], "rlvr", "opd", dim=None, paired=True, scale="logit")]
    except SampleError:
        return []


def _at_equal_displacement(result: ComparisonResult) -> str:
    row = result.rows()[0]
    if math.isnan(row["p_value"]):
        return "One seed cannot tell whether OPD and RLVR differ where they have moved equally far."
    shown = "a difference is shown" if row["p_value"] <= LEVEL else "no difference is shown"
    return (
        "Taken where OPD and RLVR have moved equally far (relative update norm), their unchanged fractions "
        f"have an odds ratio of {_contrast(row)}: {shown}."
    )


def _locking(result: LockingResult) -> str:
    rows = result.rows()
    told = ", ".join(
        f"{row['recipe']} {_outcome(row)} ({row['n_locked']} of {row['n_runs']})" for row in rows
    )
    claimed = [str(row["recipe"]) for row in rows if row["recipe_locks"]]
    return (
        f"Locking of the channel, by forward capture on both sides, in the runs at hand: {told}; that most runs "
        f"of a recipe lock is shown for {' and '.join(claimed) or 'none, which takes six runs'}."
    )


def _outcome(row: Row) -> str:
    return f"{row['verdict']}, onset {row['onset']}" if row["first_in"] == row["first_in"] else row["verdict"]


def _regime(result: RegimeResult) -> str:
    found = result.verdict
    told = ", ".join(
        f"{recipe} {found.sel(recipe=recipe).item()}" for recipe in found["recipe"].values.tolist()
    )
    return f"Regime by published boundaries, which stem from models ten thousand times this size: {told}."
