"""How far training moved the singular values of a weight."""

import math
from typing import NamedTuple

import torch

from geostat.diagnostics.registered import diagnostic
from geostat.linalg import Factored, MatrixLike, factored
from geostat.linalg.factored import require_same_shape
from geostat.linalg.products import norm
from geostat.spec import Reason, Undefined

__all__ = ["normalized_spectral_shift"]

ACCURACY = 1e-9
"""Largest error put up with, relative to the shift itself."""
FLOOR = 1e-15
"""And in any case, per root of the number of singular values: the rounding of a decomposition in float64."""


@diagnostic(
    units="1",
    bounds=(0.0, float("inf")),
    symbol=r"\mathrm{NSS}(W_0, W_t)",
    reference="shen2026, eq. 3",
    invariances=("scale", "sign", "orthogonal", "permutation", "transpose"),
    tier="angles",
)
def normalized_spectral_shift(initial: MatrixLike, updated: MatrixLike) -> float:
    r"""Normalized spectral shift.

    .. math:: \mathrm{NSS} = \frac{\|s(W_t) - s(W_0)\|_2}{\|s(W_0)\|_2}

    over all singular values in descending order. It is not the spectrum of the update, and blind to
    rotation: a run may turn every singular vector and keep an NSS of zero. By Mirsky's inequality it
    is at most norm_F(dW) / norm_F(W_0).

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n).

    Returns
    -------
    float
        At least 0, dimensionless. NaN for a zero initial weight.

    Raises
    ------
    ShapeError
        If the shapes differ.

    References
    ----------
    shen2026, eq. 3; mirsky1960.

    Examples
    --------
    >>> import numpy as np
    >>> import geostat as gs
    >>> gs.normalized_spectral_shift(np.diag([4.0, 3.0]), np.diag([4.0, 3.5]))
    0.1
    """
    initial, updated = factored(initial), factored(updated)
    require_same_shape(initial, updated)
    if initial.is_zero:
        return Undefined(Reason.zero_initial)
    while (found := _shift(initial, updated)).uncertain and (updated.sharpen() | initial.sharpen()):
        continue
    return found.value


class _Shift(NamedTuple):
    value: float
    uncertain: bool


def _shift(initial: Factored, updated: Factored) -> _Shift:
    """The shift, and whether rounding of the singular values moves it by more than is put up with."""
    before, after = initial.spectrum, updated.spectrum
    size = norm(before.values)
    value = norm(after.values - before.values) / size
    error = norm(torch.stack([before.errors, after.errors])) / size
    return _Shift(value, error > ACCURACY * value + FLOOR * math.sqrt(initial.smaller))
