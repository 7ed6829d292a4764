"""One verdict per recipe: whether, and when, its runs lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics.locking.band_entry import check_windows, entry_cells
from geostat.statistics.locking.bands import AtLeast, Band
from geostat.statistics.locking.brackets import brackets_of, check_persistence
from geostat.statistics.locking.censoring import runs_for_median
from geostat.statistics.locking.locked_share import share_cells
from geostat.statistics.locking.locking_onset_result import LockingResult
from geostat.statistics.locking.median_onset import median_cells
from geostat.statistics.locking.recipes import RecipeCurves, doubtful_curves, gathered_curves, joined, runs_of
from geostat.statistics.locking.storage_floor import above_storage_floor, in_bf16
from geostat.statistics.locking.update_size import size_at_onset
from geostat.statistics.locking.verdict import left_again, run_outcomes, verdict_cells
from geostat.statistics.locking.verdict_beside import BESIDE, check_beside, disagreements, modelled
from geostat.statistics.locking.verdict_metric import Sides, both_sides, identifier_of, lock_band, lock_metric
from geostat.statistics.runs.arguments import Weighting, check_level, gather
from geostat.statistics.runs.groups import Group
from geostat.statistics.words.notices import Notice, give

__all__ = ["LockingResult", "locking_onset"]

ASSUMPTIONS = (
    "the verdict speaks of the runs at hand; of the recipe only the share of runs speaks, and the median onset",
    "runs are independent draws of one recipe (only the seed differs)",
    "one side of a capture alone is no evidence: anisotropic inputs or outputs raise it under pure diffusion",
    "on bf16 files adjacent stretches share the rounding error of the checkpoint between them",
    "entry_*: of the mean trajectory; fit_* and existence_p: under a model of curve and noise",
    "cumulative metrics settle under a decaying learning rate whether or not a channel has formed",
)


def locking_onset(
    data: xr.DataArray | xr.Dataset,
    *,
    reference: float | AtLeast | Literal["final"] | None = None,
    margin: float | None = None,
    persistence: float = 0.25,
    diffusion_capture: float | npt.ArrayLike | xr.DataArray | None = None,
    allow_self_reference: bool = False,
    beside: Sequence[str] = BESIDE,
    windows: int = 10,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    training_steps: float | None = None,
    weighting: Weighting | None = None,
) -> LockingResult:
    r"""Verdict on locking, recipe by recipe.

    A run locks when its forward capture stays at or above one half on *both* sides for at least
    ``persistence`` of training: from then on the channel that has formed holds what comes next. The right
    side alone does not suffice, because diffusion with anisotropic inputs captures .79 there and 0 on
    the left; given ``diffusion_capture``, it does where it lies above that.

    The verdict is about the runs at hand: "locked" (with the hull of their brackets), "left-censored" (in
    at the first checkpoint), "no-lock", "not distinguishable from diffusion", or "undetermined" where they
    disagree or are too short. What is said of the *recipe* is the share of its runs that lock, with an
    exact interval: ``recipe_locks`` where that lies above one half, which takes six runs at 95%.

    It is not a test of similarity to the final channel, which a random walk passes too. In a measurement of
    bf16 files captures that rest on a handful of changed entries are left out: they are rounding.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A measurement with ``forward_capture``, or one metric with its declared band.
    reference : float, at_least(x) or "final", optional
        As in `lock_brackets`; by default ``at_least(0.5)`` for forward capture. A capture takes thresholds only.
    margin : float, optional
        Half-width in the metric's units; left out with a threshold.
    persistence : float
        Share of training in (0, 1) for which a run must stay.
    diffusion_capture : float or array over step, optional
        Upper quantile of the right capture under diffusion with the run's own input covariance.
    allow_self_reference : bool
        Whether to accept a metric that is compared with the run's own end, against all advice.
    beside : sequence of {"band_entry", "fit_onset", "onset_exists"}
        Procedures reported beside the verdict.
    windows : int
        As in `band_entry`.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    level : float
        Confidence level in (0, 1).
    training_steps : float, optional
        Declared length of training, as in `lock_brackets`.
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    LockingResult
        One row per recipe: ``verdict``, the hull ``(last_out, first_in]``, ``share`` with interval,
        ``recipe_locks``, the interval of the median onset, and the other procedures' ends in steps.

    Raises
    ------
    SampleError
        If the metric carries no inference (`similarity_to_end`), no band is declared, or an argument
        does not fit the data.

    Warns
    -----
    GeostatWarning
        If procedures contradict the runs' brackets, or a cumulative metric is judged.
    SmallSampleWarning
        If two runs of a recipe hold identical values.
    UndefinedWarning
        If captures below the noise floor of bf16 files were left out.

    References
    ----------
    Defined by geostat; the share's interval is that of Clopper and Pearson (1934).

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> capture = xr.DataArray(
    ...     [[[0.1, 0.7, 0.8, 0.9, 0.9], [0.2, 0.6, 0.9, 0.9, 0.9]]],
    ...     dims=("run", "side", "step"),
    ...     coords={"side": ["left", "right"], "step": [63, 127, 191, 255, 299]},
    ...     attrs={"units": "1"},
    ...     name="forward_capture",
    ... )
    >>> row = locking_onset(capture, dim=None, beside=()).rows()[0]
    >>> row["verdict"], row["onset"], row["recipe_locks"]
    ('locked', '(63, 127]', False)
    """
    check_level(level)
    check_persistence(persistence)
    beside = check_beside(beside)
    check_windows(windows)
    metric, norm = lock_metric(data)
    band, noticed = lock_band(metric, reference, margin, allow_self_reference, dim)
    if isinstance(data, xr.Dataset):
        metric, refused = above_storage_floor(metric, data)
        noticed += refused
    gathered = gather(metric, dim=dim, sample_dim=sample_dim, weighting=weighting)
    found, notices = gathered_curves(gathered, training_steps)
    name, curves = next(iter(found.items()))
    sides = both_sides(curves.curves, identifier_of(metric), band, diffusion_capture)
    question = _Question(curves, sides, band, persistence, windows, level, beside, in_bf16(data))
    cells, from_models = _cells(question)
    cells = cells.assign(update_size=size_at_onset(norm, curves, cells["first_in"], dim, weighting))
    notices += [*noticed, *doubtful_curves(found, band), *from_models, *_disagreeing(name, cells, level)]
    few = int(cells["n_runs"].max()) < runs_for_median(level)
    return LockingResult(
        **gathered.common(),
        cells={name: cells},
        title=f"Locking onset: {name}",
        estimand=_estimand(name, question),
        method="Clopper-Pearson interval of the share of runs, beside the exact brackets of the runs",
        scope="within-run" if few else "population of runs",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(dict.fromkeys(notices)),
        settings={
            "band": band.words,
            "sides": sides.words,
            "margin": margin,
            "persistence": persistence,
            "diffusion_capture": None
            if diffusion_capture is None
            else np.asarray(diffusion_capture).tolist(),
            "allow_self_reference": allow_self_reference,
            "beside": list(beside),
            "windows": windows,
            "update_size": "" if norm is None else str(norm.name),
            "dim": dim,
            "sample_dim": sample_dim,
            "training_steps": training_steps,
            "weighting": curves.sample.weighting,
        },
    )


@dataclass(frozen=True)
class _Question:
    """What is asked of every recipe."""

    found: RecipeCurves
    sides: Sides
    band: Band
    persistence: float
    windows: int
    level: float
    beside: tuple[str, ...]
    rounded: bool

    @property
    def sample_dim(self) -> str:
        """Dimension of runs."""
        return self.found.sample.sample_dim


def _cells(question: _Question) -> tuple[xr.Dataset, list[Notice]]:
    found, sides = question.found, question.sides
    together = brackets_of(sides.together, question.band, question.persistence)
    single = {
        side: brackets_of(curves, question.band, question.persistence)
        for side, curves in sides.single.items()
    }
    values = sides.together.values
    constant = (values.max("step") == values.min("step")).transpose(*together["outcome"].dims)
    runs = run_outcomes(together, single, sides.complete).assign(
        constant=constant,
        left_again=left_again(sides.together, together, question.band, question.persistence),
    )
    # A run of which one side is missing is no run that does not lock: it is undecided.
    decided = together if sides.complete else runs
    parts = [
        _recipe(runs.isel(place), decided.isel(place), group, question)
        for group in found.groups
        for place in [{question.sample_dim: list(group.positions)}]
    ]
    cells = joined(parts, found.groups)
    curves = sides.together.values.rename(found.sample.name).assign_attrs(found.sample.values.attrs)
    beside, notices = modelled(curves, question.beside, question.sample_dim, question.level, cells["share"])
    reason = cells["reason"]
    return cells.drop_vars("reason").assign(beside).assign(reason=reason), notices


def _recipe(runs: xr.Dataset, decided: xr.Dataset, group: Group, question: _Question) -> xr.Dataset:
    """Verdict, share, median onset and entry of the mean of one recipe."""
    sample_dim, level = question.sample_dim, question.level
    share = share_cells(decided, group, sample_dim, level)
    median = median_cells(decided, sample_dim, level)
    verdict = verdict_cells(runs, share, sample_dim, level, question.rounded)
    entry = _entry(group, question, share["estimate"])
    return verdict.drop_vars("reason").assign(
        share=share["estimate"],
        share_low=share["low"],
        share_high=share["high"],
        n_runs=share["n_runs"],
        n_matrices=share["n_matrices"],
        median_low=median["low"],
        median_high=median["high"],
        entry_low=entry["low"],
        entry_high=entry["high"],
        reason=verdict["reason"],
    )


def _entry(group: Group, question: _Question, like: xr.DataArray) -> xr.Dataset:
    if "band_entry" not in question.beside:
        return xr.Dataset({"low": like * np.nan, "high": like * np.nan})
    own = runs_of(question.sides.together, group, question.sample_dim)
    return entry_cells(
        own, question.band, question.persistence, question.windows, question.level, question.sample_dim
    )


def _estimand(name: str, question: _Question) -> str:
    where = f" {question.sides.words}" if question.sides.words else ""
    return (
        f"For each run at hand the first step from which {name} stays {question.band.words}{where} for at least "
        f"{question.persistence:.0%} of training, a run giving {question.found.sample.average}; and the share of "
        "the recipe's runs that have such a step."
    )


def _disagreeing(name: str, cells: xr.Dataset, level: float) -> list[Notice]:
    if cells.sizes:
        frame = cells.to_dataframe().reset_index()
        rows = [
            dict(zip(map(str, frame.columns), line, strict=True)) for line in frame.itertuples(index=False)
        ]
    else:
        rows = [{str(key): array.item() for key, array in cells.items()}]
    found = []
    for row in rows:
        whose = f"{name} of recipe {str(row['recipe'])!r}" if "recipe" in row else name
        found += [Notice(GeostatWarning, f"{whose}: {text}.") for text in disagreements(row, level).values()]
    return found
