"""How a table and a sentence say whether p-values are adjusted."""

from collections.abc import Mapping, Sequence
from typing import Any

from geostat.results import Column
from geostat.results.numbers import p_value_text

__all__ = ["POINTWISE", "adjustment_words", "method_alone", "p_columns", "unadjusted"]

POINTWISE = "intervals and p-values are pointwise: nothing is adjusted for several steps or metrics"
"""What a result assumes until its p-values are adjusted."""

_NAMES = {"holm": "Holm", "benjamini-yekutieli": "Benjamini-Yekutieli"}


def adjustment_words(settings: Mapping[str, Any]) -> str:
    """Say the adjustment and how many tests it counts.

    Parameters
    ----------
    settings : mapping
        Of a result.

    Returns
    -------
    str
        ``"p-values adjusted by Holm over 12 tests"``, or nothing.
    """
    made = settings.get("adjusted")
    if not made:
        return ""
    counts = sorted(set(made["n_tests"]))
    told = " or ".join(str(count) for count in (counts if len(counts) <= 2 else [counts[0], counts[-1]]))
    families = f" within each of {len(made['n_tests'])} families" if len(made["n_tests"]) > 1 else ""
    return f"p-values adjusted by {_NAMES[made['method']]} over {told} tests{families}"


def unadjusted(settings: Mapping[str, Any]) -> str:
    """Say for a sentence whether its p-values are adjusted.

    Parameters
    ----------
    settings : mapping
        Of a result.

    Returns
    -------
    str
        The adjustment, or ``"p-values unadjusted"``.
    """
    return adjustment_words(settings) or "p-values unadjusted"


def method_alone(method: str, settings: Mapping[str, Any]) -> str:
    """Name the method without the adjustment, for sentences that tell it by itself.

    Parameters
    ----------
    method : str
        Of a result.
    settings : mapping
        Of the same result.

    Returns
    -------
    str
        As before the adjustment.
    """
    return method.removesuffix(f"; {adjustment_words(settings)}")


def p_columns(settings: Mapping[str, Any], title: str) -> Sequence[Column]:
    """Columns of p-values: as they are, and adjusted where they have been.

    Parameters
    ----------
    settings : mapping
        Of a result.
    title : str
        Heading of the first.

    Returns
    -------
    sequence of Column
        One or two.
    """
    own = Column(title, lambda row: p_value_text(row["p_value"]))
    if not settings.get("adjusted"):
        return [own]
    name = _NAMES[settings["adjusted"]["method"]]
    return [own, Column(f"{title}, {name}-adjusted", lambda row: p_value_text(row["p_adjusted"]))]
