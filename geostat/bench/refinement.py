"""Refining every singular vector of W_t from W_0's by products alone: measured, and not used on a CPU."""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import interleaved
from geostat.bench.pairs import Kind, updated_weight
from geostat.bench.settings import Found, Job, Settings
from geostat.linalg import Factored
from geostat.linalg.products import product
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["REFINEMENT_JOBS", "Refined", "refined"]

_BLOCK = 64
_STEEP = 0.1
"""Rotations beyond this are left to the blocks, where neighbours are decomposed together."""
_DONE = 1e-13
_MOST = 8
_KINDS: tuple[Kind, ...] = ("RLVR", "OPD", "SFT")


class Refined(NamedTuple):
    """A decomposition of W_t that was reached from W_0's.

    Attributes
    ----------
    left, values, right : torch.Tensor
        Shape (n, n), (n,), (n, n): in the order of W_0's directions.
    sweeps : int
        How many were needed.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    sweeps: int


def refined(left: Tensor, right: Tensor, matrix: Tensor) -> Refined:
    r"""Turn W_0's singular bases into those of W_t.

    A sweep decomposes blocks of 64 neighbouring directions, shifted by half a block every other time, and
    turns all other pairs at once by what makes :math:`B = U^\top W V = \mathrm{diag}(d) + R` diagonal to first order,

    .. math:: X_{ij} = \frac{d_j R_{ij} + d_i R_{ji}}{d_j^2 - d_i^2}, \qquad
              Y_{ij} = \frac{d_j R_{ji} + d_i R_{ij}}{d_j^2 - d_i^2}

    after which U (I + X) and V (I + Y) are made orthonormal again by Newton's iteration.

    Parameters
    ----------
    left, right : torch.Tensor
        Shape (n, n): where to begin.
    matrix : torch.Tensor
        Shape (n, n), float64.

    Returns
    -------
    Refined
        Until what is left beside the diagonal is below 1e-13 of the largest value, or after 8 sweeps.
    """
    sweeps, rest = 0, 1.0
    while rest > _DONE and sweeps < _MOST:
        left, right = _blocks(left, right, matrix, _BLOCK // 2 * (sweeps % 2))
        left, right, values, rest = _sweep(left, right, matrix)
        sweeps += 1
    return Refined(left, values, right, sweeps)


def _blocks(left: Tensor, right: Tensor, matrix: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    image, left, right = product(matrix, right), left.clone(), right.clone()
    cuts = [0, *range(shift or _BLOCK, len(matrix), _BLOCK), len(matrix)]
    for start, stop in pairwise(cuts):
        inside = slice(start, stop)
        u, _, vt = torch.linalg.svd(product(left[:, inside].mT, image[:, inside]))
        left[:, inside] = product(left[:, inside], u)
        right[:, inside] = product(right[:, inside], vt.mT)
    return left, right


def _sweep(left: Tensor, right: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    turned = product(left.mT, product(matrix, right))
    values = turned.diagonal().clone()
    rest = turned - torch.diag(values)
    rows, cols = values[:, None], values
    scale = cols**2 - rows**2
    x = (cols * rest + rows * rest.mT) / scale
    y = (cols * rest.mT + rows * rest) / scale
    steep = ~(torch.maximum(x.abs(), y.abs()) <= _STEEP)  # the diagonal too: 0 / 0
    x[steep], y[steep] = 0, 0
    left, right = (_orthonormal(basis + product(basis, turn)) for basis, turn in ((left, x), (right, y)))
    return left, right, values, float(rest.abs().max() / values.abs().max())


def _orthonormal(basis: Tensor) -> Tensor:
    for _ in range(3):
        defect = torch.eye(len(basis), dtype=basis.dtype, device=basis.device) - product(basis.mT, basis)
        basis = basis + product(basis, defect) / 2
        if float(defect.abs().max()) < 1e-7:
            break
    return basis


def _bar(size: int, kind: Kind) -> Bar:
    return Bar(f"all vectors refined from W_0's, {size} x {size}, like {kind}, CPU", "ratio")


def _compare(size: int, settings: Settings) -> Found:
    before = heavy_tailed_weight(size, size, np.random.default_rng(0))
    initial = Factored(before).svd
    k = size // 2

    def decomposed(after: Tensor) -> None:
        updated = Factored(after, wanted=k)
        _ = updated.singular_values, updated.vectors(k, "left"), updated.vectors(k, "right")

    for kind in _KINDS:
        after = updated_weight(before, kind, np.random.default_rng(1))
        begin = (initial.left, initial.right, after.to(torch.float64))
        timing = interleaved(partial(decomposed, after), partial(refined, *begin), settings.repeats)
        found = refined(*begin)
        truth = np.linalg.svd(begin[2].numpy(), compute_uv=False)
        error = float(np.abs(np.sort(found.values.numpy())[::-1] - truth).max() / truth[0])
        note = f"{found.sweeps} sweeps; the error is that of singular values, relative to the largest"
        yield _bar(size, kind), Measured(timing.ratio, timing.naive, timing.fast, error, note)


def _job(size: int, *, nightly: bool) -> Job:
    bars = tuple(_bar(size, kind) for kind in _KINDS)
    says = "refinement of W_0's bases by products against decomposing W_t; ratio above 1 where it wins"
    return Job(f"refinement-{size}", says, bars, partial(_compare, size), nightly)


REFINEMENT_JOBS = (_job(1024, nightly=False), _job(2048, nightly=True))
"""Refinement on the CPU."""
