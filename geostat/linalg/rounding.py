"""Rounding to bfloat16, to nearest with ties to even, once and from any width."""

import torch
from torch import Tensor

__all__ = ["round_to_bf16"]


def round_to_bf16(values: Tensor) -> Tensor:
    """Round to bfloat16 as if from infinite precision.

    Converting float64 by way of float32 rounds twice, which moves some entries to the wrong
    neighbour; here the first step rounds to odd, after which the second is right.

    Parameters
    ----------
    values : torch.Tensor
        Any shape, floating point.

    Returns
    -------
    torch.Tensor
        The same shape, dtype bfloat16.
    """
    if values.dtype is not torch.float64:
        return values.to(torch.bfloat16)
    nearest = values.to(torch.float32)
    inexact = nearest.to(torch.float64) != values
    overshoot = nearest.to(torch.float64).abs() > values.abs()
    toward_zero = torch.where(overshoot, torch.nextafter(nearest, torch.zeros_like(nearest)), nearest)
    odd = (toward_zero.view(torch.int32) | inexact.to(torch.int32)).view(torch.float32)
    return odd.to(torch.bfloat16)
