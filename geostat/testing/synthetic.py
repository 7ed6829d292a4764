"""Synthetic weights and runs whose truth is known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

__all__ = ["SyntheticRun", "Trajectory", "random_trajectory", "synthetic_run"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory(Mapping[str, Array]):
    """One matrix at its start and its exact cumulative updates at four moments, all in float64.

    As a mapping it gives every operand that a diagnostic may ask for.

    Attributes
    ----------
    initial : numpy.ndarray
        W_0, shape (m, n).
    first, update, later, final : numpy.ndarray
        dW at the first checkpoint, at t, at t + h, and at the end.
    """

    initial: Array
    first: Array
    update: Array
    later: Array
    final: Array

    def __getitem__(self, name: str) -> Array:
        """Return an operand by its name."""
        derived = {
            "updated": lambda: self.initial + self.update,
            "increment": lambda: self.later - self.update,
            "remaining": lambda: self.final - self.update,
        }
        if name in derived:
            return derived[name]()
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        found: Array = getattr(self, name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the operands' names."""
        return iter((*self.__dataclass_fields__, "updated", "increment", "remaining"))

    def __len__(self) -> int:
        """Return the number of operands."""
        return 8


def _orthonormal(rows: int, cols: int, rng: np.random.Generator) -> Array:
    return np.asarray(np.linalg.qr(rng.standard_normal((rows, cols)))[0])


def random_trajectory(
    rows: int,
    cols: int,
    *,
    rank: int,
    size: float = 0.05,
    noise: float = 0.0,
    rng: np.random.Generator,
) -> Trajectory:
    """A weight with evenly spread singular values and a low-rank channel that grows.

    Parameters
    ----------
    rows, cols : int
        Shape of the weight.
    rank : int
        Rank of the channel.
    size : float
        Spectral norm of the last update, in units of the weight's smallest singular value.
    noise : float
        Spectral norm of full-rank noise, in units of the update's.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Trajectory
        The operands.
    """
    p = min(rows, cols)
    left, right = _orthonormal(rows, p, rng), _orthonormal(cols, p, rng)
    initial = (left * np.linspace(2.0, 1.0, p)) @ right.T
    channel = (_orthonormal(rows, rank, rng) * np.linspace(1.0, 0.5, rank)) @ _orthonormal(cols, rank, rng).T

    def at(time: float) -> Array:
        mixing = rng.uniform(0.8, 1.0, size=rank)
        grown = channel @ channel.T @ channel * (1 - time) + channel * time
        rough = rng.standard_normal((rows, cols)) / (np.sqrt(rows) + np.sqrt(cols))
        return np.asarray(size * time * mixing.mean() * (grown + noise * rough))

    return Trajectory(initial, at(0.25), at(0.5), at(0.75), at(1.0))


@dataclass(frozen=True)
class SyntheticRun:
    """A run on disk whose truth is known.

    Attributes
    ----------
    base : str
        Folder of W_0.
    checkpoints : str
        Glob of the steps.
    steps : tuple of int
        The steps.
    rank : int
        Rank of every update before storage rounding.
    updates : dict of (str, int) to torch.Tensor
        Update before rounding, by tensor name and step.
    """

    base: str
    checkpoints: str
    steps: tuple[int, ...]
    rank: int
    updates: dict[tuple[str, int], torch.Tensor]


_MODULES = ("query", "key", "value", "output")


def synthetic_run(
    folder: str | Path,
    *,
    layers: int = 2,
    rows: int = 48,
    cols: int = 32,
    steps: tuple[int, ...] = (10, 20, 30, 40),
    rank: int = 4,
    size: float = 0.2,
    storage: torch.dtype = torch.bfloat16,
    seed: int = 0,
) -> SyntheticRun:
    """Write a run of a small attention-only model: one fixed channel of known rank that grows linearly.

    Parameters
    ----------
    folder : path
        Where ``base`` and ``step-N`` are written.
    layers : int
        Layers of four matrices each.
    rows, cols : int
        Shape of every matrix.
    steps : tuple of int
        Checkpoints.
    rank : int
        Rank of the channel.
    size : float
        Frobenius norm of the last update relative to W_0.
    storage : torch.dtype
        Dtype of the files.
    seed : int
        Seed of all randomness.

    Returns
    -------
    SyntheticRun
        Paths and truth.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    names = [f"blocks.{layer}.attention.{module}.weight" for layer in range(layers) for module in _MODULES]
    initial = {name: draw(rows, cols) / cols**0.5 for name in names}
    channel = {name: draw(rows, rank) @ draw(rank, cols) for name in names}
    channel = {name: c * size * initial[name].norm() / c.norm() for name, c in channel.items()}
    updates = {(name, step): channel[name] * step / steps[-1] for name in names for step in steps}
    root = Path(folder)
    _save(root / "base", initial, storage)
    for step in steps:
        _save(root / f"step-{step}", {n: initial[n] + updates[n, step] for n in names}, storage)
    return SyntheticRun(str(root / "base"), str(root / "step-*"), steps, rank, updates)


def _save(folder: Path, tensors: dict[str, torch.Tensor], storage: torch.dtype) -> None:
    folder.mkdir(parents=True)
    save_file({name: tensor.to(storage) for name, tensor in tensors.items()}, folder / "model.safetensors")
