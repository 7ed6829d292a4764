"""Accuracy without sampling: the right answer is unique, so its probability can be read off."""

from dataclasses import dataclass

import torch

from geostat.lab.model import GPT
from geostat.lab.problems import Problems, evaluation_problems
from geostat.lab.sampling import answer_logits
from geostat.training.advantages import token_log_probabilities

__all__ = ["Accuracy", "evaluate"]

_CHUNK = 512


@dataclass(frozen=True)
class Accuracy:
    """Share of problems answered right, at temperature 1 in expectation and greedily."""

    expected: float
    greedy: float
    problems: int


@torch.no_grad()
def evaluate(model: GPT, problems: Problems | None = None) -> Accuracy:
    r"""Exact accuracy on fixed problems, from one teacher-forced pass.

    .. math:: \frac{1}{n} \sum_i \exp \sum_t \log p(y_{it} \mid x_i, y_{i, <t})

    is the accuracy that infinitely many samples at temperature 1 would have. Greedy accuracy is the share of
    problems whose every answer token is the likeliest one. Neither carries sampling noise; both are about
    these problems and this model, not about another seed.

    Parameters
    ----------
    model
        The model to evaluate.
    problems
        Prompts and answers; the 4,096 of `evaluation_problems` by default.

    Returns
    -------
    Accuracy
        Both accuracies, in [0, 1], and the number of problems.

    Examples
    --------
    >>> from geostat.lab import evaluation_problems, load_teacher
    >>> evaluate(load_teacher(), evaluation_problems(64)).greedy
    1.0
    """
    problems = evaluation_problems() if problems is None else problems
    expected = greedy = 0.0
    for start in range(0, len(problems.prompts), _CHUNK):
        answers = problems.answers[start : start + _CHUNK]
        logits = answer_logits(model, problems.prompts[start : start + _CHUNK], answers)
        expected += token_log_probabilities(logits, answers).sum(-1).double().exp().sum().item()
        greedy += (logits.argmax(-1).cpu() == answers).all(-1).sum().item()
    n = len(problems.prompts)
    return Accuracy(expected / n, greedy / n, n)
