"""Whether a weight holds NaN or infinity, from the integers that it is stored as."""

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["is_finite"]

_INFINITY = {
    torch.bfloat16: 0x7F80,
    torch.float16: 0x7C00,
    torch.float32: 0x7F80_0000,
    torch.float64: 0x7FF0_0000_0000_0000,
}
"""Pattern of infinity: those of NaN lie above it, those of finite numbers below, whatever the sign bit."""


def is_finite(weight: torch.Tensor) -> bool:
    """Whether every entry is a finite number, in two reductions and without a copy.

    Parameters
    ----------
    weight : torch.Tensor
        Any shape; floating point of 16, 32 or 64 bits.

    Returns
    -------
    bool
        False where an entry is NaN or infinite.
    """
    if weight.numel() == 0:
        return True
    stored = weight.contiguous().reshape(-1).view(torch.uint8).numpy()
    infinity, n_bits = _INFINITY[weight.dtype], 8 * weight.element_size()
    signed: npt.NDArray[np.integer] = stored.view(f"i{weight.element_size()}")
    unsigned: npt.NDArray[np.integer] = stored.view(f"u{weight.element_size()}")
    return int(signed.max()) < infinity and int(unsigned.max()) < infinity + (1 << (n_bits - 1))
