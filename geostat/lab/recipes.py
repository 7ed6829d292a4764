"""The recipes as data: where each starts, what it minimises, for how long and how fast."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from geostat.errors import ProtocolError
from geostat.lab import objectives
from geostat.lab.model import STUDENT, GPTConfig
from geostat.lab.objectives import Objective
from geostat.lab.problems import EVALUATION_SIZE
from geostat.lab.training import TrainingSettings

__all__ = ["DEMO", "FULL", "PRETRAINING", "RECIPES", "TEACHER_TRAINING", "Recipe", "Scale"]


@dataclass(frozen=True)
class Recipe:
    """One way to train: its start (None: fresh weights), its objective, its settings.

    The base is the pretrained model, one for all seeds; the anchor is the last state of SFT of the same seed.
    """

    name: str
    start: Literal["base", "anchor"] | None
    objective: Objective
    training: TrainingSettings

    def shortened(self, **settings: Any) -> "Recipe":
        """Return the same recipe with other training settings, e.g. ``steps=100``."""
        return replace(self, training=replace(self.training, **settings))


PRETRAINING = Recipe("pretraining", None, objectives.pretraining, TrainingSettings(500, 128, 3e-3, "cosine"))

TEACHER_TRAINING = Recipe("teacher", None, objectives.supervised, TrainingSettings(1600, 128, 3e-3, "cosine"))

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("sft", "base", objectives.supervised, TrainingSettings(300, 128, 5e-4, "cosine")),
        Recipe("opd", "anchor", objectives.on_policy_distillation, TrainingSettings(300, 128, 1e-4)),
        Recipe(
            "opd_sampled", "anchor", objectives.sampled_token_distillation, TrainingSettings(300, 256, 1e-4)
        ),
        Recipe("rlvr", "anchor", objectives.group_relative_policy, TrainingSettings(250, 48, 1e-4)),
        Recipe("continued_sft", "anchor", objectives.supervised, TrainingSettings(300, 128, 1e-4)),
    )
}


@dataclass(frozen=True)
class Scale:
    """Settings of a whole study: the pretraining and every recipe.

    `checkpoints` is how many a branch leaves beside its start, `problems` on how many accuracy is taken, `model` the
    sizes of the student.
    """

    name: str
    pretraining: Recipe
    recipes: tuple[Recipe, ...]
    checkpoints: int = 8
    problems: int = EVALUATION_SIZE
    model: GPTConfig = STUDENT

    def recipe(self, name: str) -> Recipe:
        """Return the recipe of that name at this scale.

        Raises
        ------
        ProtocolError
            There is none.
        """
        found = {recipe.name: recipe for recipe in self.recipes}
        if name not in found:
            raise ProtocolError(
                f"the recipe {name!r} was asked for; the scale {self.name!r} has {', '.join(found)}. "
                "Pass one of these."
            )
        return found[name]


FULL = Scale("full", PRETRAINING, tuple(RECIPES.values()), checkpoints=10)
"""The settings of `RECIPES`, ten checkpoints to a branch."""

DEMO = Scale(
    "demo",
    PRETRAINING,
    tuple(
        RECIPES[name].shortened(steps=steps)
        for name, steps in {
            "sft": 296,
            "opd": 240,
            "opd_sampled": 200,
            "rlvr": 200,
            "continued_sft": 240,
        }.items()
    ),
)
"""`FULL` with fewer steps and all else as it is, so that three seeds fit into a few minutes on two cores.

OPD and continued SFT have 240 steps of 300, sampled-token OPD 200 of 300, RLVR 200 of 250: their gains are
smaller for it. SFT has 296 of 300, so that eight checkpoints are evenly spaced. Pretraining is not shortened:
carry-free sums and differences come late in it, and all at once.
"""
