"""What else than the seed, or than the recipe, differs between runs that are set against each other."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.runs.groups import Group
from geostat.statistics.words.notices import Notice

__all__ = ["confounding", "mixed"]

_MEANINGS = {
    "base": "start from different weights",
    "storage": "are stored in different precision",
    "horizon": "look ahead by different numbers of steps",
}
"""Coordinates of runs that should agree between recipes, and what it means where they do not."""

_EQUAL = 1e-3
"""Relative difference up to which two lengths of training are one: progress is rounded."""


def mixed(sample: Sample, groups: Sequence[Group]) -> list[Notice]:
    """Notices about runs of one recipe that differ in storage or in length of training.

    The weights that they start from may differ: every seed may have its own.

    Parameters
    ----------
    sample : Sample
        One metric.
    groups : sequence of Group
        Runs that are averaged together.

    Returns
    -------
    list of Notice
        Empty when the runs of each group agree.
    """
    found = [notice(sample, group) for group in groups for notice in (_mixed_storage, _mixed_length)]
    return [notice for notice in found if notice is not None]


def confounding(sample: Sample, groups: Sequence[Group]) -> list[Notice]:
    """Notices about base weights, storage and length of training that differ between two recipes.

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


def _mixed_storage(sample: Sample, group: Group) -> Notice | None:
    storages = _per_run(sample, "storage")
    if storages is None:
        return None
    found: dict[str, list[int]] = {}
    for position in group.positions:
        found.setdefault(str(storages.values[position]), []).append(position)
    if len(found) < 2:
        return None
    usual = max(found, key=lambda storage: len(found[storage]))
    told = "; ".join(f"{storage}: {_labels(sample, runs)}" for storage, runs in sorted(found.items()))
    return Notice(
        GeostatWarning,
        f"{_whose(group)}runs are averaged that are stored in different precision ({told}). Rounding changes "
        "sparsity, ranks and angles, so their spread is not that of seeds alone. Keep one storage: "
        f"data.isel({sample.sample_dim}=data['storage'].values == {usual!r}).",
    )


def _mixed_length(sample: Sample, group: Group) -> Notice | None:
    lengths = _lengths(sample)
    if lengths is None:
        return None
    known = {i: float(lengths[i]) for i in group.positions if np.isfinite(lengths[i])}
    if not known or np.isclose(min(known.values()), max(known.values()), rtol=_EQUAL):
        return None
    ends = [min(known, key=known.__getitem__), max(known, key=known.__getitem__)]
    told = " and ".join(f"{known[i]:.0f} steps ({_labels(sample, [i])})" for i in ends)
    return Notice(
        GeostatWarning,
        f"{_whose(group)}runs are averaged that train for different lengths, {told}: at one step they are "
        "not equally far, so their spread is not that of seeds alone. Keep runs of one length.",
    )


def _differing(sample: Sample, groups: Sequence[Group], name: str) -> Notice | None:
    coord = _per_run(sample, name)
    if coord is None or (name == "horizon" and not sample.values.attrs.get("looks_ahead")):
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
    lengths = _lengths(sample)
    if lengths is None:
        return None
    known = [[lengths[i] for i in group.positions if np.isfinite(lengths[i])] for group in groups]
    if not all(known):
        return None
    first, second = (float(np.median(values)) for values in known)
    if np.isclose(first, second, rtol=_EQUAL):
        return None
    return Notice(
        GeostatWarning,
        f"{groups[0].recipe!r} trains for {first:.0f} steps and {groups[1].recipe!r} for {second:.0f}: "
        "equal steps are not equal progress.",
    )


def _per_run(sample: Sample, name: str) -> xr.DataArray | None:
    coord = sample.values.coords.get(name)
    return coord if coord is not None and coord.dims == (sample.sample_dim,) else None


def _lengths(sample: Sample) -> np.ndarray | None:
    """Length of training of every run: as recorded, or from its progress."""
    recorded = _per_run(sample, "training_steps")
    if recorded is not None:
        return np.asarray(recorded.values, dtype=np.float64)
    progress = sample.values.coords.get("progress")
    if progress is None or set(progress.dims) != {"step", sample.sample_dim}:
        return None
    lengths = (progress["step"] / progress.where(progress > 0)).median("step")
    return np.asarray(lengths.values, dtype=np.float64)


def _whose(group: Group) -> str:
    return f"recipe {group.recipe!r}: " if group.recipe else ""


def _labels(sample: Sample, runs: Sequence[int]) -> str:
    coord = sample.values.coords.get(sample.sample_dim)
    names = [str(coord.values[i]) if coord is not None else str(i) for i in runs]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
