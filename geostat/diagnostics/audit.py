"""Inequalities that hold for every pair of matrices: where a row breaks one, the arithmetic is wrong."""

from typing import NamedTuple

import torch

from geostat.linalg import Factored
from geostat.linalg.products import norm

__all__ = ["AUDITS", "Violation", "audit"]

AUDITS = ("weyl", "mirsky", "ky_fan")
"""Names of the inequalities, in the order of the bits of a store's `audit` variable."""


class Violation(NamedTuple):
    """An inequality, and by how much its left side exceeds its right one."""

    name: str
    left: float
    right: float


def audit(initial: Factored, updated: Factored, update: Factored) -> list[Violation]:
    r"""Check Weyl's, Mirsky's and Ky Fan's inequalities on one stored row.

    .. math::
        |s_i(W_t) - s_i(W_0)| \le \|\Delta W\|_2, \quad
        \|s(W_t) - s(W_0)\|_2 \le \|\Delta W\|_F, \quad
        \Big|\sum_{i \le k} s_i(W_t) - s_i(W_0)\Big| \le k \|\Delta W\|_2

    Parameters
    ----------
    initial, updated, update : Factored
        Shape (m, n); update = updated - initial.

    Returns
    -------
    list of Violation
        Empty where all hold up to rounding in float64 and the stated errors of the singular values.

    References
    ----------
    weyl1912; mirsky1960; fan1951.

    Examples
    --------
    >>> import numpy as np
    >>> from geostat.linalg import factored
    >>> a, b = factored(np.diag([2.0, 1.0])), factored(np.diag([2.0, 3.0]))
    >>> audit(a, b, b.minus(a))
    []
    >>> [v.name for v in audit(a, b, factored(np.diag([0.0, 0.5])))]
    ['weyl', 'mirsky', 'ky_fan']
    """
    before, after = initial.spectrum, updated.spectrum
    shift = after.values - before.values
    counts = torch.arange(1, len(shift) + 1, dtype=torch.float64, device=shift.device)
    spectral = update.spectral_norm
    ky_fan = (shift.cumsum(0).abs() / counts).max()
    sides = (
        Violation("weyl", float(shift.abs().max()), spectral),
        Violation("mirsky", norm(shift), update.frobenius_norm),
        Violation("ky_fan", float(ky_fan), spectral),
    )
    largest = max(initial.spectral_norm, updated.spectral_norm)
    uncertain = norm(before.errors) + norm(after.errors)
    slack = uncertain + 4 * (initial.rows + initial.cols) * torch.finfo(torch.float64).eps * largest
    return [v for v in sides if v.left > v.right + slack]
