"""How a matrix lies inside its tensor: fused, interleaved, transposed, one of many experts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.heads import HeadCounts, head_counts, model_type
from geostat.checkpoints.mapped import Advice
from geostat.checkpoints.vocabulary import QKV
from geostat.errors import NamingError


@dataclass(frozen=True)
class Rows:
    """Every `stride` rows, the `length` rows from `start` on; `count` times."""

    start: int
    length: int
    stride: int
    count: int = 1

    def take(self, matrix: torch.Tensor) -> torch.Tensor:
        """Take these rows of a matrix (count * stride, cols), as a matrix (count * length, cols)."""
        if self.count == 1:
            return matrix[self.start : self.start + self.length]
        blocks = matrix.reshape(self.count, self.stride, matrix.shape[1])
        return blocks[:, self.start : self.start + self.length].reshape(-1, matrix.shape[1])

    def put(self, matrix: torch.Tensor, part: torch.Tensor) -> None:
        """Write these rows of a matrix (count * stride, cols) in place, from a matrix (count * length, cols)."""
        starts = range(self.start, self.start + self.count * self.stride, self.stride)
        for index, start in enumerate(starts):
            matrix[start : start + self.length] = part[index * self.length : (index + 1) * self.length]


@dataclass(frozen=True)
class Layout:
    """Where a matrix (out, in) lies in its tensor.

    Attributes
    ----------
    index : int or None
        Index along the first dimension of a tensor with three, one matrix per expert.
    transposed : bool
        Stored as (in, out).
    rows : Rows or None
        Rows of the fused matrix (out, in) that are this one; None for all.
    """

    index: int | None = None
    transposed: bool = False
    rows: Rows | None = None

    def read(self, checkpoint: Checkpoint, name: str) -> torch.Tensor:
        """Read the matrix, contiguous, in the dtype in which it is stored."""
        stored = checkpoint.read_part(name, self._part) if self._part is not None else checkpoint[name]
        if self._rows_alone:
            return stored.contiguous()
        matrix = stored.T if self.transposed else stored
        return (matrix if self.rows is None else self.rows.take(matrix)).contiguous()

    def take(self, stored: torch.Tensor) -> torch.Tensor:
        """Take the matrix (out, in) from its tensor in memory; it may share memory with it."""
        matrix = self._oriented(stored)
        return matrix if self.rows is None else self.rows.take(matrix)

    def put(self, stored: torch.Tensor, matrix: torch.Tensor) -> None:
        """Write the matrix (out, in) into its tensor, in place."""
        if self.rows is None:
            self._oriented(stored).copy_(matrix)
        else:
            self.rows.put(self._oriented(stored), matrix)

    def _oriented(self, stored: torch.Tensor) -> torch.Tensor:
        part = stored if self.index is None else stored[self.index]
        return part.T if self.transposed else part

    def advise(self, checkpoint: Checkpoint, name: str, advice: Advice) -> None:
        """Say that the matrix is needed soon, or not any more."""
        checkpoint.advise(name, advice, slice(None) if self._part is None else self._part)

    @property
    def _rows_alone(self) -> bool:
        """Whether the matrix is a run of its tensor's rows."""
        if self.index is not None or self.rows is None:
            return False
        return self.rows.count == 1 and not self.transposed

    @property
    def _part(self) -> int | slice | None:
        """Part of the tensor, along its first dimension, that holds the matrix; None for all."""
        if self._rows_alone and self.rows is not None:
            return slice(self.rows.start, self.rows.start + self.rows.length)
        return self.index


@dataclass(frozen=True)
class Fused:
    """A weight that may hold several modules: its module, its tensor, its shape (out, in), whose it is."""

    module: str
    tensor: str
    shape: tuple[int, int]
    config: Mapping[str, Any] | None
    where: str

    def share(self, parts: int) -> int:
        """Count the outputs of each of `parts` equal parts."""
        if self.shape[0] % parts:
            raise NamingError(
                f"{self}: its {self.shape[0]} outputs do not divide into {parts} equal parts. "
                "Name it with `naming=`."
            )
        return self.shape[0] // parts

    def __str__(self) -> str:
        return f"tensor '{self.tensor}' of {self.where}"


def split_rows(weight: Fused) -> dict[str, Rows | None]:
    """Rows of each module in a weight; a weight that is not fused is its only part, all rows (None)."""
    if weight.module == "gate_up_proj":
        return _split_gate_up(weight)
    if weight.module == "in_proj_weight":  # torch.nn.MultiheadAttention: three equal blocks by definition
        return _concatenated(dict.fromkeys(QKV, weight.share(3)))
    if weight.module in ("qkv_proj", "query_key_value"):
        return _split_qkv(weight)
    return {weight.module: None}


def _split_gate_up(weight: Fused) -> dict[str, Rows | None]:
    half = weight.share(2)
    if model_type(weight.config) == "gpt_oss":  # gate and up alternate there
        return {"gate_proj": Rows(0, 1, 2, half), "up_proj": Rows(1, 1, 2, half)}
    return _concatenated({"gate_proj": half, "up_proj": half})


def _split_qkv(weight: Fused) -> dict[str, Rows | None]:
    counts = None if weight.config is None else head_counts(weight.config, weight.tensor)
    if weight.config is None or counts is None:
        raise NamingError(
            f"{weight} holds q, k and v in one, and the head counts that split it are not known: no "
            "config.json with num_attention_heads was found beside the weights. Put the model's config.json "
            "there, or pass open_checkpoint(..., config={'num_attention_heads': ...})."
        )
    head_dim = _head_dim(counts, weight)
    if _interleaved(weight, weight.config):
        return _by_group(counts, head_dim)
    keys = counts.groups * head_dim
    return _concatenated({"q_proj": counts.heads * head_dim, "k_proj": keys, "v_proj": keys})


def _head_dim(counts: HeadCounts, weight: Fused) -> int:
    """Width of a head, after checking that the heads fill the weight and that groups divide them."""
    n_rows, n_cols = weight.shape
    width = counts.head_dim if counts.head_dim is not None else n_cols // counts.heads
    if (counts.heads + 2 * counts.groups) * width == n_rows and counts.heads % counts.groups == 0:
        return width
    raise NamingError(
        f"{weight} has {n_rows} outputs, but {counts.heads} query heads and 2 x {counts.groups} key-value "
        f"heads of width {width} take {(counts.heads + 2 * counts.groups) * width}. "
        "Check that config.json belongs to these weights and states its head counts and head_dim."
    )


def _interleaved(weight: Fused, config: Mapping[str, Any]) -> bool:
    """Whether q, k and v alternate by group of heads: by the habit of the name unless the model differs."""
    kind = model_type(config)
    if kind == "codegen":
        raise NamingError(
            f"{weight}: CodeGen orders q, v and k by a scheme of its own, which is not supported. "
            "Split it yourself and pass the state dict."
        )
    if kind == "gpt_bigcode":
        return not config.get("multi_query", True)
    if kind in ("falcon", "RefinedWeb", "RefinedWebModel") and config.get("multi_query"):
        return bool(config.get("new_decoder_architecture"))
    return weight.module == "query_key_value" and kind != "chatglm"


def _by_group(counts: HeadCounts, head_dim: int) -> dict[str, Rows | None]:
    """Rows where each group holds its query heads, then its key, then its value."""
    queries = counts.heads // counts.groups * head_dim
    stride = queries + 2 * head_dim
    return {
        "q_proj": Rows(0, queries, stride, counts.groups),
        "k_proj": Rows(queries, head_dim, stride, counts.groups),
        "v_proj": Rows(queries + head_dim, head_dim, stride, counts.groups),
    }


def _concatenated(lengths: Mapping[str, int]) -> dict[str, Rows | None]:
    total, start = sum(lengths.values()), 0
    rows: dict[str, Rows | None] = {}
    for name, length in lengths.items():
        rows[name] = Rows(start, length, total)
        start += length
    return rows
