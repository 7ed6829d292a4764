"""How lines are told apart: by colour, by dash and by marker, so that grey print keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["SMALL", "TEXT", "Look", "looks", "spread_labels"]

TEXT = 9.0
"""Points of axis labels and direct labels."""
SMALL = 8.0
"""Points of tick labels."""


@dataclass(frozen=True)
class Look:
    """Colour, dash and marker of one recipe.

    Attributes
    ----------
    color : str
        From the palette of Okabe and Ito, safe for colour-blind readers.
    dash : str or tuple
        Line style.
    marker : str
        Marker at checkpoints.
    """

    color: str
    dash: str | tuple[int, tuple[float, ...]]
    marker: str


_LOOKS = (
    Look("#0072B2", "-", "o"),
    Look("#D55E00", (0, (5.0, 1.5)), "s"),
    Look("#000000", (0, (1.5, 1.5)), "^"),
    Look("#009E73", (0, (5.0, 1.5, 1.0, 1.5)), "D"),
    Look("#CC79A7", (0, (3.0, 3.0)), "v"),
    Look("#E69F00", (0, (8.0, 2.0)), "P"),
)


def looks(recipes: Iterable[str]) -> dict[str, Look]:
    """Give every recipe a look, in order; from the seventh on they repeat.

    Parameters
    ----------
    recipes : iterable of str
        Names.

    Returns
    -------
    dict
        Recipe -> look.
    """
    return {recipe: _LOOKS[i % len(_LOOKS)] for i, recipe in enumerate(recipes)}


def spread_labels(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels apart that would overlap, as little as a sweep from below and one from above need.

    Parameters
    ----------
    heights : sequence of float
        Wanted heights in [0, 1].
    gap : float
        Smallest distance.

    Returns
    -------
    list of float
        Heights in the given order, at least `gap` apart while there is room.

    Examples
    --------
    >>> spread_labels([0.5, 0.1], 0.2)
    [0.5, 0.1]
    >>> spread_labels([1.0, 1.0], 0.5)
    [0.5, 1.0]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [min(max(heights[i], 0.0), 1.0) for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    ceiling = 1.0
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    back = dict(zip(order, placed, strict=True))
    return [back[i] for i in range(len(heights))]
