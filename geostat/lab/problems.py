"""Three-digit problems ``op a b =`` whose answers can be checked exactly.

A problem is eight tokens, its answer five: four result digits, least significant first, and ``;``. So
``+ 4 2 7 6 1 5 =`` is answered by ``2 4 0 1 ;`` (427 + 615 = 1042).

The vocabulary has 17 symbols, of which five name operations. Pretraining and tuning share ``+`` and ``-``: in
pretraining they forget the carry, in tuning they mean what they mean in school. A base model therefore
answers the problems in which nothing is carried, 23% of them (.55^3 of the sums, .55^2 of the differences),
and tuning is left with the carry to learn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "ANSWER_LENGTH",
    "EVALUATION_SIZE",
    "PRETRAINING_OPERATIONS",
    "PROMPT_LENGTH",
    "TUNING_OPERATIONS",
    "VOCABULARY",
    "Operation",
    "Problems",
    "decode",
    "draw_problems",
    "encode",
    "evaluation_problems",
    "solve",
    "verify",
]

VOCABULARY = "0123456789+-^mc=;"
OPERAND_DIGITS = 3
RESULT_DIGITS = 4
PROMPT_LENGTH = 1 + 2 * OPERAND_DIGITS + 1
ANSWER_LENGTH = RESULT_DIGITS + 1
EVALUATION_SIZE = 4096
EVALUATION_SEED = 20260607


@dataclass(frozen=True)
class Operation:
    """A symbol and the function of two whole numbers that it stands for."""

    symbol: str
    compute: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problems:
    """Prompts (n, 8) and their answers (n, 5), as token indices."""

    prompts: Tensor
    answers: Tensor


def encode(text: str) -> Tensor:
    """Token indices of a text; spaces are ignored.

    Examples
    --------
    >>> encode("+ 427 615 =").tolist()
    [10, 4, 2, 7, 6, 1, 5, 15]
    """
    return torch.tensor([VOCABULARY.index(symbol) for symbol in text.replace(" ", "")])


def decode(tokens: Tensor) -> str:
    """Text of a one-dimensional tensor of token indices.

    Examples
    --------
    >>> decode(solve(encode("+ 427 615 =")))
    '2401;'
    """
    return "".join(VOCABULARY[index] for index in tokens.tolist())


def _digits(numbers: Tensor, count: int) -> Tensor:
    """Decimal digits, least significant first: (...) -> (..., count)."""
    return numbers[..., None] // 10 ** torch.arange(count) % 10


def _number(digits: Tensor) -> Tensor:
    """Inverse of `_digits`: (..., count) -> (...)."""
    return (digits * 10 ** torch.arange(digits.shape[-1])).sum(-1)


def _digitwise(combine: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def compute(a: Tensor, b: Tensor) -> Tensor:
        return _number(combine(_digits(a, OPERAND_DIGITS), _digits(b, OPERAND_DIGITS)) % 10)

    return compute


PRETRAINING_OPERATIONS = (
    Operation("+", _digitwise(torch.add)),
    Operation("-", _digitwise(torch.sub)),
    Operation("^", _digitwise(torch.maximum)),
    Operation("m", torch.maximum),
    Operation("c", lambda a, b: a),
)
"""Digitwise sum and difference (mod 10, nothing carried), digitwise maximum, maximum, copy of the first."""

TUNING_OPERATIONS = (
    Operation("+", torch.add),
    Operation("-", lambda a, b: (a - b) % 10**OPERAND_DIGITS),
)
"""The sum (up to 1998, hence four result digits) and the difference modulo 1000."""


def solve(prompts: Tensor, operations: Sequence[Operation] = TUNING_OPERATIONS) -> Tensor:
    """Answers (..., 5) to prompts (..., 8); a symbol outside `operations` is answered by 0."""
    a = _number(prompts[..., 1 : 1 + OPERAND_DIGITS].flip(-1))
    b = _number(prompts[..., 1 + OPERAND_DIGITS : -1].flip(-1))
    result = torch.zeros_like(a)
    for operation in operations:
        chosen = prompts[..., 0] == VOCABULARY.index(operation.symbol)
        result = torch.where(chosen, operation.compute(a, b), result)
    end = torch.full_like(result, VOCABULARY.index(";"))
    return torch.cat([_digits(result, RESULT_DIGITS), end[..., None]], dim=-1)


def verify(prompts: Tensor, answers: Tensor) -> Tensor:
    """Whether an answer (..., 5) to a tuning prompt (..., 8) is right in every token: the reward of RLVR.

    Not a partial credit: three right digits of four count as nothing.

    Examples
    --------
    >>> verify(encode("- 100 001 ="), encode("9900;")).item()
    True
    """
    return (solve(prompts) == answers).all(-1)


def draw_problems(operations: Sequence[Operation], size: int, generator: torch.Generator) -> Problems:
    """Independent problems: operation and operands uniform, with replacement."""
    symbols = torch.tensor([VOCABULARY.index(operation.symbol) for operation in operations])
    chosen = symbols[torch.randint(len(operations), (size, 1), generator=generator)]
    operands = torch.randint(10, (size, 2 * OPERAND_DIGITS), generator=generator)
    equals = torch.full((size, 1), VOCABULARY.index("="))
    prompts = torch.cat([chosen, operands, equals], dim=1)
    return Problems(prompts, solve(prompts, operations))


def evaluation_problems(size: int = EVALUATION_SIZE) -> Problems:
    """Tuning problems on which every model is evaluated: the same at each call.

    Not held out: training draws from all 2,000,000 problems, so a run of 300 batches of 128 meets about 2% of
    them once.
    """
    return draw_problems(TUNING_OPERATIONS, size, torch.Generator().manual_seed(EVALUATION_SEED))
