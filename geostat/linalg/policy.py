"""Which of several ways of computing the same quantity is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

__all__ = ["Policy", "current_policy", "using"]


@dataclass(frozen=True)
class Policy:
    """How matrices are decomposed.

    Attributes
    ----------
    spectra : {"fast", "plain"}
        Certified fast algorithms, or a float64 singular value decomposition of every matrix.
    """

    spectra: Literal["fast", "plain"] = "fast"


_CURRENT: ContextVar[Policy] = ContextVar("geostat_policy", default=Policy())  # noqa: B039 - it is frozen


def current_policy() -> Policy:
    """Return the policy in force here.

    Returns
    -------
    Policy
        The default outside `using`.
    """
    return _CURRENT.get()


@contextmanager
def using(policy: Policy) -> Iterator[None]:
    """Put a policy in force inside a ``with`` block.

    Parameters
    ----------
    policy : Policy
        Which.
    """
    token = _CURRENT.set(policy)
    try:
        yield
    finally:
        _CURRENT.reset(token)
