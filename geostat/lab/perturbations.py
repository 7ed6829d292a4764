r"""Distillation by policy gradient, disturbed: fewer tokens, somebody else's rollouts, another objective mixed in.

All perturbations act on the advantage of a sampled token. Undisturbed it is
:math:`\log \pi_T - \log \pi_S`, the gap between teacher and student.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from geostat.errors import ProtocolError
from geostat.lab.model import GPT
from geostat.lab.objectives import GROUP_SIZE
from geostat.lab.problems import TUNING_OPERATIONS, draw_problems, verify
from geostat.lab.recipes import RECIPES, Recipe
from geostat.lab.sampling import answer_logits, sample_answers
from geostat.training.distillation import Choose, distillation_loss

__all__ = ["PERTURBATIONS", "PerturbedDistillation", "perturbed"]


@dataclass(frozen=True)
class PerturbedDistillation:
    r"""Sampled-token distillation with one thing changed; an objective of the laboratory.

    Attributes
    ----------
    keep : float
        Share of a batch's tokens that is trained on, in (0, 1]. Their gap is rescaled by tokens over tokens kept.
    choose : {"random", "top_kl"}
        Which: any, or those at which student and teacher differ most, by the divergence over the vocabulary.
    rollouts : {"student", "teacher"}
        Who writes the answers. Answers of the teacher are used without importance weights: the gradient is then
        that of :math:`\tfrac12 E_{\pi_T} (\log \pi_T - \log \pi_S)^2`, which is least where the two agree, but
        is no divergence of the student's own distribution.
    alpha : float
        Share of distillation in the advantage :math:`\alpha A_\text{OPD} + (1 - \alpha) A_\text{RLVR}`, in [0, 1].
    samples : int
        Answers to one prompt; more than 1 where the advantage of RLVR, which compares them, is mixed in.

    References
    ----------
    P1 (section 5, appendix G).

    Examples
    --------
    >>> PerturbedDistillation(keep=0.5, choose="top_kl").__name__
    'sampled-token distillation, keep=0.5, choose=top_kl'
    """

    keep: float = 1.0
    choose: Choose = "random"
    rollouts: Literal["student", "teacher"] = "student"
    alpha: float = 1.0
    samples: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1 or not 0 <= self.alpha <= 1 or self.samples < 1:
            raise ProtocolError(
                f"keep={self.keep}, alpha={self.alpha} and samples={self.samples} were asked for. Pass keep in (0, 1], "
                "alpha in [0, 1] and at least one sample."
            )
        if self.alpha < 1 and self.samples < 2:
            raise ProtocolError(
                f"alpha={self.alpha} mixes in RLVR, which compares answers to one prompt: pass samples=2 or more."
            )

    @property
    def __name__(self) -> str:
        """What is changed, for the settings of a study."""
        usual = PerturbedDistillation.__dataclass_fields__
        changed = [
            f"{name}={getattr(self, name)}" for name in usual if getattr(self, name) != usual[name].default
        ]
        return ", ".join(["sampled-token distillation", *changed])

    def __call__(self, student: GPT, teacher: GPT, batch: int, generator: torch.Generator) -> Tensor | None:
        """Loss of one batch of answers; None where nothing tells them apart."""
        prompts = draw_problems(TUNING_OPERATIONS, max(1, batch // self.samples), generator).prompts
        writer = student if self.rollouts == "student" else teacher
        answers = sample_answers(writer, prompts, generator, samples=self.samples)
        logits = answer_logits(student, prompts, answers)
        with torch.no_grad():
            wanted = answer_logits(teacher, prompts, answers)
        rewards = verify(prompts.repeat_interleave(self.samples, 0), answers).float().view(-1, self.samples)
        if self.alpha == 0 and bool((rewards == rewards[:, :1]).all()):
            return None
        return distillation_loss(
            logits,
            wanted,
            answers,
            keep=self.keep,
            choose=self.choose,
            rewards=None if self.alpha == 1 else rewards,
            alpha=self.alpha,
            generator=generator,
        )


def perturbed(name: str, **changes: object) -> Recipe:
    """Sampled-token OPD with one thing changed, as a recipe.

    Parameters
    ----------
    name : str
        Of the recipe.
    **changes
        Of `PerturbedDistillation`.

    Returns
    -------
    Recipe
        From the same anchor, with the same settings.
    """
    return replace(RECIPES["opd_sampled"], name=name, objective=replace(PerturbedDistillation(), **changes))  # type: ignore[arg-type]


ALPHAS = (1.0, 0.75, 0.5, 0.25, 0.05, 0.01, 0.0)

PERTURBATIONS: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        perturbed("opd_random50", keep=0.5),
        perturbed("opd_random25", keep=0.25),
        perturbed("opd_top50", keep=0.5, choose="top_kl"),
        perturbed("opd_top25", keep=0.25, choose="top_kl"),
        perturbed("opd_off_policy", rollouts="teacher"),
        *(perturbed(f"opd_mixed{100 * alpha:g}", alpha=alpha, samples=GROUP_SIZE) for alpha in ALPHAS),
    )
}
"""``opd_mixed100`` is OPD with eight answers to a prompt, with which the other mixtures are compared."""
