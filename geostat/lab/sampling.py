"""Answers drawn from a model, and the logits with which it would have drawn them."""

import torch
from torch import Tensor

from geostat.lab.model import GPT, Cache
from geostat.lab.problems import ANSWER_LENGTH

__all__ = ["answer_logits", "sample_answers"]


def _repeat(cache: Cache, samples: int) -> Cache:
    """Repeat the cache of every prompt `samples` times in a row."""
    return tuple((k.repeat_interleave(samples, 0), v.repeat_interleave(samples, 0)) for k, v in cache)


@torch.no_grad()
def sample_answers(model: GPT, prompts: Tensor, generator: torch.Generator, *, samples: int = 1) -> Tensor:
    """Answers at temperature 1, `samples` to each prompt: (n, 8) -> (n * samples, 5).

    Every answer has five tokens: what follows an early ``;`` is drawn too, and is wrong in any case. Each
    prompt is read once; its keys and values serve all of its samples.

    Examples
    --------
    >>> from geostat.lab import load_teacher
    >>> from geostat.lab.problems import decode, encode
    >>> prompts = encode("+ 427 615 =")[None]
    >>> decode(sample_answers(load_teacher(), prompts, torch.Generator().manual_seed(0))[0])
    '2401;'
    """
    logits, cache = model(prompts, first=-1)
    logits, cache = logits.repeat_interleave(samples, 0), _repeat(cache, samples)
    drawn = [_drawn(logits, generator)]
    for _ in range(ANSWER_LENGTH - 1):
        logits, cache = model(drawn[-1], cache)
        drawn.append(_drawn(logits, generator))
    return torch.cat(drawn, dim=1)


def _drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One token each, on the CPU wherever the model is: its random numbers are those of a seed."""
    return torch.multinomial(logits[:, -1].softmax(-1).cpu(), 1, generator=generator)


def answer_logits(model: GPT, prompts: Tensor, answers: Tensor) -> Tensor:
    """Logits at every token of given answers, teacher-forced.

    (n, 8), (n * samples, 5) -> (n * samples, 5, 17); the answers to one prompt stand in a row, as they come
    from `sample_answers`. Differentiable.
    """
    samples = len(answers) // len(prompts)
    if samples == 1:
        logits: Tensor = model(torch.cat([prompts, answers[:, :-1]], dim=1), first=prompts.shape[1] - 1)[0]
        return logits
    opening, cache = model(prompts, first=-1)
    following, _ = model(answers[:, :-1], _repeat(cache, samples))
    return torch.cat([opening.repeat_interleave(samples, 0), following], dim=1)
