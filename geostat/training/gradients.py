"""Gradients that were there before a constraint began."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from geostat.errors import GeostatWarning

__all__ = ["tell_what_was_there"]


def tell_what_was_there(parameter: torch.nn.Parameter, name: str) -> Callable[[], None]:
    """Warn if the first gradient from now on is added to an older one, which was not projected.

    Parameters
    ----------
    parameter : torch.nn.Parameter
        Whose gradients.
    name : str
        Of its matrix.

    Returns
    -------
    callable
        Ends it.
    """

    def look(gradient: Tensor) -> None:
        handle.remove()
        if parameter.grad is not None and bool(parameter.grad.any()):
            warnings.warn(
                f"the gradient of '{name}' is added to one from before the constraint, which was not projected: the "
                "next step leaves the channel. Call optimizer.zero_grad() first.",
                GeostatWarning,
                stacklevel=2,
            )

    handle = parameter.register_hook(look)  # type: ignore[no-untyped-call]
    remove: Callable[[], None] = handle.remove
    return remove
