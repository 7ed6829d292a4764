"""Claims on how far weights move, and which of them: an order of recipes each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import xarray as xr

from geostat.demo.claims.claim import Claim, Figure, Role
from geostat.demo.claims.matched import at_equal_displacement
from geostat.demo.claims.readings import contrast, means, of_runs, spread

__all__ = ["ORDERS", "Order", "moves", "order", "selective", "trend"]

RECIPES = ("sft", "opd", "rlvr", "continued_sft")
TREND = "stable_rank_trend"
NOTHING = 0.005
"""An overlap that does not matter: the published recipes differ by .007 and more."""
BAND = 0.22
"""Half of log(28/18): how far the published stable rank of OPD moves within its band."""


@dataclass(frozen=True)
class Order:
    """A metric that is claimed to rise, or to fall, from SFT over OPD to RLVR.

    Attributes
    ----------
    metric : str
        Identifier.
    key, words, statement : str
        Short name, what it is called, the claim.
    sign : {1, -1}
        Whether it rises or falls.
    published : tuple of str
        For SFT, OPD, RLVR.
    source : str
        Where.
    """

    metric: str
    key: str
    words: str
    statement: str
    sign: Literal[1, -1]
    published: tuple[str, str, str]
    source: str


ORDERS = (
    Order(
        "update_sparsity",
        "sparsity",
        "unchanged entries",
        "SFT leaves fewer entries unchanged than OPD, and OPD fewer than RLVR.",
        1,
        (".081", ".516", ".772"),
        "shen2026, Table 1",
    ),
    Order(
        "normalized_spectral_shift",
        "spectral-shift",
        "normalized spectral shift",
        "The spectrum shifts most in SFT, less in OPD, least in RLVR.",
        -1,
        ("about 1e-3", "about 1e-4", "about 1e-5"),
        "shen2026, eq. 3",
    ),
    Order(
        "mean_principal_angle",
        "rotation",
        "mean principal angle (degrees)",
        "Singular subspaces rotate most in SFT, less in OPD, least in RLVR.",
        -1,
        ("> 10 (one layer)", "about 1 (one layer)", "< 0.5 (one layer)"),
        "shen2026, eq. 2",
    ),
    Order(
        "principal_mask_overlap",
        "principal-overlap",
        "overlap with the principal mask",
        "Updates overlap with principal weights most in SFT, less in OPD, least in RLVR.",
        -1,
        (".297", ".273", ".267"),
        "shen2026, Figure 3",
    ),
    Order(
        "low_magnitude_mask_overlap",
        "low-magnitude-overlap",
        "overlap with small weights",
        "Updates overlap with small weights least in SFT, more in OPD, most in RLVR.",
        1,
        (".319", ".536", ".735"),
        "shen2026, Figure 3",
    ),
)


def order(published: xr.Dataset, asked: Order) -> Claim:
    """One order of recipes, and whether it is left where two recipes have come equally far.

    Parameters
    ----------
    published : xarray.Dataset
        Runs from bf16 checkpoints.
    asked : Order
        Which.

    Returns
    -------
    Claim
        Its control is that OPD and RLVR, which share an anchor, differ at equal displacement too.
    """
    values = of_runs(published, asked.metric)
    pairs = [
        contrast(values, b, a, asked.words, sign=asked.sign) for a, b in (("sft", "opd"), ("opd", "rlvr"))
    ]
    told = (*asked.published, "")
    figures = [
        *pairs,
        *_at_equal_displacement(published, asked),
        *(replace(f, published=p) for f, p in zip(means(values, RECIPES, asked.words), told, strict=True)),
        contrast(values, "continued_sft", "opd", asked.words, role="beside"),
    ]
    return Claim(
        asked.key,
        asked.statement,
        asked.source,
        "The control: OPD and RLVR, from one anchor and at one rate, where both have come equally far.",
        figures,
    )


def _at_equal_displacement(published: xr.Dataset, asked: Order) -> Iterator[Figure]:
    """What is left between recipes from one anchor where both have come equally far."""
    words = f"{asked.words} at equal displacement"
    roles: dict[str, Role] = {"rlvr": "control", "continued_sft": "beside"}
    for other, role in roles.items():
        values = at_equal_displacement(published, asked.metric, "opd", other)
        if values is None:
            yield Figure(f"{words}: {other} less opd", math.nan, role=role)
            continue
        sign = asked.sign if role == "control" else 0
        yield contrast(values, other, "opd", words, sign=sign, role=role)


def selective(masters: xr.Dataset) -> Claim:
    """Whether updates choose entries by the size of the weight, beyond what any update of their size does.

    Parameters
    ----------
    masters : xarray.Dataset
        Runs from fp32 checkpoints, with the excess of overlaps.

    Returns
    -------
    Claim
        With its verdict.
    """
    figures = []
    for name, words, sign in (
        ("principal_mask_overlap", "overlap with the principal mask", -1),
        ("low_magnitude_mask_overlap", "overlap with small weights", 1),
    ):
        told = f"{words}, fp32, less that of permuted rows and columns"
        each = means(of_runs(masters, f"{name}_excess"), RECIPES, told)
        figures += [_chosen(figure, sign) for figure in each[1:3]] + [each[0], each[3]]
    return Claim(
        "selection",
        "OPD and RLVR avoid principal weights and seek out small ones.",
        "shen2026, Figure 3, as it is read",
        f"Contradicted where what is left over the same update with rows and columns permuted is within {NOTHING:g}.",
        sorted(figures, key=lambda figure: figure.role != "claim"),
    )


def _chosen(figure: Figure, sign: int) -> Figure:
    """Beyond a size that does not matter in the direction that is claimed; or within it."""
    low, high = sorted((sign * figure.low, sign * figure.high))
    return replace(figure, role="claim", holds=True if low > NOTHING else False if high < NOTHING else None)


def moves(published: xr.Dataset) -> Claim:
    """Whether relative displacement has the order that every other figure has.

    Parameters
    ----------
    published : xarray.Dataset
        Runs from bf16 checkpoints.

    Returns
    -------
    Claim
        With its verdict.
    """
    values = of_runs(published, "relative_update_norm")
    words = "relative update norm"
    pairs = [contrast(values, b, a, words, sign=-1) for a, b in (("sft", "opd"), ("opd", "rlvr"))]
    figures = [
        *pairs,
        *means(values, RECIPES, words),
        contrast(values, "continued_sft", "opd", words, role="beside"),
    ]
    return Claim(
        "displacement",
        "SFT moves farthest, OPD less, RLVR least.",
        "not claimed: what the orders have to be compared with",
        "A run that comes less far changes fewer entries, shifts and rotates less, whatever its objective.",
        figures,
    )


def trend(published: xr.Dataset) -> Claim:
    """Whether the stable rank expands, stays, and contracts.

    Parameters
    ----------
    published : xarray.Dataset
        Runs from bf16 checkpoints.

    Returns
    -------
    Claim
        With its verdict.
    """
    values = of_runs(published, TREND)
    told = {
        figure.what.rsplit(": ", 1)[1]: figure
        for figure in means(values, RECIPES, "log of the stable rank at the end over that at a tenth")
    }
    ends = means(of_runs(published, "stable_rank"), RECIPES, "stable rank at the end")
    published_ends = ("rises to 65-75", "18-28", "falls", "")
    figures = [
        spread(told["sft"], 0.0, float("inf")),
        spread(told["opd"], -BAND, BAND),
        spread(told["rlvr"], -float("inf"), 0.0),
        told["continued_sft"],
        *(replace(f, published=p) for f, p in zip(ends, published_ends, strict=True)),
    ]
    return Claim(
        "stable-rank",
        "The stable rank of the update expands in SFT, stays within a band in OPD, and contracts in RLVR.",
        "shen2026, Figure 4a",
        f"A band is a change of less than {BAND:g} in the logarithm, as the published one is.",
        figures,
    )
