"""The size at which an update becomes visible in a given share of the entries of a stored weight."""

import numpy as np
import torch
from torch import Tensor

from geostat.errors import SampleError
from geostat.linalg.rounding import round_to_bf16
from geostat.linalg.rounding_cells import rounding_cells

__all__ = ["rounded", "scale_for_density", "stored_update"]


def scale_for_density(initial: Tensor, update: Tensor, density: float) -> float:
    r"""Factor by which an update must be multiplied so that storage shows it in so many entries.

    An entry changes once it leaves the rounding cell of W_0, that is from the factor
    :math:`h_{ij} / |\Delta_{ij}|` on, h the distance to the cell's end on that side. The factor asked for is the
    `density` quantile of these: exact, and no search.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), bfloat16 or float16.
    update : torch.Tensor
        Shape (m, n), float64.
    density : float
        Share of entries, in (0, 1).

    Returns
    -------
    float
        More than 0.

    Raises
    ------
    SampleError
        If the update has fewer nonzero entries than shall change.
    """
    cells = rounding_cells(initial, initial)
    reach = torch.where(update > 0, cells.high, -cells.low) / update.abs()
    wanted = max(1, round(density * reach.numel()))
    below = float(reach.flatten().kthvalue(wanted).values)
    if not below < float("inf"):
        raise SampleError(
            f"A density of {density:.3g} was asked for, and the update moves fewer entries than that. Ask for less, or "
            "pass a denser update."
        )
    return below * (1 + 1e-12)


def stored_update(initial: Tensor, update: Tensor) -> Tensor:
    """What is left of an update once its weights are stored.

    Parameters
    ----------
    initial : torch.Tensor
        Shape (m, n), bfloat16 or float16.
    update : torch.Tensor
        Shape (m, n), float64.

    Returns
    -------
    torch.Tensor
        Shape (m, n), float64: rounded sum less W_0.
    """
    start = initial.to(torch.float64)
    return rounded(start + update, initial.dtype).to(torch.float64) - start


def rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Round float64 numbers to a 16-bit type, once.

    Parameters
    ----------
    values : torch.Tensor
        float64.
    dtype : torch.dtype
        bfloat16 or float16.

    Returns
    -------
    torch.Tensor
        Of that type.
    """
    if dtype is torch.bfloat16:
        return round_to_bf16(values)
    with np.errstate(over="ignore"):  # torch would round by way of float32, twice
        return torch.from_numpy(values.numpy().astype(np.float16))
