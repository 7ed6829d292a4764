"""Names of the figures, and what each part knows of them."""

from typing import Any

from geostat.linalg.factored import Side

__all__ = ["CHANNEL", "SIDES", "Figures", "Row", "merged", "recovered_name", "similarity_name"]

CHANNEL = 16
SIDES: tuple[Side, ...] = ("left", "right")

Row = dict[str, Any]
"""Column -> value."""
Figures = dict[str, Row]
"""Figure -> what is known of it."""


def similarity_name(side: str) -> str:
    """Similarity of the channel halfway with the one at the end.

    Parameters
    ----------
    side : str
        "left" or "right".

    Returns
    -------
    str
        Identifier.
    """
    return f"similarity_to_end_{side}"


def recovered_name(side: str) -> str:
    """Similarity of the channel that the files show with the true one.

    Parameters
    ----------
    side : str
        "left" or "right".

    Returns
    -------
    str
        Identifier.
    """
    return f"similarity_to_true_channel_{side}"


def merged(*parts: Figures) -> Figures:
    """Figures of which several parts know something.

    Parameters
    ----------
    *parts : dict
        Later ones win.

    Returns
    -------
    dict
        By figure, in order of first appearance.
    """
    found: Figures = {}
    for part in parts:
        for name, values in part.items():
            found.setdefault(name, {}).update(values)
    return found
