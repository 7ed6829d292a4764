"""Brackets and intervals of steps as text."""

import math

from geostat.results.table import DASH, Text

__all__ = ["steps_text"]


def steps_text(low: float, high: float, reason: str = "") -> Text:
    r"""Write an interval of steps: open on the left, because the lower end is a checkpoint outside.

    Parameters
    ----------
    low, high : float
        Minus infinity where nothing bounds it below, infinity where nothing does above; NaN where there
        is no interval.
    reason : str
        Why there is none; becomes a note.

    Returns
    -------
    Text
        ``"(63, 191]"``, ``"<= 63"``, ``"> 255"``, ``"no bound"``, or a dash.

    Examples
    --------
    >>> steps_text(63, 191).plain
    '(63, 191]'
    >>> steps_text(-math.inf, 63).latex
    '$\\le 63$'
    >>> steps_text(255, math.inf).plain
    '> 255'
    """
    if math.isnan(low) or math.isnan(high):
        return Text(DASH, "--", note=reason)
    if math.isinf(low) and math.isinf(high):
        return Text("no bound", note=reason)
    if math.isinf(low):
        return Text(f"<= {high:g}", rf"$\le {high:g}$", note=reason)
    if math.isinf(high):
        return Text(f"> {low:g}", f"$>{low:g}$", note=reason)
    return Text(f"({low:g}, {high:g}]", f"$({low:g},\\,{high:g}]$", note=reason)
