"""Angles of a graph over a subspace, from the singular values of its tangents."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["angles_of_tangents"]


def angles_of_tangents(tangents: Tensor) -> Tensor:
    """Principal angles between the span of (I; T) and the leading coordinates.

    Parameters
    ----------
    tangents : torch.Tensor
        Shape (j, k), float64.

    Returns
    -------
    torch.Tensor
        Shape (k,): arctan of the singular values of T, ascending; those beyond min(j, k) are zero.
    """
    tall = tangents if tangents.shape[0] > tangents.shape[1] else tangents.mT
    triangle = torch.linalg.qr(tall, mode="r").R if tangents.is_cuda else tall
    found = np.linalg.svd(triangle.cpu().numpy(), compute_uv=False)
    angles = np.zeros(tangents.shape[1])
    angles[: len(found)] = np.arctan(found)
    return torch.from_numpy(np.sort(angles)).to(tangents)
