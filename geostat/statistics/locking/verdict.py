"""What the runs at hand say together: locked, left-censored, no lock, diffusion, or undetermined."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.locking.bands import Band
from geostat.statistics.locking.censoring import runs_for_median
from geostat.statistics.locking.curves import RunCurves
from geostat.statistics.locking.step_words import steps_text

__all__ = ["Verdict", "left_again", "run_outcomes", "verdict_cells"]

Verdict = Literal["locked", "left-censored", "no-lock", "not distinguishable from diffusion", "undetermined"]

_LOCKED = ("bracket", "left-censored")
Counts = Mapping[str, int]


def left_again(curves: RunCurves, found: xr.Dataset, band: Band, persistence: float) -> xr.DataArray:
    """Which runs stayed in the band for long enough once, but are outside at the end.

    Under a learning rate that decays to 0 the last increments of bf16 files are rounding, and bring this about.

    Parameters
    ----------
    curves : RunCurves
        Runs first, steps last.
    found : xarray.Dataset
        Their brackets.
    band : Band
        Where they have to stay.
    persistence : float
        Share of training for which they have to stay.

    Returns
    -------
    xarray.DataArray
        Boolean, over runs and cells.
    """
    never = found["outcome"].transpose(*curves.values.dims[:-1])
    steps = np.asarray(curves.values["step"].values, dtype=np.float64)
    stayed = np.zeros(never.shape, dtype=np.bool_)
    for place in zip(*np.nonzero(never.values == "never"), strict=True):
        needed = persistence * float(found["training_steps"].transpose(*never.dims).values[place])
        centre = float(found["centre"].transpose(*never.dims).values[place])
        stayed[place] = _longest(steps, curves.values.values[place], band, centre) >= needed
    return never.copy(data=stayed)


def _longest(
    steps: npt.NDArray[np.float64], values: npt.NDArray[np.float64], band: Band, centre: float
) -> float:
    """Longest stretch of steps between two checkpoints with none outside between them."""
    here = ~np.isnan(values)
    inside, at = band.inside(values[here], centre), steps[here]
    stretches = np.split(np.arange(at.size), np.flatnonzero(~inside))
    lengths = [float(at[s[-1]] - at[s[inside[s]][0]]) for s in stretches if inside[s].any()]
    return max(lengths, default=0.0)


def run_outcomes(together: xr.Dataset, single: Mapping[str, xr.Dataset], complete: bool) -> xr.Dataset:
    """Outcome of every run, "one side" where a single side of the capture stays above the threshold.

    Parameters
    ----------
    together : xarray.Dataset
        Brackets of the sides taken together.
    single : mapping of str to xarray.Dataset
        Brackets of each side.
    complete : bool
        Whether what is given suffices for "locked".

    Returns
    -------
    xarray.Dataset
        `together` with such outcomes replaced; a run on one side has no onset.
    """
    outcome = together["outcome"]
    if complete:
        sides = [
            np.isin(found["outcome"].transpose(*outcome.dims).values, _LOCKED) for found in single.values()
        ]
        one = (outcome.values == "never") & np.any(sides, axis=0) if sides else np.zeros(outcome.shape, bool)
    else:
        one = np.isin(outcome.values, _LOCKED)
    texts = np.where(one, "one side", outcome.values.astype(object)).astype(np.dtypes.StringDType())
    kept = outcome.copy(data=~one)
    return together.assign(
        outcome=outcome.copy(data=texts),
        last_out=together["last_out"].where(kept),
        first_in=together["first_in"].where(kept),
    )


def verdict_cells(
    runs: xr.Dataset, share: xr.Dataset, sample_dim: str, level: float, rounded: bool = False
) -> xr.Dataset:
    """Verdict of one recipe per cell.

    All runs that have a value must agree, unless the interval of the share of runs decides.

    Parameters
    ----------
    runs : xarray.Dataset
        What `run_outcomes` gave for its runs, whether each is ``constant``, and has ``left_again``.
    share : xarray.Dataset
        What `share_cells` gave for them.
    sample_dim : str
        Dimension of runs.
    level : float
        Confidence level.
    rounded : bool
        Whether the files are bf16, so that leaving again may be rounding.

    Returns
    -------
    xarray.Dataset
        ``verdict, last_out, first_in, onset, recipe_locks``, counts of outcomes, and in words ``outcomes``, the
        ``claim`` on the recipe and ``reason``.
    """
    counts = {name: _count(runs, names, sample_dim) for name, names in _OUTCOMES.items()}
    counts_told = counts | {
        "constant": (runs["constant"] & (runs["outcome"] == "left-censored")).sum(sample_dim),
        "left": (runs["left_again"] & (runs["outcome"] == "never")).sum(sample_dim),
    }
    like = share["estimate"]
    locked = xr.zeros_like(runs["last_out"], dtype=bool).copy(data=np.isin(runs["outcome"].values, _LOCKED))
    low = runs["last_out"].fillna(-np.inf).where(locked).min(sample_dim)
    high = runs["first_in"].where(locked).max(sample_dim)
    flat = {name: array.transpose(*like.dims).values.ravel().tolist() for name, array in counts_told.items()}
    ends = [share[end].values.ravel().tolist() for end in ("low", "high")]
    told = [
        _told({name: values[i] for name, values in flat.items()}, ends[0][i], ends[1][i], level, rounded)
        for i in range(like.size)
    ]
    verdict, outcomes, claim, reason = (_strings([texts[i] for texts in told], like) for i in range(4))
    has = verdict.copy(data=np.isin(verdict.values, ("locked", "left-censored")))
    last_out, first_in = low.where(has), high.where(has)
    return xr.Dataset(
        {
            "verdict": verdict,
            "last_out": last_out,
            "first_in": first_in,
            "onset": _onsets(last_out, first_in),
            "recipe_locks": share["low"] > 0.5,
            **{f"n_{name}": array for name, array in counts.items()},
            "outcomes": outcomes,
            "claim": claim,
            "reason": reason,
        }
    )


_OUTCOMES = {
    "locked": _LOCKED,
    "left_censored": ("left-censored",),
    "one_side": ("one side",),
    "never": ("never",),
    "short": ("too short to tell",),
    "undefined": ("undefined",),
}


def _count(runs: xr.Dataset, names: tuple[str, ...], sample_dim: str) -> xr.DataArray:
    found = runs["last_out"].copy(data=np.isin(runs["outcome"].values, names))
    return found.sum(sample_dim)


def _told(n: Counts, low: float, high: float, level: float, rounded: bool) -> tuple[Verdict, str, str, str]:
    """Verdict; how the runs came out; what is said of the recipe; and all of it with what to do."""
    verdict = _verdict(n, low, high)
    if verdict == "no-lock" and rounded and n["left"] == n["never"]:
        verdict = "undetermined"
    outcomes, claim = _counted(n), _recipe(n, low, high, level)
    return verdict, outcomes, claim, "; ".join([outcomes, *_why(verdict, n), claim])


def _verdict(n: Counts, low: float, high: float) -> Verdict:
    """All runs with a value agree, or the share of runs decides."""
    valued = n["locked"] + n["one_side"] + n["never"] + n["short"]
    if not valued:
        return "undetermined"
    if n["locked"] == valued or low > 0.5:
        return "left-censored" if n["left_censored"] == n["locked"] else "locked"
    if (n["locked"] == 0 and n["short"] == 0) or high < 0.5:
        return "not distinguishable from diffusion" if n["one_side"] else "no-lock"
    return "undetermined"


def _counted(n: Counts) -> str:
    named = {
        "locked": "locked",
        "one_side": "above the threshold on one side only",
        "never": "not locked at the end",
        "short": "too short to tell",
        "undefined": "without a value",
    }
    total = sum(n[name] for name in named)
    after = f", {n['left']} of them after staying in the band for long enough" if n["left"] else ""
    parts = [
        f"{n[name]} {words}{after if name == 'never' else ''}" for name, words in named.items() if n[name]
    ]
    return f"{total} run{'s' if total != 1 else ''}: {', '.join(parts)}"


def _why(verdict: Verdict, n: Counts) -> list[str]:
    left = [_LEFT] if n["left"] and verdict in ("no-lock", "undetermined") else []
    return [*left, *_reasons(verdict, n)]


_LEFT = (
    "under a learning rate that decays to 0 the last increments of bf16 files are rounding and leave the band again: "
    "look at the steps before, as in data.sel(step=slice(None, last))"
)


def _reasons(verdict: Verdict, n: Counts) -> list[str]:
    if verdict == "not distinguishable from diffusion":
        return [
            "anisotropic inputs (or outputs) raise the capture of pure diffusion on one side; measure both sides, "
            "or pass diffusion_capture, the upper quantile of the right capture under matched diffusion"
        ]
    if verdict == "left-censored":
        flat = (
            [f"{n['constant']} of them constant: no onset was found, none was possible"]
            if n["constant"]
            else []
        )
        return [
            *flat,
            "inside at the first checkpoint with a value: save earlier checkpoints to bracket the onset",
        ]
    if verdict == "undetermined" and n["locked"]:
        return ["the runs do not agree"]
    if verdict == "undetermined" and n["short"]:
        return ["train longer, or save checkpoints over more of the run"]
    return []


def _recipe(n: Counts, low: float, high: float, level: float) -> str:
    """What is, and is not, said of the recipe."""
    total = n["locked"] + n["one_side"] + n["never"] + n["short"] + n["undefined"]
    needed = runs_for_median(level)
    if low > 0.5:
        return "more than half of the recipe's runs lock"
    if high < 0.5:
        return "less than half of the recipe's runs lock"
    if total < needed:
        return f"no claim on the recipe: fewer than {needed} runs"
    return "no claim on the recipe: whether more than half of its runs lock is open"


def _strings(texts: list[Any], like: xr.DataArray) -> xr.DataArray:
    array: npt.NDArray[Any] = np.array(texts, dtype=np.dtypes.StringDType()).reshape(like.shape)
    return like.copy(data=array)


def _onsets(low: xr.DataArray, high: xr.DataArray) -> xr.DataArray:
    pairs = zip(low.values.ravel().tolist(), high.values.ravel().tolist(), strict=True)
    return _strings([steps_text(*pair).plain for pair in pairs], low)
