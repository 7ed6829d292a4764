"""What stands beside a verdict: mean trajectory, model, existence, and where they disagree with the runs."""

import importlib
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.locking.step_words import steps_text
from geostat.statistics.words.notices import Notice

__all__ = ["BESIDE", "check_beside", "disagreements", "modelled"]

BESIDE = ("band_entry", "fit_onset", "onset_exists")
"""Procedures that may stand beside the verdict."""

_QUANTITIES = {
    "fit_onset": {"estimate": "fit_estimate", "low": "fit_low", "high": "fit_high"},
    "onset_exists": {"p_value": "existence_p"},
}


def check_beside(beside: Sequence[str]) -> tuple[str, ...]:
    """Refuse procedures that cannot stand beside a verdict.

    Parameters
    ----------
    beside : sequence of str
        Names.

    Returns
    -------
    tuple of str
        The same.

    Raises
    ------
    SampleError
        If one is not known.
    """
    listed = isinstance(beside, Sequence) and not isinstance(beside, str)
    unknown = [name for name in beside if name not in BESIDE] if listed else [beside]
    if unknown:
        raise SampleError(
            f"beside={beside!r}: {unknown[0]!r} is not known. Choose among {list(BESIDE)}, or pass ()."
        )
    return tuple(beside)


def modelled(
    curves: xr.DataArray, beside: Sequence[str], sample_dim: str, level: float, like: xr.DataArray
) -> tuple[dict[str, xr.DataArray], list[Notice]]:
    """Ask the procedures that rest on a model of curve and noise.

    Parameters
    ----------
    curves : xarray.DataArray
        One curve per run and cell, with coordinate ``recipe`` where there is one.
    beside : sequence of str
        Which procedures.
    sample_dim : str
        Dimension of runs.
    level : float
        Confidence level.
    like : xarray.DataArray
        The verdict's cells.

    Returns
    -------
    tuple of dict and list of Notice
        ``fit_estimate``, ``fit_low``, ``fit_high`` (steps) and ``existence_p``, NaN where there is none.
    """
    found = {name: like * np.nan for quantities in _QUANTITIES.values() for name in quantities.values()}
    notices: list[Notice] = []
    for procedure in [name for name in _QUANTITIES if name in beside]:
        cells, noticed = _asked(procedure, curves, sample_dim, level)
        notices += noticed
        if cells is not None:
            for theirs, ours in _QUANTITIES[procedure].items():
                found[ours] = _fitted(cells[theirs], like)
    return found, notices


def _fitted(array: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    bare = array.drop_vars([name for name in array.coords if name not in array.dims])
    return bare.broadcast_like(like).transpose(*like.dims).assign_coords(like.coords).rename(None)


def _asked(
    procedure: str, curves: xr.DataArray, sample_dim: str, level: float
) -> tuple[xr.Dataset | None, list[Notice]]:
    try:
        function = getattr(importlib.import_module(f"geostat.statistics.locking.{procedure}"), procedure)
    except ImportError:
        return None, []
    arguments: dict[str, Any] = {"dim": None, "sample_dim": sample_dim, "level": level}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(curves, **arguments)
        except SampleError as error:
            return None, [Notice(GeostatWarning, f"{procedure} gave no answer: {error}")]
    told = dict.fromkeys(str(warning.message) for warning in caught if _is_ours(warning))
    cells: xr.Dataset = next(iter(result.cells.values()))
    return cells, [Notice(GeostatWarning, f"{procedure}: {text}") for text in told]


def _is_ours(warning: warnings.WarningMessage) -> bool:
    """Everything but what the verdict has noticed about the same data already."""
    return isinstance(warning.message, GeostatWarning) and "identical seeds" not in str(warning.message)


def disagreements(row: Mapping[str, Any], level: float) -> dict[str, str]:
    """Say where other procedures contradict the brackets of the runs.

    The fitted onset is the step by which 90% of the whole change is made, and the bracket is where the band is
    entered for good: a fit *after* the bracket answers another question and contradicts nothing.

    Parameters
    ----------
    row : mapping
        A row of the verdict.
    level : float
        Confidence level.

    Returns
    -------
    dict of str to str
        Texts by quantity (``entry``, ``fit``, ``existence``); empty where nothing does.
    """
    if row["verdict"] not in ("locked", "left-censored"):
        return _late_entry(row)
    low = -math.inf if math.isnan(row["last_out"]) else row["last_out"]
    ends = (low, row["first_in"])
    entry, fit = ((row[f"{key}_low"], row[f"{key}_high"]) for key in ("entry", "fit"))
    told = {}
    if _apart(ends, entry):
        told["entry"] = (
            f"the mean over runs enters the band in {_interval(*entry)}, outside the runs' bracket {row['onset']}"
        )
    if fit[1] <= ends[0]:
        told["fit"] = (
            f"90% of the change is made in {_interval(*fit)} (fit_onset), before the runs' bracket {row['onset']}"
        )
    if row["verdict"] == "locked" and row["existence_p"] > 1 - level:
        told["existence"] = (
            f"no change is distinguishable from noise (onset_exists, p = {row['existence_p']:.3f})"
        )
    return told


def _late_entry(row: Mapping[str, Any]) -> dict[str, str]:
    if math.isfinite(row["entry_high"]) and not row["n_one_side"]:
        return {
            "entry": "the mean over runs is shown to stay in the band although the runs by themselves do not"
        }
    return {}


def _apart(bracket: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether (a, b] and (c, d] have nothing in common."""
    return not any(math.isnan(end) for end in other) and (other[1] <= bracket[0] or other[0] >= bracket[1])


def _interval(low: float, high: float) -> str:
    return steps_text(low, high).plain
