"""Dose-response of all cells of a metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.doses.dose_arguments import Doses, doses_of, margin_on, scale_of
from geostat.statistics.doses.dose_contrasts import DoseContrasts, Variance, dose_contrasts
from geostat.statistics.doses.dose_threshold import Threshold, find_threshold
from geostat.statistics.doses.dose_trend import trend_p_value
from geostat.statistics.doses.isotonic import monotone_fit
from geostat.statistics.means.scales import Scale
from geostat.statistics.runs.aggregation import RunValues, aggregate
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.runs.confounding import confounding, mixed
from geostat.statistics.runs.groups import Group, with_progress
from geostat.statistics.runs.repeats import Repeats, repeated_runs
from geostat.statistics.words.notices import Notice, matrices_left_out
from geostat.statistics.words.reasons import INFINITE, NO_VALUE, text_array

__all__ = ["dose_cells"]

Array = npt.NDArray[np.float64]


def dose_cells(
    sample: Sample,
    asked: Doses,
    margin: float,
    scale_name: str,
    notices: list[Notice],
    repeats: dict[str, list[Repeats]],
) -> tuple[xr.Dataset, Scale]:
    """Means, contrasts, fit, trend and threshold of one metric.

    Parameters
    ----------
    sample : Sample
        One metric.
    asked : Doses
        What is asked.
    margin : float
        Declared; a ratio on the log and logit scales.
    scale_name : str
        Asked for.
    notices : list of Notice
        Gets what was noticed.
    repeats : dict
        Gets, per dose, which runs agree.

    Returns
    -------
    tuple of Dataset and Scale
        Quantities of `DoseResponseResult` and the scale.
    """
    doses, places = doses_of(sample, asked)
    run = aggregate(sample)
    scale = scale_of(scale_name, run, sample.name)
    groups = [Group(f"{asked.name} = {d:g}", _members(places, i)) for i, d in enumerate(doses)]
    reference = int(np.flatnonzero(doses == asked.reference)[0])
    notices.extend(_noticed(sample, groups, reference, run))
    for group in groups:
        own = run.values.isel({sample.sample_dim: list(group.positions)})
        repeats.setdefault(f"{group.recipe}: ", []).append(repeated_runs(own, sample.sample_dim))
    ordered = scale.forward(run.values.transpose(..., sample.sample_dim))
    table = ordered.values.reshape(-1, ordered.shape[-1])
    found = dose_contrasts(table, places, reference, asked.variance)
    threshold = find_threshold(found, doses, reference, margin_on(scale, margin), asked.level)
    per_dose, fitted = _per_dose(found, asked, scale, margin_on(scale, margin))
    per_cell = fitted | _trend(table, doses[places], asked) | _ends(threshold)
    like = run.values.isel({sample.sample_dim: 0}, drop=True)
    cells = _labelled(per_dose, per_cell, like, asked.name, doses)
    cells = cells.assign(n_matrices=_plain(run.n_matrices, like), n_undefined=_plain(run.n_undefined, like))
    whole = cells["estimate"]
    texts = {
        "verdict": _verdicts(found, threshold, reference),
        "reason": _reasons(found, reference, groups, asked.variance),
    }
    cells = cells.assign({name: text_array(whole, _shaped(told, whole)) for name, told in texts.items()})
    return with_progress(cells, sample, [Group(None, tuple(range(len(places))))]), scale


def _per_dose(
    found: DoseContrasts, asked: Doses, scale: Scale, margin: float
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]:
    fit, rising = monotone_fit(found.mean, found.n.astype(np.float64), asked.direction)
    low, high = found.ends(asked.level)
    quantities = {
        "estimate": scale.inverse(found.mean),
        "difference": scale.contrast_inverse(found.difference),
        "low": scale.contrast_inverse(low),
        "high": scale.contrast_inverse(high),
        "fit": scale.inverse(fit),
        "p_equivalent": found.p_equivalent(margin),
        "p_different": found.p_different(margin),
        "df": found.df,
        "n_runs": found.n,
    }
    return quantities, {"fit_increases": rising}


def _ends(threshold: Threshold) -> dict[str, npt.NDArray[Any]]:
    return {
        "last_equivalent": threshold.last_equivalent,
        "first_not_shown": threshold.first_not_shown,
        "threshold_low": threshold.low,
        "threshold_high": threshold.high,
    }


def _members(places: npt.NDArray[np.intp], place: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(places == place).tolist())


def _noticed(sample: Sample, groups: Sequence[Group], reference: int, run: RunValues) -> list[Notice]:
    found = mixed(sample, groups)
    for place, group in enumerate(groups):
        found += confounding(sample, [groups[reference], group]) if place != reference else []
    if run.undefined:
        why = "in some run and are left out of all runs there"
        found.append(matrices_left_out(sample.name, run.undefined, sample.n_matrices, why))
    return found


def _trend(table: Array, doses: Array, asked: Doses) -> dict[str, npt.NDArray[Any]]:
    """Trend per cell, over the runs that have a value there; NaN below two doses."""
    p, pairs = np.full(len(table), np.nan), np.full(len(table), np.nan)
    known = ~np.isnan(table)
    for pattern in np.unique(known, axis=0):
        if len(np.unique(doses[pattern])) > 1:
            alike = (known == pattern).all(axis=1)
            rng = np.random.default_rng(asked.seed)
            p[alike], pairs[alike] = trend_p_value(
                table[alike][:, pattern], doses[pattern], asked.direction, asked.n_resamples, rng
            )
    return {"trend": pairs, "p_trend": p}


def _labelled(
    per_dose: dict[str, npt.NDArray[Any]],
    per_cell: dict[str, npt.NDArray[Any]],
    like: xr.DataArray,
    name: str,
    doses: Array,
) -> xr.Dataset:
    dims, shape = [str(dim) for dim in like.dims], like.shape
    arrays = {key: ([*dims, name], array.reshape(*shape, len(doses))) for key, array in per_dose.items()}
    single = {key: (dims, array.reshape(shape)) for key, array in per_cell.items()}
    coords = {str(c): like[c].variable for c in like.coords if c not in ("recipe", "seed", "run", name)}
    return xr.Dataset(arrays | single, coords | {name: doses})


def _plain(array: xr.DataArray, like: xr.DataArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    ordered = array.broadcast_like(like).transpose(*like.dims)
    return [str(dim) for dim in like.dims], ordered.values


def _shaped(
    told: Sequence[tuple[npt.NDArray[np.bool_], str]], like: xr.DataArray
) -> list[tuple[xr.DataArray, str]]:
    return [
        (like.copy(data=np.broadcast_to(flags, told[0][0].shape).reshape(like.shape)), text)
        for flags, text in told
    ]


def _verdicts(
    found: DoseContrasts, threshold: Threshold, reference: int
) -> list[tuple[npt.NDArray[np.bool_], str]]:
    own = np.zeros(found.n.shape, dtype=np.bool_)
    own[:, reference] = True
    return [
        (own, "reference"),
        (found.n == 0, "no value"),
        (threshold.equivalent, "equivalent"),
        (threshold.different, "different"),
        (np.isnan(found.error), "no test"),
        (np.ones_like(own), "not shown"),
    ]


def _reasons(
    found: DoseContrasts, reference: int, groups: Sequence[Group], variance: Variance
) -> list[tuple[npt.NDArray[np.bool_], str]]:
    untested = np.isnan(found.error)
    own = np.zeros_like(untested)
    own[:, reference] = True
    base = found.n[:, [reference]]
    name = groups[reference].recipe
    remedy = "the standard error cannot be estimated"
    single = f"one run at a dose: {remedy}; add runs with other seeds, or declare variance='pooled'"
    equal = f"runs with identical values: {remedy}"
    separate = variance == "separate"
    pooled = np.broadcast_to(
        found.n.sum(axis=1, keepdims=True) == (found.n > 0).sum(axis=1, keepdims=True), own.shape
    )
    infinite = np.isinf(found.mean)
    of_all = np.broadcast_to(infinite.any(axis=1, keepdims=True) & (not separate), own.shape)
    return [
        (found.n == 0, NO_VALUE),
        (own, "the reference dose, which the others are set against"),
        (np.broadcast_to(base == 0, own.shape), f"no run at {name} has a value here"),
        (np.broadcast_to(~np.isfinite(found.difference), own.shape), INFINITE),
        (untested & of_all, INFINITE),
        (untested & separate & ((found.n == 1) | (base == 1)), single),
        (untested & pooled, f"one run at every dose: {remedy}; add runs with other seeds"),
        (untested, equal),
    ]
