"""A laboratory of real training runs, small enough for a laptop: SFT, OPD and RLVR on three-digit sums.

A base is pretrained once, tuned into an anchor, and from the anchor branches start that differ in nothing but
the recipe. What comes out is a 0.4M-parameter transformer on arithmetic, not a language model: it shows how a
measurement behaves on true training runs, not what a run at another scale would give.
"""

from geostat.lab.arms import Arm
from geostat.lab.branches import Branch
from geostat.lab.checkpoints import load_checkpoint, save_checkpoint
from geostat.lab.evaluation import Accuracy, evaluate
from geostat.lab.model import GPT, GPTConfig, build_model
from geostat.lab.own_model import sufficiency_of
from geostat.lab.perturbations import PERTURBATIONS, PerturbedDistillation
from geostat.lab.problems import draw_problems, evaluation_problems, solve, verify
from geostat.lab.recipes import DEMO, FULL, RECIPES, Recipe, Scale
from geostat.lab.study import train_runs
from geostat.lab.sufficiency import functional_sufficiency
from geostat.lab.sufficiency_result import Sufficiency
from geostat.lab.teacher import load_teacher, save_teacher, train_teacher
from geostat.lab.training import TrainingSettings, train
from geostat.lab.workers import Progress

__all__ = [
    "DEMO",
    "FULL",
    "GPT",
    "PERTURBATIONS",
    "RECIPES",
    "Accuracy",
    "Arm",
    "Branch",
    "GPTConfig",
    "PerturbedDistillation",
    "Progress",
    "Recipe",
    "Scale",
    "Sufficiency",
    "TrainingSettings",
    "build_model",
    "draw_problems",
    "evaluate",
    "evaluation_problems",
    "functional_sufficiency",
    "load_checkpoint",
    "load_teacher",
    "save_checkpoint",
    "save_teacher",
    "solve",
    "sufficiency_of",
    "train",
    "train_runs",
    "train_teacher",
    "verify",
]
