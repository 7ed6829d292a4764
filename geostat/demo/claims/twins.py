"""Claims on what an early channel suffices for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geostat.demo.claims.claim import Claim, Figure
from geostat.demo.claims.readings import contrast
from geostat.lab import Sufficiency
from geostat.lab.questions import MARGIN, interventions
from geostat.results import Row

__all__ = ["disturbed", "particular", "sufficient"]

RECIPES = ("opd", "continued_sft", "sft", "rlvr")
CHANNEL = "channel-16"
CONTROLS = ("complement-16", "random-16", "activations-16")


def sufficient(twins: Sufficiency) -> Claim:
    """Whether OPD that is held in its early channel ends as free OPD does.

    Parameters
    ----------
    twins : Sufficiency
        Of the recorded study.

    Returns
    -------
    Claim
        With its verdict.
    """
    (row,) = twins.equivalent(CHANNEL, margin=MARGIN)["opd"].rows()
    outcome = {"equivalent": True, "different": False}.get(str(row["outcome"]))
    tested = Figure(
        f"accuracy of OPD held in its channel of 16 less that of its free twin (90% interval; margin {MARGIN:g})",
        row["estimate"],
        row["low"],
        row["high"],
        row["n_a"],
        "claim",
        outcome,
    )
    retained, differences = twins.retained().rows(), twins.differences().rows()
    arms = [str(arm) for arm in twins.data["arm"].values if str(arm) != "free"]
    figures = [
        tested,
        *(_beyond(twins, control) for control in CONTROLS),
        *_arms(retained, "opd", arms, "share of the free twin's gain that OPD retains"),
        *_arms(differences, "opd", (CHANNEL, *CONTROLS), "accuracy of OPD less that of its free twin"),
    ]
    return Claim(
        "sufficiency",
        "The channel of 16 directions after a fifth of training is all that the rest of OPD needs.",
        "shen2026, eq. 10 (one run, the free twin and no other)",
        "The controls: that the channel retains more than its complement, random directions, and those of the inputs.",
        figures,
    )


def particular(twins: Sufficiency) -> Claim:
    """Whether this is particular to OPD.

    Parameters
    ----------
    twins : Sufficiency
        Of the recorded study.

    Returns
    -------
    Claim
        With its verdict.
    """
    words = f"share retained in {CHANNEL}"
    figures = [_between(twins, CHANNEL, other, sign=1) for other in RECIPES[1:]]
    figures += [
        figure
        for recipe in RECIPES
        for figure in _arms(
            twins.retained().rows(), recipe, (CHANNEL, *CONTROLS), f"share retained by {recipe}"
        )
    ]
    return Claim(
        "particular",
        "That the channel suffices is particular to OPD: SFT and RLVR retain less in theirs.",
        "shen2026, section 4",
        f"Paired by seed: {words}. Continued SFT starts from OPD's anchor, at OPD's rate.",
        figures,
    )


def _beyond(twins: Sufficiency, control: str) -> Figure:
    """What OPD keeps in its channel, less what it keeps in other directions: twins of one seed."""
    flat = twins.by_arm("gain", "opd", [CHANNEL, control])
    return contrast(flat, CHANNEL, control, "accuracy of OPD", sign=1, role="control")


def _between(twins: Sufficiency, arm: str, other: str, *, sign: int) -> Figure:
    (row,) = twins.between(arm, "opd", other).rows()
    holds = True if sign * row["low"] > 0 and sign * row["high"] > 0 else None
    if sign * row["low"] < 0 and sign * row["high"] < 0:
        holds = False
    words = f"share retained in {arm}: opd less {other}"
    return Figure(words, row["estimate"], row["low"], row["high"], row["n_a"], "claim", holds)


def _arms(rows: Sequence[Row], recipe: str, arms: Sequence[str], words: str) -> list[Figure]:
    found = {row["arm"]: row for row in rows if row["recipe"] == recipe}
    return [
        Figure(
            f"{words}: {arm}",
            found[arm]["estimate"],
            found[arm]["low"],
            found[arm]["high"],
            found[arm]["n_runs"],
        )
        for arm in arms
        if arm in found and np.isfinite(found[arm]["estimate"])
    ]


def disturbed(twins: Sufficiency) -> Claim:
    """Whether noise outside the channel, or leaving it, changes accuracy.

    Parameters
    ----------
    twins : Sufficiency
        Of the recorded study.

    Returns
    -------
    Claim
        Its verdict is that of OPD: that neither changes accuracy by more than the margin.
    """
    figures = []
    for recipe in RECIPES:
        for compared, same in interventions(twins, recipe):
            (row,), (told,) = compared.rows(), same.rows()
            outcome = {"equivalent": True, "different": False}.get(str(told["outcome"]))
            asked = recipe == "opd" and compared.b == "free" and compared.a != "noise_inside-16"
            words = f"accuracy, {recipe}: {compared.a} less {compared.b}"
            figure = Figure(words, row["estimate"], row["low"], row["high"], row["n_a"])
            figures.append(replace(figure, role="claim", holds=outcome) if asked else figure)
    return Claim(
        "intervention",
        f"Noise outside OPD's channel, or letting it out of the channel, changes accuracy by less than {MARGIN:g}.",
        "open in the literature; declared before the runs were compared",
        "Noise is as large as the update so far, and added once.",
        sorted(figures, key=lambda figure: figure.role != "claim"),
    )
