"""Claims on what distillation survives, and on early figures that foretell the end."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geostat.demo.claims.claim import Claim, Figure
from geostat.demo.claims.readings import contrast, means, of_runs, only, same
from geostat.lab.between_seeds import seed_correlation
from geostat.lab.perturbation_study import UNPERTURBED
from geostat.lab.questions import MARGIN, PREDICTION, early_figures, prediction
from geostat.statistics import dose_response

__all__ = ["foretold", "mixed", "off_policy", "sparsified"]

RANK_MARGIN = 0.1
"""Relative change of the stable rank that does not matter, as a difference of logarithms."""
SPARSIFIED = ("opd_random50", "opd_random25", "opd_top50", "opd_top25")


def sparsified(perturbed: xr.Dataset) -> Claim:
    """Whether fewer tokens preserve the stable rank and the gain.

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
        "Training on half or a quarter of the tokens preserves OPD's geometry.",
        "shen2026, section 5",
        "A claim that something is preserved is one of equivalence: the margins are declared.",
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
        "Rollouts of the teacher in place of the student's own preserve OPD's geometry.",
        "shen2026, section 5",
        "Without importance weights the objective is another one: see PerturbedDistillation.",
        _preserved(perturbed, ("opd_off_policy",)),
    )


def _preserved(perturbed: xr.Dataset, names: Sequence[str]) -> list[Figure]:
    rank = _log_rank(perturbed)
    gain = of_runs(perturbed, "gain")
    moved = of_runs(perturbed, "relative_update_norm")
    return [
        *(same(rank, name, UNPERTURBED, "log stable rank at the end", margin=RANK_MARGIN) for name in names),
        *(same(gain, name, UNPERTURBED, "gain in accuracy", margin=MARGIN, role="beside") for name in names),
        *(contrast(moved, name, UNPERTURBED, "relative update norm", role="beside") for name in names),
        *means(of_runs(perturbed, "stable_rank"), (UNPERTURBED, *names), "stable rank at the end"),
    ]


def _log_rank(runs: xr.Dataset) -> xr.DataArray:
    values = of_runs(runs, "stable_rank")
    return values.copy(data=np.log(values.values)).rename("log_stable_rank").assign_attrs(units="1")


def mixed(perturbed: xr.Dataset) -> Claim:
    """Whether the stable rank changes as rewards take the place of distillation.

    Parameters
    ----------
    perturbed : xarray.Dataset
        Perturbations, measured.

    Returns
    -------
    Claim
        With its verdict: it rests on pure distillation against 1%.
    """
    names = [
        name for name in dict.fromkeys(map(str, perturbed["recipe"].values)) if name.startswith("opd_mixed")
    ]
    rank, gain = _log_rank(perturbed), of_runs(perturbed, "gain")
    told, whole = "log stable rank at the end", "opd_mixed100"
    tested = [same(rank, name, whole, told, margin=RANK_MARGIN) for name in ("opd_mixed1", "opd_mixed0")]
    # What is claimed is a difference: equivalence speaks against it.
    flipped = [
        Figure(f.what, f.estimate, f.low, f.high, f.n, "claim", None if f.holds is None else not f.holds)
        for f in tested
    ]
    figures = [
        *flipped,
        *(
            same(rank, name, whole, told, margin=RANK_MARGIN, role="beside")
            for name in names
            if name != whole
        ),
        *(
            same(gain, name, whole, "gain in accuracy", margin=MARGIN, role="beside")
            for name in names
            if name != whole
        ),
        *_threshold(perturbed, names),
        *means(of_runs(perturbed, "stable_rank"), names, "stable rank at the end"),
    ]
    return Claim(
        "mixing",
        "Objective mixing changes the geometry once distillation is a small part of the advantage.",
        "shen2026, section 5",
        "Contradicted means: equivalent within the margin even without any distillation.",
        figures,
    )


def _threshold(perturbed: xr.Dataset, names: Sequence[str]) -> list[Figure]:
    chosen = only(perturbed, names)
    values = _log_rank(chosen).assign_coords(alpha=("run", chosen["alpha"].values))
    values = values.drop_vars("recipe")
    found = dose_response(values, "alpha", reference=1.0, margin=RANK_MARGIN, dim=None)
    (row, *_) = found.rows()
    return [
        Figure(
            f"log stable rank at alpha {row['alpha']:g} less that at alpha 1, monotone fit",
            row["estimate"],
            row["low"],
            row["high"],
        )
    ]


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
