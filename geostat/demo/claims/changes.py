"""Claims on what distillation survives, and on early figures that foretell the end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from geostat.demo.claims.claim import Claim, Figure, Role
from geostat.demo.claims.matched import RELATIVE_MARGIN
from geostat.demo.claims.readings import contrast, means, of_runs, same
from geostat.lab.between_seeds import seed_correlation
from geostat.lab.perturbation_study import UNPERTURBED
from geostat.lab.questions import MARGIN, PREDICTION, early_figures, prediction

__all__ = ["foretold", "mixed", "off_policy", "sparsified"]

UNMIXED, WITHOUT = "opd_mixed100", "opd_mixed0"
SPARSIFIED = ("opd_random50", "opd_random25", "opd_top50", "opd_top25")
AT = {0.5: "log stable rank halfway", 1.0: "log stable rank at the end"}
CONTROL = "The control: a figure that is the same without any distillation cannot show that distillation is preserved."


def sparsified(perturbed: xr.Dataset) -> Claim:
    """Whether fewer tokens preserve the stable rank.

    Parameters
    ----------
    perturbed : xarray.Dataset
        Perturbations, measured.

    Returns
    -------
    Claim
        With its verdict.
    """
    return Claim(
        "token-sparsification",
        "Training on half or a quarter of the tokens preserves the stable rank of OPD's update.",
        "shen2026, section 5",
        f"That something is preserved is a claim of equivalence: the margins are declared. {CONTROL}",
        _preserved(perturbed, SPARSIFIED),
    )


def off_policy(perturbed: xr.Dataset) -> Claim:
    """Whether rollouts of the teacher preserve the stable rank.

    Parameters
    ----------
    perturbed : xarray.Dataset
        Perturbations, measured.

    Returns
    -------
    Claim
        With its verdict.
    """
    return Claim(
        "off-policy",
        "Rollouts of the teacher in place of the student's own preserve the stable rank of OPD's update.",
        "shen2026, section 5",
        f"Without importance weights the objective is another one: see PerturbedDistillation. {CONTROL}",
        _preserved(perturbed, ("opd_off_policy",)),
    )


def _preserved(perturbed: xr.Dataset, names: Sequence[str]) -> list[Figure]:
    gain, moved = (of_runs(perturbed, each) for each in ("gain", "relative_update_norm"))
    return [
        *(_same_rank(perturbed, name, UNPERTURBED, at=at) for name in names for at in AT),
        _opposite(_same_rank(perturbed, WITHOUT, UNMIXED), "control"),
        *(same(gain, name, UNPERTURBED, "gain in accuracy", margin=MARGIN, role="beside") for name in names),
        *(contrast(moved, name, UNPERTURBED, "relative update norm", role="beside") for name in names),
        *means(of_runs(perturbed, "stable_rank"), (UNPERTURBED, *names), "stable rank at the end"),
    ]


def _same_rank(
    perturbed: xr.Dataset, name: str, reference: str, *, at: float = 1.0, role: Role = "claim"
) -> Figure:
    return same(_log_rank(perturbed, at), name, reference, AT[at], margin=RELATIVE_MARGIN, role=role)


def _log_rank(runs: xr.Dataset, at: float = 1.0) -> xr.DataArray:
    values = of_runs(runs, "stable_rank", at=at)
    return values.copy(data=np.log(values.values)).rename("log_stable_rank").assign_attrs(units="1")


def _opposite(figure: Figure, role: Role) -> Figure:
    """What is claimed is a difference: equivalence speaks against it."""
    return replace(figure, role=role, holds=None if figure.holds is None else not figure.holds)


def mixed(perturbed: xr.Dataset) -> Claim:
    """Whether the stable rank changes as rewards take the place of distillation.

    Parameters
    ----------
    perturbed : xarray.Dataset
        Perturbations, measured.

    Returns
    -------
    Claim
        With its verdict: it rests on pure distillation against 1% and against none.
    """
    names = [
        name for name in dict.fromkeys(map(str, perturbed["recipe"].values)) if name.startswith("opd_mixed")
    ]
    others = [name for name in names if name != UNMIXED]
    asked = ("opd_mixed1", WITHOUT)
    gain, moved = (of_runs(perturbed, each) for each in ("gain", "relative_update_norm"))
    figures = [
        *(_opposite(_same_rank(perturbed, name, UNMIXED), "claim") for name in asked),
        *(_same_rank(perturbed, name, UNMIXED, role="beside") for name in others if name not in asked),
        *(same(gain, name, UNMIXED, "gain in accuracy", margin=MARGIN, role="beside") for name in others),
        *(contrast(moved, name, UNMIXED, "relative update norm", role="beside") for name in others),
        *means(of_runs(perturbed, "stable_rank"), names, "stable rank at the end"),
        *means(gain, names, "gain in accuracy"),
    ]
    return Claim(
        "mixing",
        "The stable rank of the update changes once distillation is a small part of the advantage.",
        "shen2026, section 5",
        "Contradicted means: equivalent within the margin even without any distillation.",
        figures,
    )


def foretold(rates: xr.Dataset) -> Claim:
    """Whether early capture foretells final accuracy, beyond that of the inputs.

    Parameters
    ----------
    rates : xarray.Dataset
        Recipes at several rates, from fp32 checkpoints.

    Returns
    -------
    Claim
        With its verdict.
    """
    figures = []
    for name, result in prediction(rates).items():
        (row,) = result.rows()
        low, high = row["low"], row["high"]
        asked = name == "correlation_of_capture_excess_given_displacement"
        holds = None if not asked else True if low > 0 else False if high < 0 else None
        words = name.replace("_", " ") + ", over recipes and rates of one seed"
        figures.append(
            Figure(words, row["estimate"], low, high, row["n_runs"], "claim" if asked else "beside", holds)
        )
    figures.sort(key=lambda figure: figure.role != "claim")
    figures.append(_between_seeds(rates))
    return Claim(
        "prediction",
        "Early capture beyond that of the inputs foretells final accuracy, given how far a run has come.",
        f"open in the literature; declared before the runs were compared (plan {PREDICTION.hash[:12]})",
        "A correlation over nine settings of one seed; the interval is over seeds.",
        figures,
    )


def _between_seeds(rates: xr.Dataset) -> Figure:
    """Without an interval: the test is one of permutation, and was not declared before."""
    found = seed_correlation(early_figures(rates)["excess"], rates["accuracy"])
    words = "correlation of capture excess between seeds, within recipe and rate"
    told = f"{words} (p = {found.p_value:.2g} over all orders of the seeds; not declared before)"
    return Figure(told, found.estimate, n=found.n_seeds)
