"""Arguments of `classify_regime` brought into one question."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.regimes.boundaries import Boundaries, load_boundaries
from geostat.statistics.regimes.conventions import UNSTATED, comparable, convention_of, one_alpha
from geostat.statistics.regimes.data_files import Source
from geostat.statistics.regimes.groups_of_runs import Asked, asked, reference_notices
from geostat.statistics.regimes.matching import DISPLACEMENT
from geostat.statistics.regimes.questions import Question
from geostat.statistics.runs.arguments import Sample, Samples, Weighting, check_level, gather
from geostat.statistics.words.notices import Notice

__all__ = ["DEFAULT_REFERENCES", "Asking", "prepare"]

DEFAULT_REFERENCES: Mapping[str, str] = {"full-space": "sft", "relaxed": "opd", "sparse": "rlvr"}
"""Recipes that stand for the regimes unless others are named."""


@dataclass(frozen=True, eq=False)
class Asking:
    """A call, checked.

    Attributes
    ----------
    question : Question
        What is asked of every recipe.
    groups : list of Asked
        The recipes.
    gathered : Samples
        The data as procedures take them.
    dataset : xarray.Dataset
        All that was passed.
    wanted : list of str
        The declared metrics.
    refused : mapping of str to str
        Those that cannot be compared, and why.
    notices : list of Notice
        What was noticed about the data.
    dim : str or None
        Matrices.
    """

    question: Question
    groups: list[Asked]
    gathered: Samples
    dataset: xr.Dataset
    wanted: list[str]
    refused: Mapping[str, str]
    notices: list[Notice]
    dim: str | None

    @property
    def matched(self) -> bool:
        """Whether runs are read at a common displacement."""
        return self.question.distance is not None


def prepare(
    data: xr.DataArray | xr.Dataset,
    references: Mapping[str, str] | None,
    boundaries: Source | None,
    metrics: Sequence[str] | None,
    level: float,
    dim: str | None,
    sample_dim: str,
    weighting: Weighting | None,
    matched: bool,
    assumed_seed_sd: Mapping[str, float] | None,
) -> Asking:
    """Check the arguments of `classify_regime`.

    Parameters
    ----------
    data, references, boundaries, metrics, level, dim, sample_dim, weighting, matched, assumed_seed_sd
        As passed.

    Returns
    -------
    Asking
        Ready to be answered.
    """
    check_level(level)
    file = load_boundaries("published" if boundaries is None else boundaries)
    named = _references(references, boundaries, file)
    dataset = _dataset(data)
    wanted, absent = _declared(metrics, file, dataset)
    distance = DISPLACEMENT if named and matched and _can_match(dataset) else ""
    names = dict.fromkeys([*wanted, *([distance] if distance else [])])
    gathered = gather(dataset[list(names)], dim=dim, sample_dim=sample_dim, weighting=weighting)
    by_name = {sample.name: _computed(sample) for sample in gathered.samples}
    samples, refused = _compared(by_name, wanted, file, convention_of(dataset), published=not named)
    assumed = _assumed(assumed_seed_sd, wanted)
    question = Question(samples, by_name.get(distance), file, named, level, assumed, sample_dim)
    first = next(iter(by_name.values()))
    groups = asked(first, named)
    told = [
        Notice(GeostatWarning, f"{name} is not compared: {why}.") for name, why in (absent | refused).items()
    ]
    notices = [
        *gathered.notices,
        *_about_matching(named, matched, bool(distance)),
        *([] if named else _about_convention(dataset, first, file)),
        *reference_notices(first, groups),
        *told,
    ]
    return Asking(question, groups, gathered, dataset, wanted, absent | refused, notices, dim)


def _references(
    references: Mapping[str, str] | None, boundaries: Source | None, file: Boundaries
) -> dict[str, str]:
    """Regime -> recipe in the order of the regimes; empty where boundaries were named."""
    if boundaries is not None:
        if references is not None:
            raise SampleError(
                "references and boundaries are two ways to say where regimes end. Pass one of them."
            )
        return {}
    named = DEFAULT_REFERENCES if references is None else references
    unknown = [regime for regime in named if regime not in file.regimes]
    ordered = {regime: str(named[regime]) for regime in file.regimes if regime in named}
    if unknown or len(ordered) < 2 or len(set(ordered.values())) < len(ordered):
        raise SampleError(
            f"references={dict(named)!r} name no boundary. Name two or more of the regimes "
            f"{', '.join(file.regimes)}, each with a recipe of its own."
        )
    return ordered


def _dataset(data: xr.DataArray | xr.Dataset) -> xr.Dataset:
    if isinstance(data, xr.Dataset):
        return data
    if isinstance(data, xr.DataArray) and data.name is not None:
        return data.to_dataset()
    raise SampleError(
        f"data is a {type(data).__name__}{' without a name' if isinstance(data, xr.DataArray) else ''}. Pass a "
        "Dataset with two or more metrics under their identifiers."
    )


def _declared(
    metrics: Sequence[str] | None, file: Boundaries, dataset: xr.Dataset
) -> tuple[list[str], dict[str, str]]:
    """The declared metrics that were measured, and those of the default set that were not."""
    if isinstance(metrics, str):
        raise SampleError(f"metrics={metrics!r} is one name. Pass a list of two or more.")
    if metrics is not None:
        wanted = list(dict.fromkeys(metrics))
        absent = [name for name in wanted if name not in dataset]
        if absent or not wanted:
            raise SampleError(
                f"{', '.join(absent) or 'no metric'} was declared, but the data hold {', '.join(map(str, dataset))}."
            )
        return wanted, {}
    wanted = [name for name in file.default_set if name in dataset]
    if not wanted:
        raise SampleError(
            f"the data hold none of {', '.join(file.default_set)}, only {', '.join(map(str, dataset))}. Name metrics."
        )
    return wanted, {name: "it was not measured" for name in file.default_set if name not in wanted}


def _can_match(dataset: xr.Dataset) -> bool:
    return DISPLACEMENT in dataset and "step" in dataset[DISPLACEMENT].dims


def _computed(sample: Sample) -> Sample:
    """Bring the metric into memory once: it is read again for every recipe and every source left out."""
    return replace(sample, values=sample.values.compute())


def _compared(
    by_name: Mapping[str, Sample],
    wanted: Sequence[str],
    file: Boundaries,
    stated: Mapping[str, Any],
    *,
    published: bool,
) -> tuple[dict[str, Sample], dict[str, str]]:
    """Metrics that follow the convention of the boundaries, and why others do not."""
    kept: dict[str, Sample] = {}
    refused: dict[str, str] = {}
    for name in wanted:
        if name not in by_name:
            refused[name] = "it has no `units` attribute, which other metrics have"
            continue
        facts = file.metrics.get(name)
        sample, why = by_name[name], ""
        if published and facts is None:
            why = f"{file.label} hold no value for it"
        elif published and facts is not None:
            sample, why = comparable(sample, facts, file, stated)
        elif facts is not None and "alpha" in facts.settings:
            sample = one_alpha(sample, file.convention.get("alpha"))
        if why:
            refused[name] = why
        else:
            kept[name] = sample
    return kept, refused


def _assumed(given: Mapping[str, float] | None, wanted: Sequence[str]) -> dict[str, float]:
    found = {name: float(sd) for name, sd in (given or {}).items()}
    wrong = [name for name, sd in found.items() if name not in wanted or not (math.isfinite(sd) and sd > 0)]
    if wrong:
        raise SampleError(
            f"assumed_seed_sd={{{wrong[0]!r}: {found[wrong[0]]!r}}}: give a positive standard deviation for metrics "
            f"among {', '.join(wanted)}, on the metric's scale."
        )
    return found


def _about_matching(named: Mapping[str, str], matched: bool, has_distance: bool) -> list[Notice]:
    if not named or not matched or has_distance:
        return []
    text = (
        f"runs could not be matched: the data hold no {DISPLACEMENT} along steps. Each run is read at its end, "
        "and runs that came farther look more dense for that reason alone."
    )
    return [Notice(GeostatWarning, text)]


def _about_convention(dataset: xr.Dataset, sample: Sample, file: Boundaries) -> list[Notice]:
    notices = [] if convention_of(dataset) else [Notice(GeostatWarning, f"{UNSTATED}.")]
    storage = sample.values.coords.get("storage")
    stored = {str(s) for s in np.atleast_1d(storage.values)} if storage is not None else set()
    stored |= {str(dataset.attrs["storage"])} if not stored and "storage" in dataset.attrs else set()
    wanted = file.convention.get("storage")
    if wanted and stored - {wanted}:
        text = (
            f"the published values are of {wanted} files, these runs are stored in {', '.join(sorted(stored))}: "
            "rounding changes spectra and norms."
        )
        notices.append(Notice(GeostatWarning, text))
    return notices
