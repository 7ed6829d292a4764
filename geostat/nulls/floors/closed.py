"""Figures of storage errors that follow from their variances, without a simulation."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from geostat.linalg import Factored
from geostat.linalg.factored import Side
from geostat.protocols import Protocol

__all__ = ["closed_form"]

Floats = npt.NDArray[np.float64]


def closed_form(name: str, initial: Factored, variance: Tensor, protocol: Protocol) -> Floats | None:
    r"""Value of a diagnostic where each entry is off by an independent error of known mean square v.

    ========================== ===================================================================
    update_norm                :math:`(\sum_{ij} v_{ij})^{1/2}`
    relative_update_norm       that over :math:`\|W_0\|_F`
    normalized_spectral_shift  :math:`(\sum_a \sum_{ij} U_{ia}^2 v_{ij} V_{ja}^2)^{1/2} / \|s\|_2`, to first order
    principal_subspace_energy  left :math:`\sum_{ij} (U_k U_k^\top)_{ii} v_{ij} / \sum_{ij} v_{ij}`; right likewise
    ========================== ===================================================================

    Parameters
    ----------
    name : str
        Diagnostic.
    initial : Factored
        Shape (m, n).
    variance : torch.Tensor
        Shape (m, n).
    protocol : Protocol
        Sizes and sides of the subspaces.

    Returns
    -------
    numpy.ndarray or None
        Shape of the fields that the protocol sweeps; None where there is no closed form.
    """
    total = float(variance.sum())
    if name == "update_norm":
        return np.array(np.sqrt(total))
    if name == "relative_update_norm":
        return np.array(np.sqrt(total) / initial.frobenius_norm)
    if name == "normalized_spectral_shift":
        return np.array(_shift(initial, variance))
    if name == "principal_subspace_energy":
        sizes = protocol.energy_k if isinstance(protocol.energy_k, tuple) else (protocol.energy_k,)
        found = np.array([[_energy(initial, variance, k, side) for side in protocol.side] for k in sizes])
        return found if isinstance(protocol.energy_k, tuple) else found[0]
    return None


def _shift(initial: Factored, variance: Tensor) -> float:
    if initial.numerical_rank < initial.smaller:  # singular values that are 0 move to second order
        return np.nan
    left, right = initial.vectors(initial.smaller, "left"), initial.vectors(initial.smaller, "right")
    squared = float((((left**2).mT @ variance) * (right**2).mT).sum())
    return float(np.sqrt(squared)) / initial.frobenius_norm


def _energy(initial: Factored, variance: Tensor, k: int, side: Side) -> float:
    if k > initial.smaller or k >= initial.size(side):
        return np.nan
    leverage = (initial.vectors(k, side) ** 2).sum(1)
    along = variance.sum(1 if side == "left" else 0)
    return float(leverage @ along / along.sum())
