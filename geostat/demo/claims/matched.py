"""Recipes where they have come equally far, and whether SFT that is matched in rate and distance is like OPD."""

import numpy as np
import xarray as xr

from geostat.demo.claims.claim import Claim
from geostat.demo.claims.readings import ALPHA, same
from geostat.errors import SampleError
from geostat.statistics import displacement_matched

__all__ = ["at_equal_displacement", "matched"]

RELATIVE_MARGIN = 0.1
"""Relative change of a figure that does not matter, as a difference of logarithms."""
COMPARED = {
    "update_sparsity": "unchanged entries",
    "normalized_spectral_shift": "normalized spectral shift",
    "mean_principal_angle": "mean principal angle",
    "stable_rank": "stable rank",
}


def at_equal_displacement(runs: xr.Dataset, metric: str, a: str, b: str) -> xr.DataArray | None:
    """A figure of two recipes where both have come equally far.

    Parameters
    ----------
    runs : xarray.Dataset
        Combined.
    metric : str
        Of it.
    a, b : str
        Recipes.

    Returns
    -------
    xarray.DataArray or None
        Dim run. None where one of them has not moved, or begins farther out than the other ever comes.
    """
    chosen = runs[[metric, "relative_update_norm"]]
    if "alpha" in chosen.dims:
        chosen = chosen.sel(alpha=ALPHA, drop=True)
    if "side" in chosen.dims:
        chosen = chosen.mean("side", keep_attrs=True)
    try:
        return displacement_matched(chosen, a, b)[metric]
    except SampleError:
        return None


def matched(published: xr.Dataset) -> Claim | None:
    """Whether SFT from OPD's anchor, at its rate and at its distance, has OPD's geometry.

    Parameters
    ----------
    published : xarray.Dataset
        Runs from bf16 checkpoints.

    Returns
    -------
    Claim or None
        With its verdict; None where the recipes cannot be matched.
    """
    figures = []
    for metric, words in COMPARED.items():
        values = at_equal_displacement(published, metric, "opd", "continued_sft")
        if values is None:
            return None
        told = f"log of {words} at equal displacement"
        logarithms = values.copy(data=np.log(values.values)).rename(f"log_{metric}").assign_attrs(units="1")
        figures.append(same(logarithms, "continued_sft", "opd", told, margin=RELATIVE_MARGIN))
    return Claim(
        "matched-sft",
        "SFT from OPD's anchor, at OPD's learning rate and displacement, has OPD's geometry.",
        "not claimed: what shen2026 leaves open, whose SFT starts elsewhere and is faster",
        f"Each figure equivalent within {RELATIVE_MARGIN:.0%}; one that differs contradicts.",
        figures,
    )
