"""Runs that repeat each other: a seed used twice makes every interval too narrow."""

from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr

from geostat.errors import SmallSampleWarning
from geostat.statistics.notices import Notice

__all__ = ["Repeats", "repeated_runs", "repeats_notices"]

Repeats = frozenset[tuple[str, ...]]
"""Sets of runs, by label, that hold the same values in all cells."""


def repeated_runs(values: xr.DataArray, sample_dim: str) -> Repeats:
    """Find runs that agree exactly in every cell.

    A metric may be equal in a cell for good reasons (a rank that is full, a similarity of 1 at the end);
    equal values everywhere are those of one run counted twice.

    Parameters
    ----------
    values : xarray.DataArray
        One value per run and cell.
    sample_dim : str
        Dimension of runs.

    Returns
    -------
    frozenset of tuple
        Labels of runs that agree; empty when all differ.
    """
    table = values.transpose(sample_dim, ...).values.reshape(values.sizes[sample_dim], -1)
    known = values.coords.get(sample_dim)
    labels = [str(label) for label in (known.values if known is not None else np.arange(len(table)))]
    found: dict[bytes, list[str]] = {}
    for label, row in zip(labels, table, strict=True):
        if np.isfinite(row).any():
            found.setdefault((row + 0.0).tobytes(), []).append(label)
    return frozenset(tuple(same) for same in found.values() if len(same) > 1)


def repeats_notices(found: Mapping[str, Iterable[Repeats]]) -> list[Notice]:
    """Notices about runs that agree in every metric of a call.

    Parameters
    ----------
    found : mapping of str to iterable of Repeats
        Per recipe (or pair of recipes) what `repeated_runs` gave for each metric.

    Returns
    -------
    list of Notice
        One for each set of runs.
    """
    notices = []
    for whose, metrics in found.items():
        for same in sorted(frozenset.intersection(*metrics)):
            text = (
                f"{whose}runs {', '.join(same)} look like identical seeds: all their values are equal. "
                "A run counted twice makes intervals too narrow, or leaves none: take the copies out."
            )
            notices.append(Notice(SmallSampleWarning, text))
    return notices
