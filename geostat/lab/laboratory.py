"""Everything that the laboratory trains, so that all of its studies can lie in one folder."""

from dataclasses import replace

from geostat.lab.model import GPTConfig
from geostat.lab.perturbations import PERTURBATIONS
from geostat.lab.recipes import PRETRAINING, RECIPES, Recipe, Scale

__all__ = ["LABORATORY", "LARGE", "RATED", "RATES", "rated"]

RATES = (3e-5, 1e-4, 3e-4)
"""Learning rates at which recipes from the anchor are compared; 1e-4 is their own."""


def rated(name: str, rate: float) -> Recipe:
    """Return a recipe at another learning rate.

    Parameters
    ----------
    name : str
        One of `RECIPES`.
    rate : float
        Learning rate.

    Returns
    -------
    Recipe
        Itself where the rate is its own.

    Examples
    --------
    >>> rated("opd", 3e-4).name, rated("opd", 1e-4).name
    ('opd_lr3e-04', 'opd')
    """
    recipe = RECIPES[name]
    if recipe.training.learning_rate == rate:
        return recipe
    return replace(recipe.shortened(learning_rate=rate), name=f"{name}_lr{rate:.0e}")


RATED = {name: tuple(rated(name, rate) for rate in RATES) for name in ("opd", "rlvr", "continued_sft")}
"""Recipes from the anchor, at three learning rates each."""

_ALL = {
    recipe.name: recipe
    for recipe in (*RECIPES.values(), *PERTURBATIONS.values(), *(r for each in RATED.values() for r in each))
}

LABORATORY = Scale("laboratory", PRETRAINING, tuple(_ALL.values()), checkpoints=10)
"""`FULL` with all perturbations and learning rates."""

LARGE = replace(LABORATORY, name="large", model=GPTConfig(layers=4, width=256, heads=8))
"""The same with 3.2M parameters: for an accelerator."""
