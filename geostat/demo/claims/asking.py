"""All claims that recorded runs can answer."""

import warnings
from collections.abc import Iterator

from geostat.demo.claims.changes import foretold, mixed, off_policy, sparsified
from geostat.demo.claims.channel import aligned, locked
from geostat.demo.claims.claim import Claim
from geostat.demo.claims.geometry import ORDERS, moves, order, selective, trend
from geostat.demo.claims.matched import matched
from geostat.demo.claims.records import Records
from geostat.demo.claims.twins import disturbed, particular, sufficient
from geostat.errors import GeostatWarning

__all__ = ["ask"]


def ask(records: Records) -> list[Claim]:
    """Answer every claim whose runs were recorded.

    Parameters
    ----------
    records : Records
        Of a study.

    Returns
    -------
    list of Claim
        In the order of the page.
    """
    with warnings.catch_warnings():
        # Recipes are compared where they end: that RLVR takes fewer steps is part of the recipe.
        warnings.filterwarnings("ignore", "(?s).*equal steps are not equal progress", GeostatWarning)
        return list(_answers(records))


def _answers(records: Records) -> Iterator[Claim]:
    if records.published is not None:
        yield moves(records.published)
        yield from (order(records.published, each) for each in ORDERS)
        yield from filter(None, [matched(records.published)])
        yield trend(records.published)
        yield aligned(records.published)
    if records.masters is not None:
        yield locked(records.masters)
        yield selective(records.masters)
    if records.sufficiency is not None:
        yield from (each(records.sufficiency) for each in (sufficient, particular))
    if records.perturbed is not None:
        yield from (each(records.perturbed) for each in (sparsified, off_policy, mixed))
    if records.rates is not None:
        yield foretold(records.rates)
    if records.sufficiency is not None:
        yield disturbed(records.sufficiency)
