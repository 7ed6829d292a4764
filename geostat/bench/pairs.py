"""Pairs of weights that land on the published sparsity and spectral shift, without a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["SPARSITY", "Kind", "updated_weight", "write_run"]

Kind = Literal["SFT", "OPD", "RLVR"]

SPARSITY: dict[Kind, float] = {"SFT": 0.081, "OPD": 0.516, "RLVR": 0.772}
"""Unchanged fractions of shen2026, Table 1; the spectral shifts 1e-3, 1e-4 and a few 1e-5 follow."""

_RANK, _CHANNEL = 16, 0.3
_HALVINGS = 25
_SAMPLE = 2**18


def updated_weight(initial: Tensor, kind: Kind, rng: np.random.Generator, *, progress: float = 1.0) -> Tensor:
    """Train a weight in a way that leaves the published share of its entries unchanged.

    Noise of equal size everywhere and a channel of rank 16, rounded to bf16; its size is found by bisection.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (rows, cols), bf16.
    kind : {"SFT", "OPD", "RLVR"}
        Which training's sparsity.
    rng : numpy.random.Generator
        Source of randomness; the same one gives checkpoints of one run.
    progress : float
        Share of the full update.

    Returns
    -------
    torch.Tensor
        Shape (rows, cols), bf16.
    """
    update = _channel(initial, rng) + torch.from_numpy(rng.standard_normal(initial.shape))
    start = initial.to(torch.float64)
    return (start + progress * _size(start, update, kind) * update).to(torch.bfloat16)


def _channel(initial: Tensor, rng: np.random.Generator) -> Tensor:
    """Rank 16, beside noise of unit size."""
    rows, cols = initial.shape
    channel = rng.standard_normal((rows, _RANK)) @ rng.standard_normal((_RANK, cols))
    return torch.from_numpy(_CHANNEL / np.sqrt(_RANK) * channel)


def _size(start: Tensor, update: Tensor, kind: Kind) -> float:
    """Size of an update, by bisection, that leaves the published share unchanged."""
    few, few_start = update.flatten()[:_SAMPLE], start.flatten()[:_SAMPLE]

    def unchanged(size: float) -> float:
        return float(((few_start + size * few).to(torch.bfloat16) == few_start).double().mean())

    low, high = 1e-8, 1e-1
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if unchanged(middle) > SPARSITY[kind] else (low, middle)
    return low


def _run_of_weights(
    initial: Tensor, kind: Kind, checkpoints: int, rng: np.random.Generator
) -> Iterator[Tensor]:
    """The checkpoints of one run: every stretch adds to the same channel, and noise of its own."""
    channel, start = _channel(initial, rng), initial.to(torch.float64)
    stretches = [channel + torch.from_numpy(rng.standard_normal(initial.shape)) for _ in range(checkpoints)]
    size = _size(start, torch.stack(stretches).sum(0), kind)
    moved = torch.zeros_like(start)
    for stretch in stretches:
        moved += size * stretch
        yield (start + moved).to(torch.bfloat16)


def write_run(folder: Path, shapes: dict[str, tuple[int, int]], checkpoints: int, kind: Kind = "OPD") -> str:
    """Write the start and the checkpoints of a run as bf16 safetensors files.

    Every stretch between checkpoints adds to one channel of rank 16, and noise of its own; the last checkpoint
    has the published share of unchanged entries.

    Parameters
    ----------
    folder : Path
        Where ``base`` and ``step-N`` are written.
    shapes : dict
        Shape by tensor name.
    checkpoints : int
        How many.
    kind : {"SFT", "OPD", "RLVR"}
        Which training's sparsity.

    Returns
    -------
    str
        Glob of the checkpoints.
    """
    starts = {
        name: heavy_tailed_weight(*shape, np.random.default_rng(i))
        for i, (name, shape) in enumerate(shapes.items())
    }
    _save(folder / "base", starts)
    runs = [
        _run_of_weights(weight, kind, checkpoints, np.random.default_rng(1000 + i))
        for i, weight in enumerate(starts.values())
    ]
    for step, weights in enumerate(zip(*runs, strict=True), 1):
        _save(folder / f"step-{step}", dict(zip(starts, weights, strict=True)))
    return str(folder / "step-*")


def _save(folder: Path, tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
