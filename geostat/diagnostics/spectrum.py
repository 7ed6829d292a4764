"""How far training moved the singular values of a weight."""

import torch

from geostat.linalg import MatrixLike, factored
from geostat.linalg.factored import require_same_shape
from geostat.spec import Reason, Undefined, diagnostic

__all__ = ["normalized_spectral_shift"]


@diagnostic(
    units="1",
    bounds=(0.0, float("inf")),
    symbol=r"\mathrm{NSS}(W_0, W_t)",
    reference="shen2026, eq. 3",
    invariances=("scale", "sign", "orthogonal", "permutation", "transpose"),
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
    shift = torch.linalg.vector_norm(updated.singular_values - initial.singular_values)
    return float(shift / torch.linalg.vector_norm(initial.singular_values))
