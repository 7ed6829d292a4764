"""Why no regime is established, in words that say what to do."""

import numpy as np
import numpy.typing as npt

from geostat.statistics.regimes.answers import Answer
from geostat.statistics.regimes.evidence import Mean
from geostat.statistics.regimes.questions import Question
from geostat.statistics.regimes.verdicts import too_few
from geostat.statistics.words.reasons import INFINITE

__all__ = ["why_open"]

Mask = npt.NDArray[np.bool_]
Reasons = list[tuple[Mask, str]]


def why_open(question: Question, found: Answer, whose: str, n_all: int) -> Reasons:
    """Reasons for the cells in which no regime is established, the first that holds to be told.

    Parameters
    ----------
    question : Question
        What was asked.
    found : Answer
        The verdicts.
    whose : str
        The recipe; empty where the data name none.
    n_all : int
        Its runs.

    Returns
    -------
    list of tuple
        Conditions of the cells' shape, and texts.
    """
    verdicts = found.verdicts
    few = too_few(question.metrics)
    reasons: Reasons = [(verdicts.established, ""), (np.full(verdicts.regime.shape, bool(few)), few)]
    reasons += _of_runs(question, found.mean, f" of recipe {whose!r}" if whose else "", n_all)
    for recipe, mean in zip(question.references.values(), found.references, strict=True):
        reasons += _of_runs(question, mean, f" of reference {recipe!r}", 0)
    reasons.append((verdicts.mixed, "every regime is excluded: the metrics lie in different ones"))
    return reasons + _unseparated(question, found) + _near(question, found)


def _of_runs(question: Question, mean: Mean, whose: str, n_all: int) -> Reasons:
    runs = f"only one of {n_all} runs" if n_all > 1 else "one run"
    lonely = (
        f"{runs}{whose}: variation from seed to seed cannot be estimated; add runs with other seeds "
        "(three or more), or pass assumed_seed_sd"
    )
    reasons: Reasons = [(np.asarray(mean.alone.any(axis=0)), lonely)]
    for i, name in enumerate(question.metrics):
        reasons.append((mean.n[i] == 0, f"{name}: no run{whose} has a value where runs are compared"))
        reasons.append((mean.infinite[i], f"{name}: {INFINITE}"))
        reasons.append((mean.identical[i], f"{name}: the runs{whose} hold identical values"))
    return reasons


def _unseparated(question: Question, found: Answer) -> Reasons:
    """Pairs of references that some metric does not tell apart."""
    separation, ordered = found.lines.separation, found.lines.ordered
    if separation is None or ordered is None:
        return []
    recipes = list(question.references.values())
    reasons: Reasons = []
    for b, (p_values, order) in enumerate(zip(separation, ordered, strict=True)):
        pair = f"references {recipes[b]!r} and {recipes[b + 1]!r}"
        for i, name in enumerate(question.metrics):
            apart = p_values[i] <= 1 - question.level
            reasons.append((order[i] == 0, f"{pair} do not lie in the published order on {name}"))
            reasons.append((~apart & ~np.isnan(p_values[i]), f"{pair} are not told apart by {name}"))
    return reasons


def _near(question: Question, found: Answer) -> Reasons:
    everywhere = np.ones(found.verdicts.regime.shape, dtype=bool)
    return [
        (_disagree(found, 1 - question.level), "metrics by themselves point to different regimes"),
        (
            everywhere,
            "in some metric the runs lie too near a boundary, or spread too widely, to say on which side they are",
        ),
    ]


def _disagree(found: Answer, alpha: float) -> Mask:
    """Whether no regime holds all the metrics that are inside some regime by themselves."""
    hits = found.inside <= alpha
    silent = ~hits.any(axis=0)
    shared = (hits | silent).all(axis=1).any(axis=0)
    return np.asarray(~shared)
