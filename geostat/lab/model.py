"""A GPT of 0.40M parameters in plain torch, small enough to be trained in seconds on a laptop.

Pre-norm blocks, learned positions, linear maps without biases, an output head of its own. Query, key, value,
output, up and down are separate matrices, so that each of them is one matrix to measure: 12 in two layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from geostat.lab.problems import ANSWER_LENGTH, PROMPT_LENGTH, VOCABULARY

__all__ = ["GPT", "STUDENT", "Cache", "GPTConfig", "build_model"]

Cache = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values, each (batch, heads, positions, width / heads), of every layer."""


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a model; the defaults are the student's."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    vocabulary: int = len(VOCABULARY)
    positions: int = PROMPT_LENGTH + ANSWER_LENGTH


STUDENT = GPTConfig()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    """Causal self-attention of the last positions on themselves and on all before them."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = _linear(config.width, config.width)
        self.key = _linear(config.width, config.width)
        self.value = _linear(config.width, config.width)
        self.output = _linear(config.width, config.width)

    def _split(self, x: Tensor) -> Tensor:
        """(batch, positions, width) -> (batch, heads, positions, width / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, first: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend from positions `first` on; return the result and the keys and values so far."""
        query = self._split(self.query(x[:, first:]))
        key, value = self._split(self.key(x)), self._split(self.value(x))
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        asked, known = query.shape[2], key.shape[2]
        visible = torch.ones(asked, known, dtype=torch.bool, device=x.device).tril(known - asked)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.output(mixed.transpose(1, 2).flatten(2)), (key, value)


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = _linear(config.width, 4 * config.width)
        self.down = _linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down(functional.gelu(self.up(x)))
        return result


class Block(nn.Module):
    """Attention and feed-forward, each added to its input."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width, bias=False)
        self.attention = Attention(config)
        self.mlp_norm = nn.LayerNorm(config.width, bias=False)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, first: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Output at positions `first` on, and the keys and values of all."""
        attended, present = self.attention(self.attention_norm(x), past, first)
        x = x[:, first:] + attended
        return x + self.mlp(self.mlp_norm(x)), present


class GPT(nn.Module):
    """Decoder-only transformer: tokens -> logits of the next token."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.head = _linear(config.width, config.vocabulary)

    def forward(self, tokens: Tensor, past: Cache | None = None, first: int = 0) -> tuple[Tensor, Cache]:
        """Logits of the tokens that follow, and the cache that continues from here.

        Parameters
        ----------
        tokens
            (batch, positions) token indices, the continuation of `past` where that is given; on any device.
        past
            Keys and values of the tokens before, as returned by an earlier call. Gradients flow through it.
        first
            The first of `tokens` whose logits are wanted (-1: only the last one).

        Returns
        -------
        tuple
            Logits (batch, wanted positions, vocabulary) and the cache over all tokens so far.
        """
        tokens = tokens.to(self.embedding.weight.device)
        start = 0 if past is None else past[0][0].shape[2]
        x = self.embedding(tokens) + self.positions.weight[start : start + tokens.shape[1]]
        presents = []
        for layer, block in enumerate(self.blocks):
            wanted = first if layer == len(self.blocks) - 1 else 0
            x, present = block(x, None if past is None else past[layer], wanted)
            presents.append(present)
        return self.head(self.norm(x)), tuple(presents)


def build_model(config: GPTConfig, generator: torch.Generator) -> GPT:
    """Build a fresh model, its weights drawn from `generator` alone.

    Matrices are normal with variance 1 / (3 inputs), embeddings and positions have standard deviation 0.1,
    norms start at one.

    Examples
    --------
    >>> model = build_model(GPTConfig(), torch.Generator().manual_seed(0))
    >>> sum(parameter.numel() for parameter in model.parameters())
    399872
    """
    with torch.device("meta"):
        model = GPT(config)
    model.to_empty(device="cpu")
    for name, parameter in model.named_parameters():
        _initialize(name, parameter, generator)
    return model


@torch.no_grad()
def _initialize(name: str, parameter: Tensor, generator: torch.Generator) -> None:
    if parameter.ndim == 1:
        parameter.fill_(1.0)
    elif name.startswith(("embedding", "positions")):
        parameter.normal_(0.0, 0.1, generator=generator)
    else:
        parameter.normal_(0.0, (3 * parameter.shape[1]) ** -0.5, generator=generator)
