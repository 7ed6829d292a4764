"""What a procedure noticed: given as a warning and kept in the result."""

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from geostat.errors import GeostatWarning, UndefinedWarning

__all__ = ["Notice", "give", "matrices_left_out"]


class Notice(NamedTuple):
    """A warning that has not been given yet."""

    category: type[GeostatWarning]
    text: str


def give(notices: Iterable[Notice]) -> tuple[str, ...]:
    """Give every notice as a warning that points at the caller of the public function.

    Parameters
    ----------
    notices : iterable of Notice
        In the order in which they are given.

    Returns
    -------
    tuple of str
        Their texts, for the result.
    """
    told = list(notices)
    for notice in told:
        warnings.warn(notice.text, notice.category, stacklevel=3)
    return tuple(notice.text for notice in told)


def matrices_left_out(what: str, names: Sequence[str], total: int, why: str) -> Notice:
    """Say which matrices an average leaves out.

    Parameters
    ----------
    what : str
        The metric, and whose.
    names : sequence of str
        Matrices left out; three are named.
    total : int
        How many there are.
    why : str
        To follow "have no value".

    Returns
    -------
    Notice
        An UndefinedWarning.
    """
    told = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return Notice(UndefinedWarning, f"{what}: {len(names)} of {total} matrices ({told}) have no value {why}.")
