"""Which runs are asked about together, and which references they are set against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.runs.arguments import Sample
from geostat.statistics.runs.confounding import confounding, mixed
from geostat.statistics.runs.groups import Group, group_by_recipe
from geostat.statistics.words.notices import Notice

__all__ = ["Asked", "asked", "reference_notices"]


@dataclass(frozen=True)
class Asked:
    """Runs that get one verdict.

    Attributes
    ----------
    label : str
        Recipe, with its storage where the recipe has several; empty where the data name no recipe.
    group : Group
        The runs.
    references : tuple of Group
        Runs of every reference, of the same storage where there are such; empty without references.
    regime : str
        The regime that these runs stand for themselves; empty when they stand for none.
    """

    label: str
    group: Group
    references: tuple[Group, ...]
    regime: str


def asked(sample: Sample, references: Mapping[str, str]) -> list[Asked]:
    """Split runs by recipe and storage.

    Parameters
    ----------
    sample : Sample
        One metric.
    references : mapping of str to str
        Regime -> recipe.

    Returns
    -------
    list of Asked
        In order of appearance.

    Raises
    ------
    SampleError
        If a reference recipe has no run.
    """
    groups = group_by_recipe(sample)
    by_name = {group.recipe: group for group in groups}
    absent = [recipe for recipe in references.values() if recipe not in by_name]
    if absent:
        raise SampleError(
            f"the reference recipe {absent[0]!r} is not among {[g.recipe for g in groups if g.recipe]}. Name your own "
            "with references={'full-space': ..., 'sparse': ...}, or pass boundaries='published'."
        )
    regimes = {recipe: regime for regime, recipe in references.items()}
    found = []
    for group in groups:
        for storage, own in _by_storage(sample, group).items():
            against = tuple(_same_storage(sample, by_name[recipe], storage) for recipe in references.values())
            label = (group.recipe or "") + (f" [{storage}]" if storage else "")
            found.append(Asked(label, own, against, regimes.get(str(group.recipe), "")))
    return found


def _storages(sample: Sample) -> np.ndarray | None:
    coord = sample.values.coords.get("storage")
    return np.asarray(coord.values) if coord is not None and coord.dims == (sample.sample_dim,) else None


def _by_storage(sample: Sample, group: Group) -> dict[str, Group]:
    """Runs by storage where they have several; under an empty text where they have one."""
    storages = _storages(sample)
    if storages is None or len({str(storages[i]) for i in group.positions}) == 1:
        return {"": group}
    found: dict[str, list[int]] = {}
    for position in group.positions:
        found.setdefault(str(storages[position]), []).append(position)
    return {storage: Group(group.recipe, tuple(positions)) for storage, positions in found.items()}


def _same_storage(sample: Sample, group: Group, storage: str) -> Group:
    storages = _storages(sample)
    if storages is None or not storage:
        return group
    same = tuple(i for i in group.positions if str(storages[i]) == storage)
    return Group(group.recipe, same) if same else group


def reference_notices(sample: Sample, groups: Sequence[Asked]) -> list[Notice]:
    """What else than the recipe differs between runs and their references.

    Parameters
    ----------
    sample : Sample
        One metric.
    groups : sequence of Asked
        All verdicts of the call.

    Returns
    -------
    list of Notice
        Base, storage, length of training and learning rate.
    """
    notices = mixed(sample, [each.group for each in groups])
    for each in groups:
        if each.regime:
            pairs = list(zip(each.references[:-1], each.references[1:], strict=True))
        else:
            pairs = [(each.group, reference) for reference in each.references]
        for pair in pairs:
            notices += [*confounding(sample, pair), *_learning_rates(sample, pair)]
    return list(dict.fromkeys(notices))


def _learning_rates(sample: Sample, pair: Sequence[Group]) -> list[Notice]:
    coord = sample.values.coords.get("learning_rate")
    if coord is None or coord.dims != (sample.sample_dim,):
        return []
    first, second = ({float(coord.values[i]) for i in group.positions} for group in pair)
    if first == second:
        return []
    return [
        Notice(
            GeostatWarning,
            f"{pair[0].recipe!r} and {pair[1].recipe!r} train at different learning rates ({sorted(first)} against "
            f"{sorted(second)}): the difference is not the recipe's alone.",
        )
    ]
