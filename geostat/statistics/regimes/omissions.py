"""What a verdict becomes when one of the sources that it rests on is left out."""

from collections.abc import Iterator

import numpy as np

from geostat.statistics.regimes.answers import Answer, answer, restated, without_metric
from geostat.statistics.regimes.groups_of_runs import Asked
from geostat.statistics.regimes.questions import Curves, Question
from geostat.statistics.regimes.verdicts import ESTABLISHED, SUBSET, UNDETERMINED, Verdicts

__all__ = ["kept_texts", "omissions"]


def omissions(question: Question, curves: Curves, found: Answer, asked: Asked) -> list[dict[str, object]]:
    """Decide again without each reference run, each metric and each published checkpoint.

    Parameters
    ----------
    question : Question
        What was asked.
    curves : Curves
        The runs; the list of matrices stays as it is.
    found : Answer
        The verdict with all sources.
    asked : Asked
        The recipe.

    Returns
    -------
    list of dict
        Recipe, kind of source, source, verdict, and whether it differs from the full one.
    """
    full = in_words(question, found.verdicts)
    return [
        {"recipe": asked.label, "kind": kind, "source": source, "verdict": told, "changed": told != full}
        for kind, source, verdicts in _each(question, curves, found, asked)
        for told in [in_words(question, verdicts)]
    ]


def _each(
    question: Question, curves: Curves, found: Answer, asked: Asked
) -> Iterator[tuple[str, str, Verdicts | None]]:
    for group, places in zip(asked.references, curves.references, strict=True):
        for position, place in zip(group.positions, places, strict=True):
            left = answer(question, curves.without_run(place)) if len(places) > 1 else None
            yield "run", _run_label(question, position), left.verdicts if left else None
    for name in question.metrics:
        several = len(question.metrics) > 1
        yield "metric", name, without_metric(question, found, name) if several else None
    if not question.references:
        for checkpoint in _checkpoints(question):
            refitted = restated(question.without_checkpoint(checkpoint), found)
            yield "checkpoint", checkpoint, refitted.verdicts


def _checkpoints(question: Question) -> list[str]:
    points = [question.facts(name).points for name in question.metrics]
    names = [name for regimes in points for values in regimes.values() for name in values]
    return list(dict.fromkeys(names))


def _run_label(question: Question, position: int) -> str:
    sample = next(iter(question.samples.values()))
    coord = sample.values.coords.get(question.sample_dim)
    return str(coord.values[position]) if coord is not None else str(position)


def kept_texts(verdicts: Verdicts, regimes: tuple[str, ...]) -> np.ndarray:
    """Names of the regimes that are not excluded, joined, per cell.

    Parameters
    ----------
    verdicts : Verdicts
        With shape (regime, ...).
    regimes : tuple of str
        Their names.

    Returns
    -------
    ndarray
        Texts of the cells' shape.
    """
    names = np.array(
        [", ".join(r for i, r in enumerate(regimes) if code >> i & 1) for code in range(2 ** len(regimes))],
        dtype=object,
    )
    codes = np.tensordot(2 ** np.arange(len(regimes)), verdicts.kept.astype(int), axes=1)
    return np.asarray(names[codes], dtype=object)


def in_words(question: Question, verdicts: Verdicts | None) -> str:
    """Verdict of all cells in a few words.

    Parameters
    ----------
    question : Question
        What was asked.
    verdicts : Verdicts or None
        None where nothing is left to decide from.

    Returns
    -------
    str
        Different verdicts of several cells are joined by `` | ``.
    """
    if verdicts is None:
        return UNDETERMINED
    told = np.broadcast_arrays(verdicts.verdict, verdicts.regime, kept_texts(verdicts, question.regimes))
    texts = {
        question.regimes[int(place)]
        if verdict == ESTABLISHED
        else f"{{{kept}}}"
        if verdict == SUBSET
        else str(verdict)
        for verdict, place, kept in zip(*(array.ravel() for array in told), strict=True)
    }
    return " | ".join(sorted(texts))
