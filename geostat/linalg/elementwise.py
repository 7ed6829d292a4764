"""Which entries changed: one blocked pass over the stored integers, whatever the number of tolerances."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from geostat.linalg.elementwise_blocks import Integers, Patterns, Space, floats, row_blocks, without_sign
from geostat.linalg.factored import Factored, require_same_shape
from geostat.linalg.masks import Rule
from geostat.protocols import check_setting

__all__ = ["Changed", "Comparison", "changed_count", "changed_counts", "expect"]

_SMALLEST_STEP = 1 / 256
"""Two different finite bf16 numbers differ by this, relative to the larger one, or by more."""
_INTEGER_BLOCK = 1 << 17
_FLOAT_BLOCK = 1 << 15  # a handful of float64 arrays of it stay in the second-level cache

Flags = npt.NDArray[np.bool_]


class Changed(NamedTuple):
    """Which entries of a block changed, under each tolerance.

    Attributes
    ----------
    rows : slice
        The block.
    flags : dict of float to numpy.ndarray
        Tolerance -> flat, bool.
    """

    rows: slice
    flags: dict[float, Flags]


class Comparison(NamedTuple):
    """A pair of matrices and how their entries are compared.

    Attributes
    ----------
    initial, updated : Factored
        Shape (m, n).
    rule : {"relative", "absolute"}
        What a tolerance is relative to.
    space : {"bf16", "raw"}
        Rounded to bf16 first, or as stored.
    """

    initial: Factored
    updated: Factored
    rule: Rule
    space: Space

    @property
    def dtype(self) -> torch.dtype:
        """The type in which both are compared."""
        if self.space == "bf16":
            return torch.bfloat16
        kinds = {self.initial.stored.dtype, self.updated.stored.dtype}
        return kinds.pop() if len(kinds) == 1 else torch.float64

    def canonical(self, eta: float) -> float:
        """Return 0 for every tolerance under which "changed" means "another number".

        Parameters
        ----------
        eta : float
            The tolerance.

        Returns
        -------
        float
            0, or eta: for bf16 numbers every relative tolerance below 1/256 is no tolerance.
        """
        below_a_step = self.rule == "relative" and eta < _SMALLEST_STEP
        return 0.0 if below_a_step and self.dtype is torch.bfloat16 else float(eta)

    def blocks(self, etas: Iterable[float]) -> Iterator[Changed]:
        """Go through both matrices once.

        Parameters
        ----------
        etas : iterable of float
            Canonical tolerances.

        Yields
        ------
        Changed
            A block of rows: where abs(w' - w) > eta max(abs w, abs w'), or > eta.
        """
        tolerances = sorted(set(etas))
        size = _FLOAT_BLOCK if any(tolerances) else _INTEGER_BLOCK
        before, after = Patterns(self.initial, self.dtype), Patterns(self.updated, self.dtype)
        zeros = self._zeros(before, size) if 0.0 in tolerances else []
        for position, rows in enumerate(row_blocks(self.initial, size)):
            flags = {}
            if 0.0 in tolerances:
                flags[0.0] = _different(before[rows], after[rows], with_zeros=zeros[position])
            if tolerances[-1] > 0.0:
                flags |= self._beyond(rows, [eta for eta in tolerances if eta > 0.0])
            yield Changed(rows, flags)

    def _zeros(self, before: Patterns, size: int) -> list[bool]:
        """Which blocks of W_0 hold zeros, so that only they pay for the rule that +0 equals -0."""

        def look() -> list[bool]:
            return [_has_zero(before[rows]) for rows in row_blocks(self.initial, size)]

        return self.initial.remember(("zeros", self.dtype, size), look)

    def _beyond(self, rows: slice, etas: list[float]) -> dict[float, Flags]:
        before, after = (floats(each, rows, self.dtype) for each in (self.initial, self.updated))
        change = np.abs(after - before)
        if self.rule == "absolute":
            return {eta: change > eta for eta in etas}
        scale = np.maximum(np.abs(before), np.abs(after))
        return {eta: change > eta * scale for eta in etas}


def _different(before: Integers, after: Integers, *, with_zeros: bool) -> Flags:
    flags: Flags = before != after
    if with_zeros:
        flags &= without_sign(before | after) != 0
    return flags


def _has_zero(patterns: Integers) -> bool:
    """Whether there is a zero: the pattern 0, or, with the sign bit alone, the smallest integer."""
    return bool(np.count_nonzero(patterns) < patterns.size or patterns.min() == np.iinfo(patterns.dtype).min)


def expect(matrix: Factored, *, etas: Iterable[float] = (), alphas: Iterable[float] = ()) -> None:
    """Say which settings a matrix will be asked about, so that one pass answers for all of them.

    No result depends on it. What is asked for first counts.

    Parameters
    ----------
    matrix : Factored
        W_t for tolerances, W_0 for shares.
    etas : iterable of float
        Tolerances.
    alphas : iterable of float
        Shares of entries in masks.
    """
    matrix.remember("expected etas", lambda: tuple(etas))
    matrix.remember("expected alphas", lambda: tuple(alphas))


def expected(matrix: Factored, what: str, asked: float) -> tuple[float, ...]:
    """Return the announced values together with the one that is asked for, in order."""
    announced: tuple[float, ...] = matrix.remember(f"expected {what}", tuple)
    return tuple(sorted({*announced, asked}))


def compared(initial: Factored, updated: Factored, eta: float, rule: Rule, space: Space) -> Comparison:
    """Check the settings and the shapes of a comparison."""
    for name, value in (("eta", eta), ("rule", rule), ("space", space)):
        check_setting(name, value)
    require_same_shape(initial, updated)
    return Comparison(initial, updated, rule, space)


def changed_counts(
    initial: Factored, updated: Factored, *, etas: Iterable[float], rule: Rule, space: Space
) -> tuple[int, ...]:
    """Count the entries that changed beyond each of several tolerances, in one pass.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    etas : iterable of float
        The tolerances.
    rule : {"relative", "absolute"}
        Relative to the larger magnitude of the two, or absolute in the weights' unit.
    space : {"bf16", "raw"}
        Rounded to bf16 first, or as stored.

    Returns
    -------
    tuple of int
        One count per tolerance: entries with abs(w' - w) > eta max(abs w, abs w'), or > eta.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing.

    Examples
    --------
    >>> import torch
    >>> from geostat.linalg import factored
    >>> start, end = factored(torch.ones(1, 3)), factored(torch.tensor([[1.0, 1.01, 1.5]]))
    >>> changed_counts(start, end, etas=(1e-3, 0.1), rule="relative", space="bf16")
    (2, 1)
    """
    wanted = tuple(etas)
    for eta in wanted:
        compared(initial, updated, eta, rule, space)
    pair = Comparison(initial, updated, rule, space)
    keys = [pair.canonical(eta) for eta in wanted]
    counts = dict.fromkeys(keys, 0)
    for _, flags in pair.blocks(keys) if keys else ():
        for key, flag in flags.items():
            counts[key] += int(np.count_nonzero(flag))
    return tuple(counts[key] for key in keys)


def changed_count(initial: Factored, updated: Factored, *, eta: float, rule: Rule, space: Space) -> int:
    """Count the entries that changed beyond a tolerance; remembered with the pair.

    Tolerances that were announced with `expect` are answered by the same pass.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    eta : float
        The tolerance.
    rule : {"relative", "absolute"}
        Relative to the larger magnitude of the two, or absolute in the weights' unit.
    space : {"bf16", "raw"}
        Rounded to bf16 first, or as stored.

    Returns
    -------
    int
        Number of entries with abs(w' - w) > eta max(abs w, abs w'), or > eta.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ProtocolError
        If a setting means nothing.
    """
    pair = compared(initial, updated, eta, rule, space)

    def count() -> dict[float, int]:
        etas = expected(updated, "etas", eta)
        found = changed_counts(initial, updated, etas=etas, rule=rule, space=space)
        return {pair.canonical(each): number for each, number in zip(etas, found, strict=True)}

    known = updated.remember(("changed counts", initial, rule, space), count)
    if pair.canonical(eta) not in known:
        known |= {
            pair.canonical(eta): changed_counts(initial, updated, etas=(eta,), rule=rule, space=space)[0]
        }
    return known[pair.canonical(eta)]
