"""Synthetic weights and runs whose truth is known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

__all__ = [
    "SyntheticRun",
    "Trajectory",
    "random_trajectory",
    "simulated_updates",
    "stored_updates",
    "synthetic_run",
]

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


Kind = Literal["walk", "rotating channel", "locking channel"]
Rate = Literal["constant", "cosine"]


def simulated_updates(
    kind: Kind,
    *,
    rows: int = 64,
    cols: int = 96,
    checkpoints: int = 16,
    rank: int = 8,
    input_decay: float = 0.0,
    rate: Rate = "constant",
    lock_at: float = 0.4,
    strength: float = 3.0,
    noise: float = 1.0,
    rng: np.random.Generator,
) -> Array:
    r"""Cumulative updates of one matrix at evenly spaced checkpoints, of which the truth is known.

    A walk has independent increments :math:`\eta(t)\, G_t \Lambda^{1/2}` with Gaussian :math:`G_t` and input
    covariance :math:`\Lambda = \mathrm{diag}(k^{-\mathrm{input\_decay}})`: no channel, whatever its spectrum. A
    rotating channel drifts along `rank` directions that turn by 90 degrees over the run, on both
    sides. A locking channel walks, and from `lock_at` on drifts along `rank` fixed directions as well.

    Parameters
    ----------
    kind : {"walk", "rotating channel", "locking channel"}
        What happens.
    rows, cols : int
        Shape of the matrix.
    checkpoints : int
        How many, the last at the end of training.
    rank : int
        Directions of a channel.
    input_decay : float
        Exponent of the input covariance's eigenvalues.
    rate : {"constant", "cosine"}
        Learning rate over training.
    lock_at : float
        Share of training before a locking channel begins.
    strength : float
        What a channel adds in one checkpoint gap at full rate, per direction, in units of the largest
        singular value that the isotropic walk has then reached (at the end of training when rotating).
    noise : float
        Size of the walk beside a rotating channel; a locking one has 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Shape (checkpoints, rows, cols).
    """
    edges = np.linspace(0.0, 1.0, checkpoints + 1)
    walked = np.sqrt(_elapsed(edges, rate, 2))[:, None, None] * rng.standard_normal((checkpoints, rows, cols))
    walked *= np.arange(1, cols + 1) ** (-input_decay / 2)
    edge = np.sqrt(rows) + np.sqrt(cols)
    if kind == "walk":
        return np.asarray(walked.cumsum(axis=0))
    if kind == "rotating channel":
        drift = strength * edge * checkpoints * _turning(edges, rate, rows, cols, rank, rng)
        return np.asarray((drift + noise * walked).cumsum(axis=0))
    channel = _orthonormal(rows, rank, rng) @ _orthonormal(cols, rank, rng).T
    late = _elapsed(np.maximum(edges, lock_at), rate, 1)[:, None, None]
    return np.asarray(
        (strength * edge * np.sqrt(lock_at) * checkpoints * late * channel + walked).cumsum(axis=0)
    )


def _elapsed(edges: Array, rate: Rate, power: int) -> Array:
    """Integral of the learning rate, or of its square, between neighbouring times."""
    if rate == "constant":
        return np.asarray(np.diff(edges))
    first, second = np.sin(np.pi * edges) / np.pi, np.sin(2 * np.pi * edges) / np.pi
    integral = edges / 2 + first / 2 if power == 1 else 3 * edges / 8 + first / 2 + second / 16
    return np.asarray(np.diff(integral))


def _turning(edges: Array, rate: Rate, rows: int, cols: int, rank: int, rng: np.random.Generator) -> Array:
    """Increments along directions that turn by 90 degrees from the first to the last moment."""
    left, right = _orthonormal(rows, 2 * rank, rng), _orthonormal(cols, 2 * rank, rng)
    angles = np.pi / 4 * (edges[1:] + edges[:-1])[:, None, None]
    u, v = (np.cos(angles) * basis[:, :rank] + np.sin(angles) * basis[:, rank:] for basis in (left, right))
    return np.asarray(_elapsed(edges, rate, 1)[:, None, None] * (u @ np.swapaxes(v, 1, 2)))


def stored_updates(
    updates: Array, *, size: float, storage: torch.dtype, rng: np.random.Generator
) -> torch.Tensor:
    """Updates as they are read from files: weights are rounded, and their differences taken in float64.

    Parameters
    ----------
    updates : numpy.ndarray
        Shape (checkpoints, rows, cols): true cumulative updates.
    size : float
        Frobenius norm of the last one relative to a Gaussian initial weight.
    storage : torch.dtype
        Dtype of the files; the initial weight is one of its numbers.
    rng : numpy.random.Generator
        Source of the initial weight.

    Returns
    -------
    torch.Tensor
        Same shape, float64; exactly 0 where an entry is unchanged.
    """
    _, rows, cols = updates.shape
    initial = torch.from_numpy(rng.standard_normal((rows, cols)) / np.sqrt(cols)).to(storage).double()
    scale = size * float(initial.norm()) / float(np.linalg.norm(updates[-1]))
    return (initial + scale * torch.from_numpy(updates)).to(storage).double() - initial


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
