"""What a result holds of one recipe: a row per metric and regime, and its verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.statistics.regimes.answers import Answer, answer, held_out, more_seeds
from geostat.statistics.regimes.evidence import Mean
from geostat.statistics.regimes.groups_of_runs import Asked
from geostat.statistics.regimes.omissions import kept_texts, omissions
from geostat.statistics.regimes.open_reasons import why_open
from geostat.statistics.regimes.questions import Curves, Question, curves_of
from geostat.statistics.regimes.regime_result import VERDICT
from geostat.statistics.regimes.verdicts import UNDETERMINED, too_few
from geostat.statistics.runs.repeats import Repeats, repeated_runs
from geostat.statistics.words.notices import Notice
from geostat.statistics.words.reasons import INFINITE, NO_VALUE, one_run, text_array

__all__ = ["Told", "tell"]

STRINGS = np.dtypes.StringDType()


@dataclass(frozen=True, eq=False)
class Told:
    """All that is said of one recipe.

    Attributes
    ----------
    cells : mapping of str to xarray.Dataset
        Per metric and under ``"verdict"``.
    separation, omitted : tuple of mapping
        Rows on references, and on sources left out.
    repeats : list of Repeats
        Per metric.
    notices : tuple of Notice
        What was noticed.
    """

    cells: Mapping[str, xr.Dataset]
    separation: tuple[Mapping[str, object], ...] = ()
    omitted: tuple[Mapping[str, object], ...] = ()
    repeats: Sequence[Repeats] = ()
    notices: tuple[Notice, ...] = ()


def tell(question: Question, asked: Asked, leave_one_out: bool) -> Told:
    """Verdict on the runs of one recipe, or the place of a reference's runs when each is held out.

    Parameters
    ----------
    question : Question
        What is asked.
    asked : Asked
        Whom.
    leave_one_out : bool
        Whether to decide again without each source.

    Returns
    -------
    Told
        With cells over regimes and what else is left.
    """
    if not question.metrics:
        return Told({VERDICT: _nothing(question, asked)})
    whose = f" of recipe {asked.label!r}" if asked.label else ""
    curves = curves_of(question, asked.group.positions, [g.positions for g in asked.references], whose)
    found = answer(question, curves)
    cells = {name: _metric_cells(question, asked, found, i) for i, name in enumerate(question.metrics)}
    make = _reference_cells if asked.regime else _verdict_cells
    cells[VERDICT] = make(question, asked, found)
    omitted = omissions(question, curves, found, asked) if leave_one_out and not asked.regime else []
    return Told(
        cells,
        separation_rows(question, found, asked),
        tuple(omitted),
        _repeats(question, curves),
        (*curves.notices, *found.readings.notices),
    )


def _repeats(question: Question, curves: Curves) -> list[Repeats]:
    own = {question.sample_dim: list(curves.own)}
    return [repeated_runs(curve.isel(own), question.sample_dim) for curve in curves.values.values()]


def _metric_cells(question: Question, asked: Asked, found: Answer, place: int) -> xr.Dataset:
    """One metric over regimes and its own dimensions; p-values of a reference against itself mean nothing."""
    name = question.metrics[place]
    scale, mean = found.readings.scales[name], found.mean
    tested = np.nan if asked.regime else 1.0
    low, high = mean.interval(question.level)
    numbers: dict[str, npt.NDArray[Any]] = {
        "inside": found.inside[:, place] * tested,
        "outside": found.outside[:, place] * tested,
        "estimate": scale.inverse(mean.value[place]),
        "low": scale.inverse(low[place]),
        "high": scale.inverse(high[place]),
        "n_runs": mean.n[place],
    }
    like = _regime_template(question, found)
    reasons = [
        (like.copy(data=np.broadcast_to(where[place], like.shape)), text) for where, text in _why(mean, asked)
    ]
    whole = {key: like.copy(data=np.broadcast_to(array, like.shape)) for key, array in numbers.items()}
    cells = xr.Dataset(whole | {"reason": text_array(like, reasons)})
    others = [dim for dim in like.dims if dim not in ("regime", *found.readings.dims[name])]
    return cells.isel(dict.fromkeys(others, 0), drop=True)


def _why(mean: Mean, asked: Asked) -> list[tuple[npt.NDArray[np.bool_], str]]:
    return [
        (mean.n == 0, NO_VALUE),
        (mean.infinite, INFINITE),
        (mean.alone, one_run(len(asked.group.positions))),
        (mean.identical, "the runs hold identical values, so variation between seeds cannot be estimated"),
    ]


def _regime_template(question: Question, found: Answer) -> xr.DataArray:
    regimes = np.array(list(question.regimes), STRINGS)
    return found.readings.cell.expand_dims(regime=regimes)


def _verdict_cells(question: Question, asked: Asked, found: Answer) -> xr.Dataset:
    verdicts, like = found.verdicts, found.readings.cell
    n_all = len(asked.group.positions)
    named = np.array([*question.regimes, ""], STRINGS)
    reasons = [(like.copy(data=where), text) for where, text in why_open(question, found, asked.label, n_all)]
    return _labelled(
        like,
        {
            "verdict": verdicts.verdict.astype(STRINGS),
            "established": named[verdicts.regime],
            "not_excluded": kept_texts(verdicts, question.regimes).astype(STRINGS),
            "largest_p": verdicts.largest.min(axis=0),
            **{f"p_{regime}": verdicts.largest[i] for i, regime in enumerate(question.regimes)},
            "more_seeds": more_seeds(question, found),
            "displacement": _displacement(found),
            "n_runs": np.asarray(n_all),
        },
    ).assign(reason=text_array(like, reasons))


def _reference_cells(question: Question, asked: Asked, found: Answer) -> xr.Dataset:
    like, n_all = found.readings.cell, len(asked.group.positions)
    which = list(question.references).index(asked.regime)
    places = list(range(found.readings.values.sizes[question.sample_dim]))[:n_all]
    right = held_out(question, found, which, places)
    told = [_placed(asked.regime, count, n_all) for count in right.ravel()]
    unknown = np.asarray(np.nan)
    return _labelled(
        like,
        {
            "verdict": np.asarray("reference", STRINGS),
            "established": np.asarray("", STRINGS),
            "not_excluded": np.asarray("", STRINGS),
            "largest_p": unknown,
            **{f"p_{regime}": unknown for regime in question.regimes},
            "more_seeds": unknown,
            "displacement": _displacement(found),
            "n_runs": np.asarray(n_all),
            "reason": np.array(told, STRINGS).reshape(like.shape),
        },
    )


def _placed(regime: str, count: float, n_all: int) -> str:
    if count != count:
        return f"reference for {regime}; its runs could not be held out one by one"
    return f"reference for {regime}; {count:.0f} of {n_all} held-out runs on its side in every metric"


def _displacement(found: Answer) -> npt.NDArray[np.float64]:
    cell = found.readings.cell
    return np.asarray(found.readings.displacement.broadcast_like(cell).transpose(*cell.dims).values)


def _labelled(like: xr.DataArray, arrays: Mapping[str, npt.NDArray[Any]]) -> xr.Dataset:
    return xr.Dataset(
        {name: like.copy(data=np.broadcast_to(array, like.shape).copy()) for name, array in arrays.items()}
    )


def _nothing(question: Question, asked: Asked) -> xr.Dataset:
    """Verdict where no metric can be compared."""
    unknown = np.asarray(np.nan)
    return _labelled(
        xr.DataArray(np.nan),
        {
            "verdict": np.asarray(UNDETERMINED, STRINGS),
            "established": np.asarray("", STRINGS),
            "not_excluded": np.asarray(", ".join(question.regimes), STRINGS),
            "largest_p": unknown,
            **{f"p_{regime}": unknown for regime in question.regimes},
            "more_seeds": unknown,
            "displacement": unknown,
            "n_runs": np.asarray(len(asked.group.positions)),
            "reason": np.asarray(too_few(()), STRINGS),
        },
    )


def separation_rows(question: Question, found: Answer, asked: Asked) -> tuple[Mapping[str, object], ...]:
    """Whether neighbouring references are told apart, and in which order they lie.

    Parameters
    ----------
    question : Question
        What was asked.
    found : Answer
        With the boundaries.
    asked : Asked
        The recipe: references are read at the displacement that it reaches too.

    Returns
    -------
    tuple of mapping
        One per pair and metric; over several cells the worst of them.
    """
    separation, ordered = found.lines.separation, found.lines.ordered
    if separation is None or ordered is None:
        return ()
    recipes = list(question.references.values())
    return tuple(
        {
            "recipe": asked.label,
            "metric": name,
            "low": recipes[b],
            "high": recipes[b + 1],
            "p_value": float(np.max(separation[b, i])),
            "separated": bool((separation[b, i] <= 1 - question.level).all()),
            "ordered": None if np.isnan(ordered[b, i]).any() else bool(ordered[b, i].all()),
        }
        for b in range(len(recipes) - 1)
        for i, name in enumerate(question.metrics)
    )
