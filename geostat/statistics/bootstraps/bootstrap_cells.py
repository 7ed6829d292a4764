"""Bootstrap intervals of all cells of a metric: per recipe, and per set of runs that have a value."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import GeostatWarning, SampleError, SmallSampleWarning
from geostat.statistics.bootstraps.bootstrap_intervals import Method, bootstrap_interval
from geostat.statistics.bootstraps.bootstrap_scope import (
    SMALLEST,
    infinite_end,
    too_few,
    undefined_statistic,
    undercoverage,
)
from geostat.statistics.bootstraps.resampling import Array, Estimator
from geostat.statistics.runs.aggregation import RunValues, aggregate, cell_array
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.runs.confounding import mixed
from geostat.statistics.runs.groups import (
    Group,
    group_by_recipe,
    joined_recipes,
    left_out_of,
    with_progress,
)
from geostat.statistics.runs.moments import moments
from geostat.statistics.runs.repeats import Repeats, repeated_runs
from geostat.statistics.words.notices import Notice
from geostat.statistics.words.reasons import Reasons, mean_reasons, text_array

__all__ = ["Asked", "bootstrap_cells", "undercovers"]

QUANTITIES = ("estimate", "low", "high", "standard_error", "degenerate")


@dataclass(frozen=True)
class Asked:
    """What the caller wants of every cell.

    Attributes
    ----------
    estimator : Estimator
        What is estimated.
    method : str
        Which interval.
    level : float
        Confidence level.
    n_resamples : int
        Resamples.
    allow_undercoverage : bool
        Whether intervals from fewer units than the method is offered for are given.
    seed : int
        Of the resamples; the same for every cell, so that no cell depends on the others.
    """

    estimator: Estimator
    method: Method
    level: float
    n_resamples: int
    allow_undercoverage: bool
    seed: int


def bootstrap_cells(
    sample: Sample,
    asked: Asked,
    cluster: str | None,
    notices: list[Notice],
    repeats: dict[str, list[Repeats]],
) -> xr.Dataset:
    """Statistic and interval of every recipe and cell of a metric.

    Parameters
    ----------
    sample : Sample
        One metric.
    asked : Asked
        What is wanted.
    cluster : str or None
        Coordinate along the runs whose values are resampled instead of runs.
    notices : list of Notice
        Gets what was noticed.
    repeats : dict
        Gets, per recipe, which runs agree.

    Returns
    -------
    xarray.Dataset
        Quantities of `BootstrapResult` over recipe and what is left.
    """
    groups = group_by_recipe(sample)
    notices.extend(mixed(sample, groups))
    parts = []
    for group in groups:
        run = aggregate(sample, group.positions)
        whose = f"recipe {group.recipe!r}: " if group.recipe else ""
        repeats.setdefault(whose, []).append(repeated_runs(run.values, sample.sample_dim))
        units, plural, told = _units(sample, group, run, cluster)
        notices.extend([*left_out_of(sample, group, run), *told])
        part = _of_group(units, run, sample.sample_dim, plural, asked)
        notices.extend(_undercovering(part, asked, plural, f"{whose}{sample.name}"))
        parts.append(part)
    return with_progress(joined_recipes(parts, groups), sample, groups)


def _units(
    sample: Sample, group: Group, run: RunValues, cluster: str | None
) -> tuple[xr.DataArray, str, list[Notice]]:
    """Values of what is resampled: runs, or averages over the runs of a cluster."""
    plural = f"{sample.sample_dim}s"
    if cluster is None:
        return run.values, plural, []
    labels = sample.values.coords.get(cluster)
    if labels is None or labels.dims != (sample.sample_dim,):
        raise SampleError(
            f"cluster={cluster!r} is no coordinate along {sample.sample_dim!r}. Attach it with "
            f"data.assign_coords({cluster}=({sample.sample_dim!r}, [...])), or leave cluster out."
        )
    members: dict[str, list[int]] = {}
    for place, position in enumerate(group.positions):
        members.setdefault(str(labels.values[position]), []).append(place)
    if len(members) == 1:
        return run.values, plural, [_one_cluster(group, cluster, next(iter(members)), plural)]
    averages = [
        run.values.isel({sample.sample_dim: places}).mean(sample.sample_dim) for places in members.values()
    ]
    joined = xr.concat(averages, dim=sample.sample_dim, coords="minimal", compat="override", join="exact")
    return joined, "clusters", []


def _one_cluster(group: Group, cluster: str, label: str, plural: str) -> Notice:
    whose = f"recipe {group.recipe!r}: " if group.recipe else ""
    return Notice(
        GeostatWarning,
        f"{whose}all {plural} have {cluster} {label!r}, so the {plural} are resampled and the answer speaks "
        f"of that {cluster} alone.",
    )


def _of_group(units: xr.DataArray, run: RunValues, sample_dim: str, plural: str, asked: Asked) -> xr.Dataset:
    found = moments(units, sample_dim)
    smallest = 2 if asked.allow_undercoverage else SMALLEST[asked.method]
    offered = found.has_interval & (found.n >= smallest)
    numbers = _intervals(units.transpose(..., sample_dim), offered.values, asked)
    arrays = {name: found.mean.copy(data=numbers[name]) for name in QUANTITIES}
    counts = {
        "n_runs": run.values.notnull().sum(sample_dim),
        "n_units": found.n,
        "n_matrices": run.n_matrices,
        "n_undefined": run.n_undefined,
    }
    whole = {name: cell_array(array, found.mean) for name, array in (arrays | counts).items()}
    reasons = mean_reasons(found, whole["n_undefined"], units.sizes[sample_dim])
    reasons += _refusals(found.n, plural, asked) + _failures(whole, plural)
    unit = text_array(found.mean, [(found.mean.copy(data=np.ones(found.mean.shape, dtype=bool)), plural)])
    return xr.Dataset(whole | {"unit": unit, "reason": text_array(found.mean, reasons)})


def _intervals(units: xr.DataArray, offered: npt.NDArray[np.bool_], asked: Asked) -> dict[str, Array]:
    """Estimates of all cells and intervals of the offered ones, by which units have a value."""
    table = units.values.reshape(-1, units.shape[-1])
    known, wanted = ~np.isnan(table), offered.ravel()
    found = {name: np.full(len(table), np.nan) for name in QUANTITIES}
    for pattern in np.unique(known, axis=0):
        if not pattern.any():
            continue
        alike = (known == pattern).all(axis=1)
        found["estimate"][alike] = _estimates(table[alike][:, pattern], asked)
        chosen = alike & wanted
        if chosen.any():
            _fill(found, chosen, table[chosen][:, pattern], asked)
    return {name: values.reshape(units.shape[:-1]) for name, values in found.items()}


def _estimates(values: Array, asked: Asked) -> Array:
    with np.errstate(invalid="ignore"):
        return asked.estimator.statistic(values, -1)


def _fill(found: dict[str, Array], where: npt.NDArray[np.bool_], values: Array, asked: Asked) -> None:
    interval = bootstrap_interval(
        values,
        asked.estimator,
        asked.method,
        level=asked.level,
        n_resamples=asked.n_resamples,
        rng=np.random.default_rng(asked.seed),
    )
    found["low"][where], found["high"][where] = interval.low, interval.high
    found["standard_error"][where], found["degenerate"][where] = interval.error, interval.degenerate


def _refusals(n: xr.DataArray, plural: str, asked: Asked) -> Reasons:
    if asked.allow_undercoverage:
        return []
    counts = [int(count) for count in np.unique(n.values) if 2 <= count < SMALLEST[asked.method]]
    return [(n == count, too_few(asked.method, count, plural)) for count in counts]


def _failures(whole: dict[str, xr.DataArray], plural: str) -> Reasons:
    """Reasons of cells whose method gave no bounded interval."""
    unbounded = whole["low"].copy(data=np.isinf(whole["low"].values) | np.isinf(whole["high"].values))
    undefined = whole["low"].isnull() & whole["degenerate"].notnull()
    reasons: Reasons = []
    for n in np.unique(whole["n_units"].values):
        for share in np.unique(whole["degenerate"].values[(undefined | unbounded).values]):
            same = (whole["degenerate"] == share) & (whole["n_units"] == n)
            reasons.append((same & undefined, undefined_statistic(share)))
            reasons.append((same & unbounded, infinite_end(share, int(n), plural)))
    return reasons


def undercovers(cells: xr.Dataset, asked: Asked) -> bool:
    """Whether a cell has an interval from fewer units than its method is offered for.

    Parameters
    ----------
    cells : xarray.Dataset
        With ``low`` and ``n_units``.
    asked : Asked
        What was wanted.

    Returns
    -------
    bool
        False where every interval is from enough units.
    """
    return bool((cells["low"].notnull() & (cells["n_units"] < SMALLEST[asked.method])).any())


def _undercovering(cells: xr.Dataset, asked: Asked, plural: str, whose: str) -> list[Notice]:
    if not undercovers(cells, asked):
        return []
    n = int(cells["n_units"].where(cells["low"].notnull()).min())
    return [Notice(SmallSampleWarning, undercoverage(asked.method, n, plural, whose))]
