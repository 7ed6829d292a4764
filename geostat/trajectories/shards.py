"""Shares of one measurement, for jobs that know nothing of each other but a disk."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geostat.errors import ProtocolError
from geostat.trajectories.engines.order import relative_cost, shares

__all__ = ["Shard", "owners"]

_WRITTEN = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """One share of several.

    Attributes
    ----------
    index : int
        From 1.
    count : int
        How many there are.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "2/3".

        Parameters
        ----------
        text : str
            Index and count.

        Returns
        -------
        Shard
            The share.

        Raises
        ------
        ProtocolError
            If it is not of that form, or the index lies outside 1 to count.
        """
        found = _WRITTEN.fullmatch(text.strip()) if isinstance(text, str) else None
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= index <= count:
            raise ProtocolError(
                f"shard={text!r}. Pass 'i/n', for example '2/3' for the second of three shares; i runs from 1 to n."
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def owners(matrices: Sequence[dict[str, Any]], tier: str, count: int) -> list[int]:
    """Tell for each matrix which share measures it.

    Parameters
    ----------
    matrices : sequence of dict
        Rows with "rows" and "cols", in the order of the plan.
    tier : str
        One of `geostat.TIERS`.
    count : int
        Number of shares.

    Returns
    -------
    list of int
        Indices from 1; shares cost about the same, see `geostat.trajectories.engines.order.shares`.
    """
    costs = [relative_cost(row["rows"], row["cols"], tier) for row in matrices]
    return [1 + share for share in shares(costs, count)]
