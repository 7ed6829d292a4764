"""From combined runs to a table and a paragraph that claims no more than the intervals do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from geostat.demo.verdicts import verdicts
from geostat.lab import Branch, Scale
from geostat.report import summary_table
from geostat.results import Result, Table
from geostat.statistics import MeanResult, at_least, lock_brackets, mean_ci

__all__ = ["Summary", "accuracies", "summarise"]

WEAK = 0.15
"""Expected accuracy of a base that has found the rules of pretraining is above this, .2 as a rule."""
CAPTURE = 0.5
"""Forward capture from which a channel counts as holding what comes next."""


@dataclass(frozen=True)
class Summary:
    """What is printed.

    Attributes
    ----------
    table : Table
        A column per recipe.
    caption : str
        What the table shows, for a paper.
    paragraph : str
        What the runs show and do not.
    results : tuple of Result
        The results behind every number.
    """

    table: Table
    caption: str
    paragraph: str
    results: tuple[Result, ...]


def accuracies(branches: Sequence[Branch]) -> xr.Dataset:
    """Exact accuracies of the branches, labelled like the measured runs.

    Parameters
    ----------
    branches : sequence of Branch
        Finished branches.

    Returns
    -------
    xarray.Dataset
        `accuracy` and `greedy_accuracy` at the end, and the gain of each over the start, dim run.
    """

    def array(values: list[float], name: str) -> tuple[str, list[float], dict[str, str]]:
        return ("run", values, {"units": "1", "long_name": name})

    return xr.Dataset(
        {
            "accuracy": array([b.end.expected for b in branches], "Expected accuracy at temperature 1"),
            "accuracy_gain": array([b.gain for b in branches], "Gain in expected accuracy"),
            "greedy_accuracy": array([b.end.greedy for b in branches], "Greedy accuracy"),
            "greedy_gain": array(
                [b.end.greedy - b.start.greedy for b in branches], "Gain in greedy accuracy"
            ),
        },
        coords={
            "run": [f"{b.recipe}-{b.seed}" for b in branches],
            "recipe": ("run", [b.recipe for b in branches]),
            "seed": ("run", [b.seed for b in branches]),
        },
    )


def summarise(runs: xr.Dataset, branches: Sequence[Branch], scale: Scale) -> Summary:
    """Sum up combined runs.

    Parameters
    ----------
    runs : xarray.Dataset
        From `combine`.
    branches : sequence of Branch
        The training behind them.
    scale : Scale
        Its settings, for the paragraph.

    Returns
    -------
    Summary
        Table, paragraph, results.
    """
    ends = _at_end(runs)
    rotation = ends["mean_principal_angle"].sel(side="right")
    means = (
        mean_ci(accuracies(branches), dim=None),
        mean_ci(ends["update_sparsity"], scale="logit"),
        mean_ci(rotation, scale="log"),
        mean_ci(ends["normalized_spectral_shift"], scale="log"),
        mean_ci(ends["stable_rank"], scale="log"),
    )
    locks = lock_brackets(runs["forward_capture"], reference=at_least(CAPTURE))
    table = summary_table(*means, locks, rows="metric")
    told, behind = verdicts(runs, ends)
    paragraph = " ".join(_sentences(means[0], told, branches, scale))
    return Summary(table, _caption(runs), paragraph, (*means, locks, *behind))


def _at_end(runs: xr.Dataset) -> xr.Dataset:
    """Each run at its own last checkpoint; recipes may differ in length."""
    measured = runs["update_sparsity"].notnull().any("matrix")
    last = measured.cumsum("step").argmax("step")
    picked = runs.isel(step=last.drop_vars(["recipe", "seed"], errors="ignore"))
    return picked.drop_vars(["step", "progress"])


def _caption(runs: xr.Dataset) -> str:
    matrices, storage = runs.sizes["matrix"], runs.attrs["storage"]
    return (
        f"Geometry of small training runs at their last checkpoint ({matrices} matrices, {storage} files, "
        f"protocol {runs.attrs['protocol']}); angles and similarities of the right singular subspaces."
    )


def _sentences(
    accuracy: MeanResult,
    told: Sequence[str],
    branches: Sequence[Branch],
    scale: Scale,
) -> list[str]:
    seeds = len({branch.seed for branch in branches})
    return [
        f"What this shows: {seeds} {'seeds' if seeds > 1 else 'seed'} of each recipe on one pretrained base, "
        f"a transformer of 0.4 million parameters on three-digit sums, at the laboratory's '{scale.name}' settings.",
        *_weak_base(branches),
        _gains(accuracy["accuracy_gain"].rows(), "Expected accuracy at temperature 1"),
        _gains(accuracy["greedy_gain"].rows(), "Greedy accuracy"),
        *told,
        "What it does not show: that anything here carries over to language models; that the objective is "
        "the cause, because SFT starts from another weight and at a higher rate than OPD and RLVR do; that "
        "unchanged entries, ranks and captures are structure, because the files are bf16 and rounding alone "
        "makes entries stay, raises ranks and is shared by neighbouring increments.",
        "With one seed no interval over seeds exists."
        if seeds == 1
        else f"Intervals are over {seeds} seeds that share a base: they say nothing of another base.",
    ]


def _weak_base(branches: Sequence[Branch]) -> list[str]:
    """Pretraining finds its rules in one late jump; a base that has not made it is said to be weak."""
    start = min(branch.start.expected for branch in branches if branch.recipe == "sft")
    if start >= WEAK:
        return []
    return [
        f"Pretraining did not find the base's rules this time (accuracy {start:.3f}): read all below with care."
    ]


def _gains(rows: Sequence[Mapping[str, Any]], what: str) -> str:
    """The change under each recipe, and under which it is not told apart from none."""
    changes = ", ".join(f"{_change(row)} under {row['recipe']}" for row in rows)
    unclear = [str(row["recipe"]) for row in rows if row["low"] <= 0 <= row["high"]]
    if not unclear:
        return f"{what} changed by {changes}."
    return f"{what} changed by {changes}; no change is claimed for {' or '.join(unclear)}."


def _change(row: Mapping[str, Any]) -> str:
    interval = "" if math.isnan(row["low"]) else f" [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{row['estimate']:+.3f}{interval}"
