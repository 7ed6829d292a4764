"""The verdict on one recipe, and what would change it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.statistics.regimes.cuts import Lines, passed, published_lines, reference_lines
from geostat.statistics.regimes.evidence import Mean, mean_over_runs, regime_tests
from geostat.statistics.regimes.questions import Curves, Question, Readings, read
from geostat.statistics.regimes.verdicts import Verdicts, decide, too_few

__all__ = ["Answer", "answer", "held_out", "more_seeds", "restated", "without_metric"]

MOST_SEEDS = 50
"""Seeds beyond which a verdict is said to stay open."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answer:
    """A recipe against the boundaries; arrays have the shape (regime, metric, ...) or (metric, ...).

    Attributes
    ----------
    readings : Readings
        Of its runs and those of the references.
    mean : Mean
        Of the recipe.
    references : tuple of Mean
        Of the references, in the order of their regimes.
    lines : Lines
        Boundaries.
    inside, outside : ndarray
        P-values.
    verdicts : Verdicts
        What follows.
    """

    readings: Readings
    mean: Mean
    references: tuple[Mean, ...]
    lines: Lines
    inside: Array
    outside: Array
    verdicts: Verdicts


def answer(question: Question, curves: Curves) -> Answer:
    """Test every metric of a recipe against every boundary, and decide.

    Parameters
    ----------
    question : Question
        With one metric or more.
    curves : Curves
        The runs.

    Returns
    -------
    Answer
        For all cells at once.
    """
    readings = read(question, curves)
    mean = _mean(question, readings, curves.own)
    references = tuple(_mean(question, readings, places) for places in curves.references)
    return _tested(question, readings, mean, references)


def restated(question: Question, found: Answer) -> Answer:
    """The same runs against other published boundaries.

    Parameters
    ----------
    question : Question
        With these boundaries.
    found : Answer
        Whose readings are kept.

    Returns
    -------
    Answer
        Decided again.
    """
    return _tested(question, found.readings, found.mean, found.references)


def without_metric(question: Question, found: Answer, name: str) -> Verdicts:
    """Decide without one metric.

    Parameters
    ----------
    question : Question
        What was asked.
    found : Answer
        With two metrics or more.
    name : str
        The metric.

    Returns
    -------
    Verdicts
        From the others.
    """
    others = [i for i, metric in enumerate(question.metrics) if metric != name]
    decisive = not too_few([question.metrics[i] for i in others])
    return decide(found.inside[:, others], found.outside[:, others], question.level, decisive)


def _mean(question: Question, readings: Readings, places: Sequence[int]) -> Mean:
    assumed = np.array([question.assumed.get(name, np.nan) for name in question.metrics])
    values = readings.values.isel({question.sample_dim: list(places)})
    return mean_over_runs(values, question.sample_dim, assumed)


def _tested(question: Question, readings: Readings, mean: Mean, references: tuple[Mean, ...]) -> Answer:
    facts = [question.facts(name) for name in question.metrics]
    if references:
        directions = np.array([float(each.direction) for each in facts])
        lines = reference_lines(references, directions, question.level)
    else:
        lines = published_lines(facts, [readings.scales[f.name] for f in facts], readings.cell.ndim)
    inside, outside = regime_tests(lines.sides(mean))
    verdicts = decide(inside, outside, question.level, not too_few(question.metrics))
    return Answer(readings, mean, references, lines, inside, outside, verdicts)


def more_seeds(question: Question, found: Answer) -> Array:
    """How many more runs of a recipe would establish a regime, if everything else stayed as observed.

    The p-values fall with every further run, so the smallest number is found by halving.

    Parameters
    ----------
    question : Question
        What was asked.
    found : Answer
        The verdict so far.

    Returns
    -------
    ndarray
        The smallest number up to 50; infinity where none does, NaN where a regime is established already,
        variation between seeds is unknown, or a boundary cannot be used.
    """
    shape = found.verdicts.regime.shape
    if too_few(question.metrics):
        return np.full(shape, np.nan)
    below, enough = np.zeros(shape, dtype=np.int64), np.full(shape, MOST_SEEDS)
    reachable = _established_with(question, found, enough)
    while bool((enough - below > 1).any()):
        middle = (below + enough) // 2
        decided = _established_with(question, found, middle)
        below, enough = np.where(decided, below, middle), np.where(decided, middle, enough)
    usable = (~np.isnan(found.mean.part.df) & ~np.isnan(found.inside).any(axis=0)).all(axis=0)
    needed = np.where(reachable, enough.astype(np.float64), np.inf)
    return np.where(usable & ~found.verdicts.established, needed, np.nan)


def _established_with(
    question: Question, found: Answer, extra: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    inside, outside = regime_tests(found.lines.sides(found.mean.with_more_runs(extra)))
    return decide(inside, outside, question.level).established


def held_out(question: Question, found: Answer, which: int, places: Sequence[int]) -> Array:
    """How many runs of a reference fall into its own regime when they are held out.

    Parameters
    ----------
    question : Question
        What was asked.
    found : Answer
        With the readings of all references.
    which : int
        Place of the reference in the order of the regimes.
    places : sequence of int
        Its runs.

    Returns
    -------
    ndarray
        Runs that lie on the right side of every boundary in every metric; NaN where that cannot be said.
    """
    total = np.full(found.verdicts.regime.shape, 0.0 if len(places) > 1 else np.nan)
    for place in places if len(places) > 1 else ():
        values = found.readings.values.isel({question.sample_dim: place}).values
        others = _mean(question, found.readings, [other for other in places if other != place])
        centres = [others.value if i == which else mean.value for i, mean in enumerate(found.references)]
        where = passed(values, centres, found.lines.direction)
        total = total + np.where(np.isnan(where).any(axis=0), np.nan, (where == which).all(axis=0))
    return total
