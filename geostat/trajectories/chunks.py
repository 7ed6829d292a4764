"""How a store is cut into chunks, and a journal into blocks that fit memory."""

import math
from collections.abc import Sequence

import xarray as xr

__all__ = ["block_length", "chunk_shape"]

_BLOCK_BYTES = 96 * 2**20
"""Records held at once while a store is sealed; their labelled copy is as large again."""
_CHUNK_BYTES = 4 * 2**20


def block_length(matrix_bytes: int, n_matrices: int) -> int:
    """Number of matrices that are sealed together.

    Parameters
    ----------
    matrix_bytes : int
        Bytes of one record.
    n_matrices : int
        How many there are.

    Returns
    -------
    int
        A power of two, so that chunks divide blocks; or all of them.
    """
    return min(n_matrices, _power_of_two(_BLOCK_BYTES / matrix_bytes))


def chunk_shape(variable: xr.Variable, length: int, n_matrices: int) -> tuple[int, ...]:
    """Chunks of one variable: all steps of as many matrices as fit 4 MiB.

    A chunk lies within one block. Labels, which have no step, are one chunk: every reader needs them all.

    Parameters
    ----------
    variable : xarray.Variable
        The first block of it.
    length : int
        Matrices in a block.
    n_matrices : int
        Matrices in the store.

    Returns
    -------
    tuple of int
        One length per dim.
    """
    sizes: Sequence[int] = [max(1, size) for size in variable.shape]
    if "matrix" not in variable.dims:
        return tuple(sizes)
    axis = variable.dims.index("matrix")
    one = variable.dtype.itemsize * math.prod(size for i, size in enumerate(sizes) if i != axis)
    matrices = n_matrices if "step" not in variable.dims else min(length, _power_of_two(_CHUNK_BYTES / one))
    return tuple(max(1, matrices) if i == axis else size for i, size in enumerate(sizes))


def _power_of_two(limit: float) -> int:
    """Largest power of two that does not exceed a limit; at least 1."""
    return 1 << max(0, math.floor(math.log2(max(1.0, limit))))
