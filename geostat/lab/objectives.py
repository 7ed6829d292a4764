r"""What the recipes minimise: one function of a student, a teacher, a batch size and a generator each.

Every objective draws its own problems, and where it is on-policy its own samples, from the generator, and
returns the mean over answer tokens, or None where the batch holds nothing to learn from.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from geostat.lab.model import GPT
from geostat.lab.problems import (
    PRETRAINING_OPERATIONS,
    TUNING_OPERATIONS,
    Operation,
    draw_problems,
    verify,
)
from geostat.lab.sampling import answer_logits, sample_answers
from geostat.training.advantages import reverse_kl, token_log_probabilities

__all__ = [
    "GROUP_SIZE",
    "Objective",
    "group_advantages",
    "group_relative_policy",
    "on_policy_distillation",
    "pretraining",
    "sampled_token_distillation",
    "supervised",
]

Objective = Callable[[GPT, GPT, int, torch.Generator], Tensor | None]
"""``objective(student, teacher, batch, generator)``: a scalar loss, or None for a step to skip."""

GROUP_SIZE = 8


def _cross_entropy(
    student: GPT, operations: Sequence[Operation], batch: int, generator: torch.Generator
) -> Tensor:
    problems = draw_problems(operations, batch, generator)
    logits = answer_logits(student, problems.prompts, problems.answers)
    return functional.cross_entropy(logits.flatten(0, 1), problems.answers.flatten().to(logits.device))


def pretraining(student: GPT, teacher: GPT, batch: int, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the right answer tokens on the five pretraining operations."""
    return _cross_entropy(student, PRETRAINING_OPERATIONS, batch, generator)


def supervised(student: GPT, teacher: GPT, batch: int, generator: torch.Generator) -> Tensor:
    """SFT: cross-entropy of the right answer tokens on the two tuning operations."""
    return _cross_entropy(student, TUNING_OPERATIONS, batch, generator)


def on_policy_distillation(student: GPT, teacher: GPT, batch: int, generator: torch.Generator) -> Tensor:
    """OPD: reverse KL over the whole vocabulary, at every token of the student's own samples.

    The gradient flows through the token distributions, not through which prefixes were sampled.
    """
    prompts = draw_problems(TUNING_OPERATIONS, batch, generator).prompts
    answers = sample_answers(student, prompts, generator)
    with torch.no_grad():
        target = answer_logits(teacher, prompts, answers)
    return reverse_kl(answer_logits(student, prompts, answers), target).mean()


def sampled_token_distillation(student: GPT, teacher: GPT, batch: int, generator: torch.Generator) -> Tensor:
    """OPD as a policy gradient: the advantage of a sampled token is log p_teacher - log p_student.

    In expectation over the token its gradient is that of `on_policy_distillation`, which sees all 17 tokens
    where this sees one. No gradient flows through the advantage.
    """
    prompts = draw_problems(TUNING_OPERATIONS, batch, generator).prompts
    answers = sample_answers(student, prompts, generator)
    with torch.no_grad():
        target = token_log_probabilities(answer_logits(teacher, prompts, answers), answers)
    chosen = token_log_probabilities(answer_logits(student, prompts, answers), answers)
    advantages = target - chosen.detach()
    return -(advantages * chosen).mean()


def group_advantages(rewards: Tensor) -> tuple[Tensor, Tensor]:
    """Rewards (groups, samples) less the group's mean, over its standard deviation, and the groups kept.

    A group whose samples all got the same reward has no deviation to divide by and nothing to prefer: it is
    left out. Returns the advantages (kept, samples) and the mask (groups,). The deviation is the population's
    (divided by the number of samples).

    Examples
    --------
    >>> advantages, kept = group_advantages(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> advantages.tolist(), kept.tolist()
    ([[1.0, -1.0]], [True, False])
    """
    deviation, mean = torch.std_mean(rewards, dim=1, correction=0, keepdim=True)
    kept = (rewards != rewards[:, :1]).any(1)
    return ((rewards - mean)[kept] / deviation[kept]), kept


def group_relative_policy(
    student: GPT, teacher: GPT, batch: int, generator: torch.Generator
) -> Tensor | None:
    """RLVR by GRPO: `batch` prompts, 8 samples each, reward 1 for a verified answer and 0 for any other.

    Strictly on-policy (one update a batch), so the importance ratio is 1 and nothing is clipped. There is no
    KL penalty. The teacher is not asked. None when no group is left.
    """
    prompts = draw_problems(TUNING_OPERATIONS, batch, generator).prompts
    answers = sample_answers(student, prompts, generator, samples=GROUP_SIZE)
    rewards = verify(prompts.repeat_interleave(GROUP_SIZE, 0), answers).float()
    advantages, kept = group_advantages(rewards.view(batch, GROUP_SIZE))
    if not kept.any():
        return None
    answers = answers.view(batch, GROUP_SIZE, -1)[kept].flatten(0, 1)
    chosen = token_log_probabilities(answer_logits(student, prompts[kept], answers), answers)
    return -(advantages.flatten()[:, None].to(chosen.device) * chosen).mean()
