"""Several runs of one matrix that start from the same weights: as arrays, or by name from checkpoints."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from geostat.checkpoints import (
    Checkpoint,
    Selection,
    list_matrices,
    open_checkpoint,
    pair_matrices,
    read_matrix,
)
from geostat.errors import ProtocolError, SampleError, ShapeError
from geostat.linalg import Factored, MatrixLike, factored
from geostat.linalg.factored import require_same_shape
from geostat.nulls.gates.storage import storage_of

__all__ = ["Runs", "SharedStart", "Weights", "shared_starts", "unchanged_runs"]

Weights = MatrixLike | Checkpoint | Mapping[str, Any] | str | os.PathLike[str]
"""One matrix, or a checkpoint that holds it."""
Runs = Mapping[str, Weights | tuple[Weights, Weights]] | Sequence[Weights | tuple[Weights, Weights]]
"""Runs by name or in order: what each ended with, or the pair of its start and its end."""

_NARROW = {torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass(frozen=True, eq=False)
class SharedStart:
    """One matrix of several runs that start from the same weights.

    Attributes
    ----------
    matrix : str
        Its name; empty where arrays were passed.
    initial : Factored
        W_0, shape (m, n).
    updated : mapping of str to Factored
        Run -> its weights, shape (m, n).
    storage : torch.dtype
        The one type whose numbers all weights are.
    """

    matrix: str
    initial: Factored
    updated: Mapping[str, Factored]
    storage: torch.dtype

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of runs."""
        return list(combinations(self.updated, 2))

    @property
    def rounded(self) -> bool:
        """Whether storage rounded the weights to 16 bits."""
        return self.storage in _NARROW

    @property
    def told_storage(self) -> str:
        """Type in which the weights are stored, in words."""
        return _NARROW.get(self.storage, str(self.storage).removeprefix("torch."))

    def stored(self, run: str | None = None) -> torch.Tensor:
        """Weights of a run as 16-bit numbers.

        Parameters
        ----------
        run : str, optional
            Which; W_0 by default.

        Returns
        -------
        torch.Tensor
            Shape (m, n), of the type in which they are stored.
        """
        matrix = self.initial if run is None else self.updated[run]
        return matrix.stored.to(self.storage).cpu().contiguous()

    def patterns(self, run: str | None = None) -> npt.NDArray[np.int16]:
        """Bit patterns of a run's weights, -0 written as 0.

        Parameters
        ----------
        run : str, optional
            Which; W_0 by default.

        Returns
        -------
        numpy.ndarray
            Shape (m, n).
        """
        found: npt.NDArray[np.int16] = self.stored(run).view(torch.int16).numpy()
        return np.where(found == np.iinfo(np.int16).min, np.int16(0), found)


def shared_starts(
    runs: Runs, *, initial: Weights | None, matrices: Selection, asked: str
) -> Iterator[SharedStart]:
    """Read runs that start from the same weights, one matrix at a time.

    Parameters
    ----------
    runs : mapping or sequence
        Runs by name, or in order (named "1", "2", ...): what each ended with, or pairs (initial, updated).
    initial : array, tensor, path or checkpoint, optional
        What all start from; left out where `runs` holds pairs.
    matrices : str, sequence of str or callable
        Which matrices of checkpoints; ignored for arrays.
    asked : str
        Name of the caller, for errors.

    Yields
    ------
    SharedStart
        Checked: shapes, storage, and the start, are the same in all runs.

    Raises
    ------
    SampleError
        If there are fewer than two runs, or they start from different weights.
    ShapeError
        If shapes differ.
    ProtocolError
        If the weights are stored in several types.
    """
    named = _named(runs)
    if len(named) < 2:
        raise SampleError(
            f"{asked} compares runs with each other, and was given {len(named)}: {', '.join(named) or 'none'}. Pass "
            "two or more runs that start from the same weights."
        )
    pairs = {name: _pair(name, given, initial, asked) for name, given in named.items()}
    flat = [each for pair in pairs.values() for each in pair]
    if all(_is_matrix(each) for each in flat):
        yield _checked("", {name: (factored(a), factored(b)) for name, (a, b) in pairs.items()}, asked)
        return
    if any(_is_matrix(each) for each in flat):
        raise SampleError(f"{asked} was given matrices and checkpoints together. Pass one kind for all runs.")
    yield from _from_checkpoints(pairs, matrices, asked)


def _named(runs: Runs) -> dict[str, Any]:
    if isinstance(runs, Mapping):
        return {str(name): given for name, given in runs.items()}
    if isinstance(runs, list | tuple):
        return {str(place): given for place, given in enumerate(runs, 1)}
    raise SampleError(
        f"runs is a {type(runs).__name__}. Pass a mapping from names to what each run ended with, or a list of these."
    )


def _pair(name: str, given: Any, initial: Any, asked: str) -> tuple[Any, Any]:
    is_pair = isinstance(given, tuple) and len(given) == 2
    if is_pair == (initial is not None):
        found = "a pair as well as initial=" if is_pair else "no start"
        raise SampleError(
            f"{asked}: run {name!r} was given with {found}. Pass initial= once and each run's end, or a pair "
            "(initial, updated) for each run."
        )
    return given if is_pair else (initial, given)


def _is_matrix(given: Any) -> bool:
    return isinstance(given, Factored | torch.Tensor | np.ndarray)


def _from_checkpoints(
    pairs: Mapping[str, tuple[Any, Any]], matrices: Selection, asked: str
) -> Iterator[SharedStart]:
    opened: dict[str, Checkpoint] = {}

    def checkpoint(given: Any) -> Checkpoint:
        key = str(given) if isinstance(given, str | os.PathLike) else f"in memory {id(given)}"
        if key not in opened:
            opened[key] = open_checkpoint(given)
        return opened[key]

    files = {name: (checkpoint(a), checkpoint(b)) for name, (a, b) in pairs.items()}
    base = next(iter(files.values()))[0]
    refs = list_matrices(base, matrices)
    for start, end in files.values():
        for each in {id(start): start, id(end): end}.values():
            if each is not base:
                pair_matrices(base, each, refs)
    for ref in refs:
        read: dict[int, Factored] = {}
        for each in (c for both in files.values() for c in both):
            if id(each) not in read:
                read[id(each)] = factored(read_matrix(each, ref))
        yield _checked(ref.name, {n: (read[id(a)], read[id(b)]) for n, (a, b) in files.items()}, asked)


def _checked(matrix: str, pairs: Mapping[str, tuple[Factored, Factored]], asked: str) -> SharedStart:
    where = f" of matrix {matrix!r}" if matrix else ""
    first, (initial, _) = next(iter(pairs.items()))
    for name, (start, end) in pairs.items():
        for role, each in (("start", start), ("end", end)):
            _require_shape(
                initial, each, f"the {role} of run {name!r}{where} against the start of run {first!r}"
            )
        if start is not initial and not torch.equal(start.stored, initial.stored):
            share = float((start.values != initial.values).to(torch.float64).mean())
            raise SampleError(
                f"{asked}: runs {first!r} and {name!r} start from different weights{where} ({share:.1%} of the "
                "entries differ). What they share is not defined then: pass runs of one base."
            )
    kinds = {"the start": storage_of(initial)} | {
        f"run {n!r}": storage_of(end) for n, (_, end) in pairs.items()
    }
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{who} {str(dtype).removeprefix('torch.')}" for who, dtype in kinds.items())
        raise ProtocolError(
            f"{asked}: the weights{where} are stored in several types: {told}. Rounding then differs between "
            "them: pass checkpoints that were saved in one type."
        )
    return SharedStart(matrix, initial, {n: end for n, (_, end) in pairs.items()}, kinds["the start"])


def _require_shape(first: Factored, second: Factored, what: str) -> None:
    try:
        require_same_shape(first, second)
    except ShapeError as error:
        raise ShapeError(f"{what}: {error}") from None


def unchanged_runs(start: SharedStart) -> list[str]:
    """Runs whose weights are those of the start.

    Parameters
    ----------
    start : SharedStart
        Runs of one matrix.

    Returns
    -------
    list of str
        Their names.
    """
    return [name for name, end in start.updated.items() if end.minus(start.initial).is_zero]
