"""Durations as people write them: 45s, 90m, 1h30m, 2h."""

import re

from geostat.errors import ProtocolError

__all__ = ["duration", "seconds_of"]

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")


def seconds_of(text: str | float) -> float:
    """Read a duration.

    Parameters
    ----------
    text : str or float
        "2h", "1h30m", "90m", "45s"; a number is seconds.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ProtocolError
        If it is none.

    Examples
    --------
    >>> seconds_of("1h30m"), seconds_of("45s")
    (5400.0, 45.0)
    """
    if isinstance(text, int | float) and not isinstance(text, bool) and text >= 0:
        return float(text)
    compact = str(text).replace(" ", "").lower()
    if not _WRITTEN.fullmatch(compact):
        raise ProtocolError(f"{text!r} is no duration. Write for example 45s, 90m, 1h30m or 2h.")
    return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(compact))


def duration(seconds: float) -> str:
    """Write a duration in at most two units.

    Parameters
    ----------
    seconds : float
        Its length.

    Returns
    -------
    str
        For example "45 s", "12 min", "1 h 30 min".

    Examples
    --------
    >>> duration(45), duration(5400), duration(0.2)
    ('45 s', '1 h 30 min', 'under 1 s')
    """
    if seconds < 1:
        return "under 1 s" if seconds > 0 else "0 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(minutes / 60)} h"
    return f"{minutes / 1440:.1f} days"
