"""Claims on when the channel is there, beside what the inputs and a random walk have."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from geostat.demo.claims.claim import Claim, Figure
from geostat.demo.claims.readings import contrast, means, of_runs, only
from geostat.lab.baselines import ACTIVATIONS, HAAR, OVERLAP
from geostat.nulls.walks.diffusion import diffusion_null
from geostat.statistics import at_least, lock_brackets

__all__ = ["aligned", "locked"]

RECIPES = ("sft", "opd", "rlvr", "continued_sft")
EARLY = 0.2
SIDE = "right"
WALKS = 59
LOCKED = 0.5


def aligned(published: xr.Dataset) -> Claim:
    """Whether OPD alone is close to its final channel early.

    Parameters
    ----------
    published : xarray.Dataset
        Runs from bf16 checkpoints, with baselines.

    Returns
    -------
    Claim
        With its verdict.
    """
    name, words = "similarity_to_end", "similarity of the channel to the final one, at a fifth"
    values = of_runs(published, name, at=EARLY, side=SIDE)
    told = ("rises gradually", "high from the first checkpoint", "rises gradually", "")
    figures = [
        contrast(values, "opd", "sft", words, sign=1),
        contrast(values, "opd", "rlvr", words, sign=1),
        *(replace(f, published=p) for f, p in zip(means(values, RECIPES, words), told, strict=True)),
        contrast(values, "opd", "continued_sft", words, sign=1, role="control"),
        *_beside(published, f"{name}{ACTIVATIONS}", "the same of the inputs' directions"),
        _random(published, f"{name}{HAAR}", "the same of random directions"),
        *_walking(published, name, "the same of a random walk with the run's steps"),
    ]
    return Claim(
        "early-alignment",
        "OPD is close to its final channel from the first checkpoints on; SFT and RLVR align gradually.",
        "shen2026, eq. 9",
        "The control: continued SFT from OPD's anchor. A similarity to the end rises by construction.",
        figures,
    )


def locked(masters: xr.Dataset) -> Claim:
    """Whether an early channel holds what is still to come in OPD, and more of it than elsewhere.

    Parameters
    ----------
    masters : xarray.Dataset
        Runs from fp32 checkpoints, with baselines.

    Returns
    -------
    Claim
        With its verdict.
    """
    name, words = "future_capture", "capture of what is still to come, at a fifth"
    values = of_runs(masters, name, at=EARLY, side=SIDE)
    inputs = of_runs(masters, f"{name}{ACTIVATIONS}", at=EARLY)
    beyond = "the same beyond that of the inputs"
    excess = (values - inputs).assign_attrs(units="1").rename("excess")
    figures = [
        contrast(excess, "opd", "sft", beyond, sign=1),
        contrast(excess, "opd", "rlvr", beyond, sign=1),
        *means(values, RECIPES, words),
        *means(inputs, RECIPES, "the same of the inputs' directions"),
        *means(excess, RECIPES, beyond),
        contrast(excess, "opd", "continued_sft", beyond, sign=1, role="control"),
        *_beside(masters, OVERLAP, "similarity of the channel with the inputs' directions"),
        *means(of_runs(masters, name, at=EARLY, side="left"), RECIPES, "capture on the side of outputs"),
        *_censored(masters),
    ]
    return Claim(
        "locking",
        "OPD's early channel holds more of what is to come than SFT's and RLVR's, beyond what the inputs hold.",
        "shen2026, section 4",
        "Locking, asked as a figure that no construction raises. The control: continued SFT, from OPD's anchor.",
        figures,
    )


def _beside(runs: xr.Dataset, name: str, words: str) -> list[Figure]:
    return means(of_runs(runs, name, at=EARLY), RECIPES, words)


def _random(runs: xr.Dataset, name: str, words: str) -> Figure:
    """Known, and the same for all runs."""
    return Figure(words, float(of_runs(runs, name, at=EARLY)[0]))


def _walking(runs: xr.Dataset, name: str, words: str) -> Sequence[Figure]:
    """Mean of the random walks' similarity at the same checkpoint."""
    chosen = only(runs, RECIPES)
    chosen = chosen.assign({name: chosen[name].sel(side=SIDE, drop=True)})
    found = diffusion_null(chosen, statistics=[name], storage="fp32", n=WALKS)
    mean = found.null_mean.reset_coords(drop=True).reindex(run=chosen["run"], step=chosen["step"])
    walks = chosen.assign({name: mean})
    return means(of_runs(walks, name, at=EARLY), RECIPES, words)


def _censored(masters: xr.Dataset) -> list[Figure]:
    """Share of runs whose forward capture is beyond one half from the first checkpoint on."""
    values = masters["forward_capture"].sel(side=SIDE, drop=True).rename("forward_capture")
    rows = lock_brackets(values, reference=at_least(LOCKED)).rows()
    found = []
    for recipe in RECIPES:
        own = [row["outcome"] == "left-censored" for row in rows if row["recipe"] == recipe]
        words = (
            f"share of runs locked (forward capture above {LOCKED:g}) from the first checkpoint on: {recipe}"
        )
        found.append(Figure(words, float(np.mean(own)), n=len(own)))
    return found
