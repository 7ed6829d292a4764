"""Figures as papers print them: to compare with, never results."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from geostat.errors import SampleError
from geostat.statistics.regimes.data_files import Source, read_data

__all__ = ["PublishedFigure", "published_figures"]


@dataclass(frozen=True, kw_only=True)
class PublishedFigure:
    """One number of one paper.

    Attributes
    ----------
    tuned : str
        The checkpoint.
    base : str
        What it was trained from; empty where the paper does not say.
    algorithm : str
        Recipe as the paper names it.
    metric : str
        Identifier of the diagnostic.
    value : float
        In `units`.
    units : str
        ``"%"``, ``"1"`` or ``"degree"``.
    alpha : float or None
        Share of entries in a mask.
    qualifier : str
        How the paper qualifies the number: ``"<"``, ``">"``, ``"about"``, ``"order of magnitude"``.
    source : str
        ``"key, locator"`` with a key of the bibliography.
    kind : str
        ``"controlled"``, ``"variant"`` or ``"public checkpoint"``.
    """

    tuned: str
    metric: str
    value: float
    units: str
    source: str
    base: str = ""
    algorithm: str = ""
    alpha: float | None = None
    qualifier: str = ""
    kind: str = ""


def published_figures(
    source: Source = "published", *, metric: str | None = None
) -> tuple[PublishedFigure, ...]:
    """Published figures of checkpoints, as data.

    They are facts about what papers print, under their own conventions; two papers disagree on some
    checkpoints. No figure carries an interval, because no paper gives one.

    Parameters
    ----------
    source : "published", path or mapping
        The packaged file, or your own of the same form (a list ``figures``).
    metric : str, optional
        Identifier of a diagnostic; all by default.

    Returns
    -------
    tuple of PublishedFigure
        In the order of the file.

    Raises
    ------
    SampleError
        If the file cannot be read or an entry lacks a field.

    Examples
    --------
    >>> opd = [f for f in published_figures(metric="update_sparsity") if f.tuned == "OPD-8B-T32B"]
    >>> opd[0].value, opd[0].units, opd[0].source
    (51.6, '%', 'shen2026, Table 1')
    """
    content, origin = read_data(source, {"published": "published.toml"})
    entries = content.get("figures")
    if not isinstance(entries, list):
        raise SampleError(f"{origin}: there is no list `figures`. Each entry is one [[figures]] table.")
    found = [_figure(entry, place, origin) for place, entry in enumerate(entries, 1)]
    return tuple(figure for figure in found if metric in (None, figure.metric))


def _figure(entry: Mapping[str, Any], place: int, origin: str) -> PublishedFigure:
    known = {field.name for field in fields(PublishedFigure)}
    try:
        return PublishedFigure(**{key: value for key, value in entry.items() if key in known})
    except TypeError as error:
        raise SampleError(f"{origin}: figure {place} is incomplete ({error}).") from error
