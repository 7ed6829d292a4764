"""What student, teacher and rewards say of a token."""

import torch
from torch import Tensor

__all__ = ["mixed_advantages", "reverse_kl", "token_log_probabilities"]


def mixed_advantages(gaps: Tensor, rewards: Tensor, alpha: float) -> Tensor:
    """Mix the advantages of distillation and of RLVR.

    Parameters
    ----------
    gaps : torch.Tensor
        Shape (prompts * samples, tokens), nats: log-probability of the teacher less that of the student.
    rewards : torch.Tensor
        Shape (prompts, samples).
    alpha : float
        Share of distillation.

    Returns
    -------
    torch.Tensor
        Shape (prompts * samples, tokens). Where all answers to a prompt got one reward, RLVR has nothing to say.

    Examples
    --------
    >>> mixed_advantages(torch.ones(2, 1), torch.tensor([[1.0, 0.0]]), alpha=0.25).flatten().tolist()
    [1.0, -0.5]
    """
    if alpha == 1:
        return gaps
    deviation, mean = torch.std_mean(rewards, dim=1, correction=0, keepdim=True)
    scores = torch.where(deviation > 0, (rewards - mean) / deviation, torch.zeros_like(rewards))
    return alpha * gaps + (1 - alpha) * scores.flatten()[:, None].to(gaps.device)


def reverse_kl(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    r"""Reverse Kullback-Leibler divergence of each token distribution, in nats: (..., vocabulary) -> (...).

    .. math:: \mathrm{KL}(\pi_S \| \pi_T) = \sum_v \pi_S(v) (\log \pi_S(v) - \log \pi_T(v))

    Lies in [0, inf), 0 where the two agree. Not symmetric: it forgives a student that leaves out what the
    teacher would also have said.

    Examples
    --------
    >>> fair, biased = torch.zeros(2), torch.tensor([0.0, 1.0])
    >>> print(f"{reverse_kl(fair, biased):.3f} {reverse_kl(fair, fair):.3f}")
    0.120 0.000
    """
    student, teacher = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (student.exp() * (student - teacher)).sum(-1)


def token_log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each given token: (..., vocabulary), (...) -> (...)."""
    return logits.log_softmax(-1).gather(-1, tokens[..., None].to(logits.device)).squeeze(-1)
