"""Does the seed whose channel captures more early end better? Within a recipe and rate, with seeds permuted."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError

__all__ = ["SeedCorrelation", "seed_correlation"]

Floats = npt.NDArray[np.float64]
MOST = 8
"""Seeds of which all orders are gone through: 40,320."""


@dataclass(frozen=True)
class SeedCorrelation:
    """A correlation between seeds, with what chance gives.

    Attributes
    ----------
    estimate : float
        Correlation of what is left of both figures once the mean of each cell (a recipe at a rate) is taken out.
    p_value : float
        Share of all orders of the seeds whose correlation is as large, in either direction. Runs of one seed share an
        anchor, so that a seed is moved in all cells at once; no interval is given, because five seeds are five.
    n_seeds, n_cells : int
        How many.
    """

    estimate: float
    p_value: float
    n_seeds: int
    n_cells: int


def seed_correlation(predictor: xr.DataArray, outcome: xr.DataArray) -> SeedCorrelation:
    """Correlate two figures of runs between seeds, within recipes.

    Parameters
    ----------
    predictor, outcome : xarray.DataArray
        Dim run, with coordinates recipe and seed: every seed in every recipe.

    Returns
    -------
    SeedCorrelation
        With the exact p-value of a permutation test.

    Raises
    ------
    SampleError
        If a recipe lacks a seed, or there are fewer than three seeds or more than eight.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> labels = {"recipe": ("run", ["a"] * 5 + ["b"] * 5), "seed": ("run", [*range(5), *range(5)])}
    >>> early = xr.DataArray(np.arange(10.0) ** 2, dims="run", coords=labels)
    >>> found = seed_correlation(early, 2 * early)
    >>> round(found.estimate, 3), found.n_seeds, found.n_cells
    (1.0, 5, 2)
    >>> round(found.p_value * 120)  # of the 120 orders only the one at hand fits
    1
    """
    early, late = (_centred(_cells(values)) for values in (predictor, outcome))
    seeds = early.shape[1]
    observed = _correlation(early, late)
    shuffled = [_correlation(early[:, order], late) for order in map(list, permutations(range(seeds)))]
    extreme = np.abs(shuffled) >= abs(observed) - 1e-12
    return SeedCorrelation(observed, float(extreme.mean()), seeds, early.shape[0])


def _cells(values: xr.DataArray) -> Floats:
    """(recipes, seeds)."""
    recipes = sorted({str(name) for name in values["recipe"].values})
    seeds = sorted({int(seed) for seed in values["seed"].values})
    found = {
        (str(recipe), int(seed)): float(value)
        for recipe, seed, value in zip(
            values["recipe"].values, values["seed"].values, values.values, strict=True
        )
    }
    missing = [(recipe, seed) for recipe in recipes for seed in seeds if (recipe, seed) not in found]
    if missing or not 3 <= len(seeds) <= MOST:
        raise SampleError(
            f"a correlation between seeds was asked for, with {len(seeds)} seeds and {len(missing)} runs missing"
            f"{f' ({missing[0]})' if missing else ''}. Give three to {MOST} seeds, each in every recipe."
        )
    return np.array([[found[recipe, seed] for seed in seeds] for recipe in recipes])


def _centred(values: Floats) -> Floats:
    means: Floats = values.mean(axis=1, keepdims=True)
    return values - means


def _correlation(a: Floats, b: Floats) -> float:
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else float("nan")
