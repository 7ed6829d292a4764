"""Structure or rounding? Figures of real training as stored, under the null, through rounding, and as they were."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from geostat.checkpoints import open_checkpoint
from geostat.diagnostics import stable_rank, update_norm, update_sparsity
from geostat.errors import SampleError
from geostat.lab import Branch
from geostat.lab.branches import read_branch
from geostat.linalg import Factored, factored, subspace_similarity
from geostat.linalg.factored import Side
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.law import ANY_LAW
from geostat.nulls.gates.request import GateStatistic
from geostat.nulls.latents.result import LatentUpdate
from geostat.nulls.latents.update import latent_update

__all__ = ["StructureRow", "structure_or_rounding", "write_structure"]

ALPHA = 0.3
CHANNEL = 16
_OVERLAPS: tuple[GateStatistic, ...] = ("low_magnitude_mask_overlap", "principal_mask_overlap")
_LATENT = {"stable_rank": stable_rank, "update_norm": update_norm}
_SIDES: tuple[Side, ...] = ("left", "right")
_Figure = dict[str, Any]


@dataclass(frozen=True)
class StructureRow:
    """One figure of one matrix at the end of one run.

    Attributes
    ----------
    recipe, seed, step, matrix : str or int
        Where.
    figure : str
        Identifier.
    observed : float
        Of the bf16 files.
    null, p_value : float or None
        What an update that ignores W_0 gives at this density, and how likely it is to come as far out.
    latent, low, high : float or None
        Estimate from the bf16 files of what it was before rounding, with its 95% interval.
    true : float or None
        Of the fp32 masters.
    true_excess : float or None
        Excess of the masters over the permutation null, for which nothing was rounded.
    """

    recipe: str
    seed: int
    step: int
    matrix: str
    figure: str
    observed: float
    null: float | None = None
    p_value: float | None = None
    latent: float | None = None
    low: float | None = None
    high: float | None = None
    true: float | None = None
    true_excess: float | None = None


@dataclass(frozen=True)
class _Weights:
    """One matrix: its start, its end as stored and as trained."""

    initial: Factored
    stored: Factored
    trained: Factored


def structure_or_rounding(
    study: str | os.PathLike[str],
    *,
    recipes: tuple[str, ...] = ("sft", "opd", "rlvr"),
    seeds: int | None = None,
) -> Iterator[StructureRow]:
    """Compare what bf16 files say of real runs with the fp32 masters that they were rounded from.

    Parameters
    ----------
    study : path
        Written by `geostat.lab.train_runs` with ``dtypes=("bf16", "fp32")``.
    recipes : tuple of str
        Which runs.
    seeds : int, optional
        How many of each; all by default.

    Yields
    ------
    StructureRow
        Matrix by matrix, at the last checkpoint of each run.

    Raises
    ------
    SampleError
        If the study holds no such run in both storages.
    """
    found = [branch for branch in _branches(Path(study)) if branch.recipe in recipes]
    chosen = [branch for branch in found if seeds is None or branch.seed < seeds]
    if not chosen:
        raise SampleError(
            f"{study} holds no run of {', '.join(recipes)} in both bf16 and fp32. Train it with "
            'geostat.lab.train_runs(..., dtypes=("bf16", "fp32")).'
        )
    for branch in chosen:
        yield from _of_branch(branch)


def _branches(study: Path) -> list[Branch]:
    read = [read_branch(each) for each in sorted(study.iterdir()) if each.is_dir()]
    return [each for each in read if each is not None and {"bf16", "fp32"} <= set(each.dtypes)]


def _of_branch(branch: Branch) -> Iterator[StructureRow]:
    step = branch.saved_steps[-1]
    start, stored, trained = (
        open_checkpoint(path)
        for path in (branch.base(), branch.checkpoints()[-1], branch.checkpoints("fp32")[-1])
    )
    for name in start:
        if name.startswith("blocks.") and len(start.shape(name)) == 2:
            weights = _Weights(factored(start[name]), factored(stored[name]), factored(trained[name]))
            for row in (*_sparsity(weights), *_overlaps(weights), *_latent(weights)):
                yield StructureRow(branch.recipe, branch.seed, step, name, **row)


def _sparsity(weights: _Weights) -> Iterator[_Figure]:
    null = gate_null(weights.initial, weights.stored, statistic="update_sparsity", method="law")
    yield {
        "figure": "update_sparsity",
        "observed": update_sparsity(weights.initial, weights.stored),
        "null": float(null.null_mean.sel(law=ANY_LAW)),
        "true": update_sparsity(weights.initial, weights.trained, space="raw"),
    }


def _overlaps(weights: _Weights) -> Iterator[_Figure]:
    for name in _OVERLAPS:
        null = gate_null(weights.initial, weights.stored, statistic=name, alpha=ALPHA)
        masters = gate_null(
            weights.initial, weights.trained, statistic=name, alpha=ALPHA, method="permutation", n=99
        )
        yield {
            "figure": name,
            "observed": float(null.observed),
            "null": float(null.null_mean),
            "p_value": float(null.p_value),
            "true_excess": float(masters.excess),
        }


def _latent(weights: _Weights) -> Iterator[_Figure]:
    found = latent_update(weights.initial, weights.stored, K=CHANNEL)
    stored, trained = (each.minus(weights.initial) for each in (weights.stored, weights.trained))
    for name, measured in _LATENT.items():
        told = found[name].to_xarray()
        ends = {"latent": told.estimate, "low": told.low, "high": told.high}
        yield {
            "figure": name,
            "observed": float(measured(stored)),
            "true": float(measured(trained)),
            **{key: float(each) for key, each in ends.items()},
        }
    yield from _channels(found, stored, trained)


def _channels(found: LatentUpdate, stored: Factored, trained: Factored) -> Iterator[_Figure]:
    """How much of the true channel the stored one holds, and the one seen through rounding."""
    for side, channel in zip(_SIDES, (found.left, found.right), strict=True):
        truth = trained.vectors(CHANNEL, side)
        yield {
            "figure": f"similarity_to_true_channel_{side}",
            "observed": subspace_similarity(stored.vectors(CHANNEL, side), truth),
            "latent": None if channel is None else subspace_similarity(channel, truth),
            "true": 1.0,
        }


def write_structure(
    studies: Mapping[str, str | os.PathLike[str]], path: str | os.PathLike[str], *, seeds: int | None = None
) -> None:
    """Write the rows of several studies to one CSV file, as they come.

    Parameters
    ----------
    studies : mapping of str to path
        Name of a study -> its folder.
    path : path
        The file; replaced.
    seeds : int, optional
        How many runs of each recipe; all by default.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["study", *(each.name for each in fields(StructureRow))])
        writer.writeheader()
        for study, folder in studies.items():
            for row in structure_or_rounding(folder, seeds=seeds):
                writer.writerow({"study": study} | asdict(row))
                file.flush()
