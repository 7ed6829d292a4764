"""Runs that repeat each other: a seed used twice makes every interval too narrow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SmallSampleWarning
from geostat.statistics.words.notices import Notice

__all__ = ["Repeats", "repeated_runs", "repeats_notices"]

FEW = 3
"""Cells in which two runs must agree when one of them lacks some that the other has."""


@dataclass(frozen=True, eq=False)
class Repeats:
    """How far runs agree in one metric, pair by pair.

    Attributes
    ----------
    labels : tuple of str
        Runs.
    differ : ndarray of bool
        Whether a cell where both runs have a value holds two values.
    shared : ndarray of int
        Cells where both have a finite value.
    complete : ndarray of bool
        Whether both have values in the same cells.
    """

    labels: tuple[str, ...]
    differ: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.int64]
    complete: npt.NDArray[np.bool_]


def repeated_runs(values: xr.DataArray, sample_dim: str) -> Repeats:
    """Compare runs cell by cell, wherever two of them have a value.

    A metric may be equal in a cell for good reasons (a rank that is full, a similarity of 1 at the end);
    equal values everywhere are those of one run counted twice. A copy may lack a checkpoint.

    Parameters
    ----------
    values : xarray.DataArray
        One value per run and cell; NaN where a run has none.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    Repeats
        For `repeats_notices`, which looks at all metrics of a call.
    """
    table = values.transpose(sample_dim, ...).values.reshape(values.sizes[sample_dim], -1)
    known, finite = ~np.isnan(table), np.isfinite(table)
    coord = values.coords.get(sample_dim)
    labels = tuple(str(label) for label in (coord.values if coord is not None else np.arange(len(table))))
    return Repeats(
        labels,
        np.array([((row != table) & known[i] & known).any(axis=1) for i, row in enumerate(table)]),
        np.array([(row & finite).sum(axis=1) for row in finite], dtype=np.int64),
        np.array([(row == known).all(axis=1) for row in known]),
    )


def repeats_notices(found: Mapping[str, Iterable[Repeats]]) -> list[Notice]:
    """Notices about runs that agree in every metric of a call.

    Parameters
    ----------
    found : mapping of str to iterable of Repeats
        Per recipe what `repeated_runs` gave for each metric.

    Returns
    -------
    list of Notice
        One for each set of runs.
    """
    return [notice for whose, metrics in found.items() for notice in _of_recipe(whose, list(metrics))]


def _of_recipe(whose: str, metrics: list[Repeats]) -> list[Notice]:
    several = [metric for metric in metrics if len(metric.labels) > 1]
    if not several:
        return []
    shared = np.sum([metric.shared for metric in several], axis=0)
    complete = np.all([metric.complete for metric in several], axis=0)
    differ = np.any([metric.differ for metric in several], axis=0)
    same = ~differ & (shared > 0) & (complete | (shared >= FEW))
    sets = sorted({tuple(np.flatnonzero(row).tolist()) for row in same if row.sum() > 1})
    return [
        _notice(whose, [several[0].labels[i] for i in runs], _extent(runs, shared, complete)) for runs in sets
    ]


def _extent(runs: tuple[int, ...], shared: npt.NDArray[np.int64], complete: npt.NDArray[np.bool_]) -> str:
    pairs = np.ix_(runs, runs)
    if complete[pairs].all():
        return "all their values are equal"
    return f"their values are equal wherever two of them have one ({shared[pairs].min()} cells or more)"


def _notice(whose: str, runs: list[str], extent: str) -> Notice:
    return Notice(
        SmallSampleWarning,
        f"{whose}runs {', '.join(runs)} look like identical seeds: {extent}. "
        "A run counted twice makes intervals too narrow, or leaves none: take the copies out.",
    )
