"""Perturbed distillation: what each change does to the loss and its gradient."""

import pytest
import torch

from geostat.errors import ProtocolError
from geostat.lab import GPTConfig, build_model, load_teacher
from geostat.lab.objectives import GROUP_SIZE, group_relative_policy, sampled_token_distillation
from geostat.lab.perturbations import PERTURBATIONS, PerturbedDistillation
from geostat.lab.problems import TUNING_OPERATIONS, draw_problems
from geostat.lab.sampling import answer_logits, sample_answers
from geostat.training.advantages import mixed_advantages, token_log_probabilities


@pytest.fixture(scope="module")
def models():
    return tuple(build_model(GPTConfig(), torch.Generator().manual_seed(seed)) for seed in (0, 1))


def loss_and_gradient(objective, models, batch=32, seed=2):
    student, teacher = models
    student.zero_grad()
    loss = objective(student, teacher, batch, torch.Generator().manual_seed(seed))
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in student.parameters()])


def test_without_a_change_it_is_sampled_token_distillation(models):
    plain, found = (
        loss_and_gradient(each, models) for each in (sampled_token_distillation, PerturbedDistillation())
    )
    assert found[0] == plain[0]
    assert torch.equal(found[1], plain[1])


def test_with_rewards_alone_it_is_rlvr():
    teacher = load_teacher()
    with torch.no_grad():
        for parameter in (student := load_teacher().requires_grad_(True)).parameters():
            parameter.mul_(0.9)  # wrong often enough for groups to differ
    objective = PerturbedDistillation(alpha=0.0, samples=GROUP_SIZE)
    loss, gradient = loss_and_gradient(objective, (student, teacher), batch=16 * GROUP_SIZE)
    kept, wanted = loss_and_gradient(group_relative_policy, (student, teacher), batch=16)
    share = loss / kept  # RLVR averages over the groups it keeps
    assert 0 < share < 1
    torch.testing.assert_close(gradient, share * wanted, rtol=1e-3, atol=1e-7)


def test_answers_that_all_got_one_reward_leave_nothing_to_learn(models):
    objective = PerturbedDistillation(alpha=0.0, samples=GROUP_SIZE)
    assert objective(*models, 4 * GROUP_SIZE, torch.Generator().manual_seed(5)) is None
    mixed = mixed_advantages(torch.ones(2, 3), torch.ones(1, 2), alpha=0.5)
    assert torch.equal(mixed, torch.full((2, 3), 0.5))


def test_answers_of_the_teacher_minimise_the_squared_gap(models):
    student, teacher = models
    _, found = loss_and_gradient(PerturbedDistillation(rollouts="teacher"), models)
    generator = torch.Generator().manual_seed(2)
    prompts = draw_problems(TUNING_OPERATIONS, 32, generator).prompts
    answers = sample_answers(teacher, prompts, generator)
    student.zero_grad()
    with torch.no_grad():
        target = token_log_probabilities(answer_logits(teacher, prompts, answers), answers)
    gap = target - token_log_probabilities(answer_logits(student, prompts, answers), answers)
    (gap**2 / 2).mean().backward()
    squared = torch.cat([p.grad.flatten() for p in student.parameters()])
    torch.testing.assert_close(found, squared, rtol=1e-4, atol=1e-7)


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ProtocolError, match="keep=0"):
        PerturbedDistillation(keep=0.0)
    with pytest.raises(ProtocolError, match="samples=2"):
        PerturbedDistillation(alpha=0.5)


def test_every_perturbation_starts_where_sampled_opd_does_and_has_a_name_of_its_own():
    names = {recipe.objective.__name__ for recipe in PERTURBATIONS.values()}
    assert len(names) == len(PERTURBATIONS)
    assert {recipe.start for recipe in PERTURBATIONS.values()} == {"anchor"}
    assert {recipe.training.batch for recipe in PERTURBATIONS.values()} == {256}
