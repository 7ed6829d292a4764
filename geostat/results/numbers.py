"""Numbers as text: an estimate and its interval share their digits."""

import math
from dataclasses import dataclass

from geostat.results.table import DASH, Text

__all__ = ["interval_text", "number_text", "onset_text", "p_value_text"]

SIGNIFICANT = 3
"""Digits of a number that has no interval to say how many of them mean something."""


@dataclass(frozen=True)
class _Notation:
    """A common power of ten and a common number of decimals."""

    exponent: int
    decimals: int

    def mantissa(self, value: float) -> str:
        """Write the value without its power of ten."""
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        text = f"{value / 10.0**self.exponent:.{self.decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text

    def plain(self, value: float) -> str:
        """Write the value so that float() reads it."""
        power = f"e{self.exponent:+03d}" if self.exponent and math.isfinite(value) else ""
        return self.mantissa(value) + power

    def latex(self, *values: float) -> str:
        """Write an estimate, and its ends when they are given, in math mode."""
        numbers = [self.mantissa(v).replace("inf", r"\infty") for v in values]
        inside = numbers[0] if len(numbers) == 1 else rf"{numbers[0]}\;[{numbers[1]},\,{numbers[2]}]"
        power = rf"\times 10^{{{self.exponent}}}" if self.exponent else ""
        space = r"\;" if len(numbers) > 1 and power else ""
        return f"${inside}{space}{power}$"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def _notation(estimate: float, half_width: float, largest: float) -> _Notation:
    """Two digits of the half-width, but two of the estimate too unless it is far below the half-width."""
    if half_width > 0 and math.isfinite(half_width):
        width = _magnitude(half_width) - 1
        lowest = max(min(width, _magnitude(estimate) - 1 if estimate else width), width - 1)
        lowest = max(lowest, _magnitude(largest) - 5)
    else:
        lowest = _magnitude(estimate) - SIGNIFICANT + 1
    exponent = _magnitude(largest) if largest and not 1e-3 <= largest < 1e5 else 0
    return _Notation(exponent, max(0, exponent - lowest))


def interval_text(estimate: float, low: float, high: float, reason: str = "") -> Text:
    r"""Estimate with its interval; a dash with the reason as its note where there is none.

    Parameters
    ----------
    estimate, low, high : float
        NaN where undefined.
    reason : str
        Why no interval stands here.

    Returns
    -------
    Text
        ``"21.3 [19.0, 23.6]"``.

    Examples
    --------
    >>> interval_text(21.34, 19.02, 23.66).plain
    '21.3 [19.0, 23.7]'
    >>> interval_text(3.2e-5, 2.9e-5, 3.5e-5).latex
    '$3.20\\;[2.90,\\,3.50]\\;\\times 10^{-5}$'
    """
    if math.isnan(estimate):
        return Text(DASH, "--", note=reason)
    if math.isnan(low) or math.isnan(high):
        number = number_text(estimate)
        return Text(f"{number.plain} {DASH}", f"{number.latex}~--", note=reason)
    finite = [abs(v) for v in (estimate, low, high) if math.isfinite(v)]
    notation = _notation(estimate, (high - low) / 2, max(finite, default=0.0))
    plain = [notation.plain(v) for v in (estimate, low, high)]
    return Text(f"{plain[0]} [{plain[1]}, {plain[2]}]", notation.latex(estimate, low, high))


def number_text(value: float | None) -> Text:
    """Write a number without interval, three significant digits; a dash for NaN.

    Parameters
    ----------
    value : float or None
        The number.

    Returns
    -------
    Text
        Plain and LaTeX.

    Examples
    --------
    >>> number_text(0.000321).plain
    '3.21e-04'
    """
    if value is None or math.isnan(value):
        return Text(DASH, "--")
    notation = _notation(value, math.nan, abs(value) if math.isfinite(value) else 0.0)
    return Text(notation.plain(value), notation.latex(value))


def p_value_text(value: float) -> Text:
    """Write a p-value, never as zero.

    Parameters
    ----------
    value : float
        In [0, 1], or NaN.

    Returns
    -------
    Text
        Plain and LaTeX.

    Examples
    --------
    >>> p_value_text(2e-7).plain
    '<0.001'
    """
    if math.isnan(value):
        return Text(DASH, "--")
    return Text("<0.001", "$<0.001$") if value < 1e-3 else Text(f"{value:.3f}", f"${value:.3f}$")


def onset_text(outcome: str, last_out: float, first_in: float, reason: str = "") -> Text:
    r"""Write where a run locked: a bracket, ``<= 63``, or the outcome in words.

    Parameters
    ----------
    outcome : str
        "bracket", "left-censored", or any outcome without a step.
    last_out, first_in : float
        Ends of the bracket in steps.
    reason : str
        Becomes a footnote for outcomes without a step.

    Returns
    -------
    Text
        Plain and LaTeX.

    Examples
    --------
    >>> onset_text("left-censored", float("nan"), 63.0).latex
    '$\\le 63$'
    >>> onset_text("bracket", 63.0, 127.0).plain
    '(63, 127]'
    """
    if outcome == "bracket":
        return Text(f"({last_out:g}, {first_in:g}]", f"$({last_out:g},\\,{first_in:g}]$")
    if outcome == "left-censored":
        return Text(f"<= {first_in:g}", rf"$\le {first_in:g}$")
    return Text(outcome, note=reason)
