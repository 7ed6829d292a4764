"""Which stored types can be compared entry by entry."""

from geostat.checkpoints.base import STORAGE_NAMES, Checkpoint
from geostat.errors import QuantizedTensorError


def check_floating(checkpoint: Checkpoint, tensor: str) -> None:
    """Refuse a tensor that is stored as integers, in 8-bit floats, or as complex numbers."""
    key = checkpoint.stored_name(tensor) or tensor
    dtype = checkpoint.dtype(key)
    if dtype not in STORAGE_NAMES:
        raise QuantizedTensorError(
            f"tensor '{tensor}' of {checkpoint.file_of(key)} is stored as {str(dtype).removeprefix('torch.')}"
            ": quantised, so differences of its entries are not differences of weights. "
            "Save the checkpoint in bf16 or fp32 (dequantised) and measure that."
        )
