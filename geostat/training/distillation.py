r"""Distillation by policy gradient, and what disturbs it, as a loss of any student, teacher and rollouts.

The advantage of a sampled token is the gap :math:`\log \pi_T - \log \pi_S`. Fewer tokens, somebody else's rollouts and
rewards mixed in all act on it.
"""

from typing import Literal

import torch
from torch import Tensor

from geostat.errors import ProtocolError, ShapeError
from geostat.training.advantages import mixed_advantages, reverse_kl, token_log_probabilities

__all__ = ["Choose", "distillation_loss", "token_weights"]

Choose = Literal["random", "top_kl"]


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    tokens: Tensor,
    *,
    mask: Tensor | None = None,
    keep: float = 1.0,
    choose: Choose = "random",
    rewards: Tensor | None = None,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sampled-token distillation loss, whole or disturbed.

    .. math::
        -\frac{1}{T} \sum_t w_t A_t \log \pi_S(y_t), \qquad
        A_t = \alpha (\log \pi_T(y_t) - \log \pi_S(y_t)) + (1 - \alpha) \hat{r}_t

    with no gradient through the weights and advantages; :math:`w_t` is :func:`token_weights`, and :math:`\hat{r}_t` the
    reward of the token's answer less the mean of its prompt's answers, over their standard deviation.

    Parameters
    ----------
    student, teacher : torch.Tensor
        Logits at every answer token, shape (answers, T, vocabulary); answers to one prompt stand in a row.
    tokens : torch.Tensor
        The answers, shape (answers, T). The student's own samples; or the teacher's, without importance weights: the
        gradient is then that of :math:`\tfrac12 E_{\pi_T} (\log \pi_T - \log \pi_S)^2`, which is least where the two
        agree but is no divergence of the student's own distribution.
    mask : torch.Tensor, optional
        Shape (answers, T), True where a token counts, False where it is padding.
    keep : float
        Share of the tokens that is trained on, in (0, 1].
    choose : {"random", "top_kl"}
        Which: any, or those with the largest reverse KL.
    rewards : torch.Tensor, optional
        Shape (prompts, samples); needed for ``alpha`` below 1.
    alpha : float
        Share of distillation in the advantage, in [0, 1].
    generator : torch.Generator, optional
        Source of the random choice, on the CPU.

    Returns
    -------
    torch.Tensor
        Scalar, nats.

    Raises
    ------
    ShapeError, ProtocolError
        If shapes do not fit each other, or a setting means nothing.

    References
    ----------
    P1 (section 5, appendix G).

    Examples
    --------
    >>> student = torch.zeros(2, 3, 5, requires_grad=True)
    >>> teacher, tokens = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 4, 0]])
    >>> distillation_loss(student, teacher, tokens, keep=0.5, choose="top_kl").backward()
    >>> int((student.grad.abs().sum(-1) > 0).sum())
    3
    """
    _check(student, teacher, tokens, mask, rewards, alpha)
    chosen = token_log_probabilities(student, tokens)
    gaps = token_log_probabilities(teacher.detach(), tokens) - chosen.detach()
    advantages = gaps if rewards is None else mixed_advantages(gaps, rewards, alpha)
    weights = token_weights(
        student.detach(), teacher.detach(), keep=keep, choose=choose, mask=mask, generator=generator
    )
    return -(weights * advantages * chosen).mean()


def token_weights(
    student: Tensor,
    teacher: Tensor,
    *,
    keep: float,
    choose: Choose = "random",
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Weight of each token: 0, or tokens over tokens kept, so that the mean is one.

    Parameters
    ----------
    student, teacher, keep, choose, mask, generator
        As in `distillation_loss`.

    Returns
    -------
    torch.Tensor
        Shape (answers, T).

    Raises
    ------
    ProtocolError
        If `keep` or `choose` means nothing, or the mask leaves no token.

    Examples
    --------
    >>> logits = torch.zeros(1, 4, 3)
    >>> token_weights(logits, logits, keep=0.5, generator=torch.Generator().manual_seed(0)).sort().values
    tensor([[0., 0., 2., 2.]])
    """
    if not 0 < keep <= 1 or choose not in ("random", "top_kl"):
        raise ProtocolError(
            f"keep={keep} and choose={choose!r}: pass keep in (0, 1], and 'random' or 'top_kl'."
        )
    shape, count = student.shape[:-1], student.shape[:-1].numel()
    real = count if mask is None else int(mask.sum())
    if not real:
        raise ProtocolError("the mask leaves no token to train on.")
    if keep == 1:
        whole = torch.ones(shape, device=student.device)
        return whole if mask is None else whole * mask * (count / real)
    kept = max(1, round(keep * real))
    if choose == "top_kl":
        marks = reverse_kl(student, teacher)
    else:
        marks = torch.rand(shape, generator=generator).to(student.device)
    if mask is not None:
        marks = marks.masked_fill(~mask.bool(), -torch.inf)
    weights = torch.zeros(count, device=student.device)
    weights[marks.flatten().topk(kept).indices] = count / kept
    return weights.view(shape)


def _check(
    student: Tensor,
    teacher: Tensor,
    tokens: Tensor,
    mask: Tensor | None,
    rewards: Tensor | None,
    alpha: float,
) -> None:
    shapes = f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}, tokens {tuple(tokens.shape)}"
    if student.ndim != 3 or student.shape != teacher.shape or tokens.shape != student.shape[:-1]:
        raise ShapeError(
            f"{shapes}: expected logits (answers, T, vocabulary), twice, and tokens (answers, T). Cut prompts off, and "
            "logits one token earlier than the tokens that they predict."
        )
    if mask is not None and mask.shape != tokens.shape:
        raise ShapeError(f"{shapes}, mask {tuple(mask.shape)}: expected a mask of the shape of the tokens.")
    if not 0 <= alpha <= 1 or (alpha < 1 and rewards is None):
        raise ProtocolError(
            f"alpha={alpha} with rewards={'None' if rewards is None else 'given'}: pass alpha in [0, 1], and below 1 "
            "the rewards that are mixed in."
        )
    if rewards is not None and (rewards.ndim != 2 or rewards.numel() != len(tokens)):
        raise ShapeError(
            f"{shapes}, rewards {tuple(rewards.shape)}: expected (prompts, samples), one reward for each answer."
        )
