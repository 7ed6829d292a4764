"""Registering geostat's own diagnostics, so that a direct call computes as a measurement does."""

from collections.abc import Callable
from typing import Any, TypeVar

from geostat.linalg import own_arithmetic
from geostat.spec import diagnostic as register

__all__ = ["diagnostic"]

F = TypeVar("F", bound=Callable[..., Any])


def diagnostic(**description: Any) -> Callable[[F], F]:
    """Register a function as a diagnostic that computes in geostat's own arithmetic, whoever calls it.

    Parameters
    ----------
    **description
        See `geostat.diagnostic`.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(function: F) -> F:
        return register(**description)(own_arithmetic()(function))

    return decorate
