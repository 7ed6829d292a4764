"""Which accelerator computes what, and what happens when one fails."""

import warnings
from collections.abc import Callable

import torch

from geostat.errors import NumericalWarning
from geostat.trajectories.record import Record
from geostat.trajectories.unit import choose_device

__all__ = ["devices_here", "is_device_failure", "with_fallback"]

_FAILURES = tuple(
    found for name in ("OutOfMemoryError", "AcceleratorError") if (found := getattr(torch, name, None))
)
_MARKS = ("cuda error", "cuda out of memory", "cublas", "cusolver", "cudnn")
"""How older or lower layers name a failure of the device, in a plain RuntimeError."""


def devices_here(device: str) -> tuple[str, ...]:
    """List the devices of this machine that a name stands for.

    Parameters
    ----------
    device : str
        "auto" and "cuda" stand for every accelerator, "cuda:1" and "cpu" for one device.

    Returns
    -------
    tuple of str
        At least one.

    Raises
    ------
    ProtocolError
        If there is no such device here.
    """
    chosen = choose_device(device)
    if chosen.type != "cuda" or chosen.index is not None:
        return (str(chosen),)
    return tuple(f"cuda:{index}" for index in range(max(1, torch.cuda.device_count())))


def is_device_failure(error: BaseException) -> bool:
    """Whether an error says that the accelerator failed, and nothing about the weights.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    bool
        True where its memory is exhausted, or it was lost.
    """
    if isinstance(error, _FAILURES):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(mark in text for mark in _MARKS)


def with_fallback(measure: Callable[[str], Record], device: str, matrix: str) -> Record:
    """Measure on a device, and on the CPU if the device fails, of which is warned.

    Parameters
    ----------
    measure : callable
        Takes the device.
    device : str
        Where to compute first.
    matrix : str
        Name of the matrix, for the warning.

    Returns
    -------
    Record
        Its `computed_on` says where it was computed in the end.
    """
    try:
        return measure(device)
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        why = str(error).strip().splitlines()[0].rstrip(".")
    _free_cache()
    warnings.warn(
        f"{matrix} was measured on the CPU: {device} failed ({why}). If its memory is too small for this matrix, "
        "nothing needs to be done; if the device was lost, later matrices are measured on the CPU as well.",
        NumericalWarning,
        stacklevel=2,
    )
    return measure("cpu")


def _free_cache() -> None:
    """Give back what the failed attempt held; a lost device can refuse even that."""
    try:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
