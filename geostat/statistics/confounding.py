"""What else differs between two recipes that are compared."""

from collections.abc import Sequence

import numpy as np

from geostat.errors import GeostatWarning
from geostat.statistics.arguments import Sample
from geostat.statistics.groups import Group
from geostat.statistics.notices import Notice

__all__ = ["confounding"]

_MEANINGS = {"base": "start from different weights", "storage": "are stored in different precision"}
"""Coordinates of runs that should agree, and what it means where they do not."""


def confounding(sample: Sample, groups: Sequence[Group]) -> list[Notice]:
    """Notices about base weights, storage and length of training that differ.

    Parameters
    ----------
    sample : Sample
        One metric.
    groups : sequence of Group
        The two recipes.

    Returns
    -------
    list of Notice
        Empty when nothing that the data record differs.
    """
    found = [_differing(sample, groups, name) for name in _MEANINGS]
    return [notice for notice in [*found, _different_length(sample, groups)] if notice is not None]


def _differing(sample: Sample, groups: Sequence[Group], name: str) -> Notice | None:
    coord = sample.values.coords.get(name)
    if coord is None or coord.dims != (sample.sample_dim,):
        return None
    first, second = ({str(coord.values[i]) for i in group.positions} for group in groups)
    if first == second:
        return None
    return Notice(
        GeostatWarning,
        f"{groups[0].recipe!r} and {groups[1].recipe!r} {_MEANINGS[name]} ({name} {sorted(first)} against "
        f"{sorted(second)}): the difference is not the recipe's alone.",
    )


def _different_length(sample: Sample, groups: Sequence[Group]) -> Notice | None:
    progress = sample.values.coords.get("progress")
    if progress is None or not {"step", sample.sample_dim} <= set(progress.dims):
        return None
    lengths = progress["step"] / progress.where(progress > 0)
    first, second = (float(lengths.isel({sample.sample_dim: list(g.positions)}).median()) for g in groups)
    if not np.isfinite(first + second) or np.isclose(first, second, rtol=1e-3):
        return None
    return Notice(
        GeostatWarning,
        f"{groups[0].recipe!r} trains for {first:.0f} steps and {groups[1].recipe!r} for {second:.0f}: "
        "equal steps are not equal progress.",
    )
