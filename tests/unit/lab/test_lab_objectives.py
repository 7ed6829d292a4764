import math

import pytest
import torch
from torch.nn import functional

from geostat.lab.model import GPTConfig, build_model
from geostat.lab.objectives import (
    group_advantages,
    group_relative_policy,
    on_policy_distillation,
    sampled_token_distillation,
    supervised,
)
from geostat.lab.sampling import sample_answers
from geostat.lab.teacher import load_teacher
from geostat.lab.training import TrainingSettings, train
from geostat.training.advantages import reverse_kl


def student(seed=0):
    return build_model(GPTConfig(width=32), torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def logits(seed):
    return torch.randn(6, 17, generator=generator(seed), dtype=torch.float64)


def gradient_norm(loss, model):
    return torch.stack([g.norm() for g in torch.autograd.grad(loss, list(model.parameters()))]).norm()


def test_reverse_kl_agrees_with_torchs_divergence():
    ours = reverse_kl(logits(1), logits(2))
    student_first = functional.kl_div(
        logits(2).log_softmax(-1), logits(1).log_softmax(-1), log_target=True, reduction="none"
    )
    assert torch.allclose(ours, student_first.sum(-1))
    assert not torch.allclose(ours, reverse_kl(logits(2), logits(1)))


def test_reverse_kl_and_its_gradient_vanish_when_student_and_teacher_agree():
    same = logits(1).requires_grad_()
    divergence = reverse_kl(same, same.detach())
    (gradient,) = torch.autograd.grad(divergence.sum(), same)
    assert divergence.abs().max() < 1e-12
    assert gradient.abs().max() < 1e-12


def test_a_step_against_the_gradient_of_reverse_kl_approaches_the_teacher():
    start, teacher = logits(1).requires_grad_(), logits(2)
    before = reverse_kl(start, teacher)
    (gradient,) = torch.autograd.grad(before.sum(), start)
    assert (reverse_kl(start - 0.1 * gradient, teacher) < before).all()


def test_the_sampled_token_gradient_is_in_expectation_that_of_reverse_kl():
    start, teacher = logits(1).requires_grad_(), logits(2)
    (full,) = torch.autograd.grad(reverse_kl(start, teacher).sum(), start)
    chosen = start.log_softmax(-1)
    advantages = (teacher.log_softmax(-1) - chosen).detach()
    over_all_tokens = -(chosen.exp().detach() * advantages * chosen).sum()
    (sampled,) = torch.autograd.grad(over_all_tokens, start)
    assert torch.allclose(sampled, full)


@pytest.mark.parametrize("objective", [on_policy_distillation, sampled_token_distillation])
def test_distilling_a_model_into_itself_moves_nothing(objective):
    model = student()
    itself = objective(model, model, 16, generator())
    stranger = objective(model, student(seed=1), 16, generator())
    assert gradient_norm(itself, model) < 1e-3 * gradient_norm(stranger, model)


def test_advantages_are_centred_and_scaled_within_each_group():
    rewards = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]])
    advantages, kept = group_advantages(rewards)
    assert kept.all()
    assert torch.allclose(advantages[0], torch.tensor([3.0, -1, -1, -1]) / 3**0.5)
    assert torch.allclose(advantages[1], torch.tensor([1.0, 1, -1, -1]))


def test_groups_with_one_reward_are_skipped():
    rewards = torch.tensor([[1.0] * 4, [0.0] * 4, [0, 1, 0, 0]])
    advantages, kept = group_advantages(rewards)
    assert kept.tolist() == [False, False, True]
    assert advantages.shape == (1, 4)
    assert advantages.isfinite().all()


def test_a_batch_without_any_right_answer_changes_no_weight():
    model = student()
    before = {name: p.clone() for name, p in model.named_parameters()}
    settings, draws = TrainingSettings(steps=3, batch=2, learning_rate=1e-2), generator()
    skipped = train(model, lambda m: group_relative_policy(m, m, 2, draws), settings)
    assert skipped == 3
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_group_relative_step_makes_rewarded_samples_likelier(monkeypatch):
    model = student()

    def starts_with_an_even_digit(prompts, answers):
        return answers[:, 0] % 2 == 0

    monkeypatch.setattr("geostat.lab.objectives.verify", starts_with_an_even_digit)
    draws = generator()
    settings = TrainingSettings(steps=20, batch=16, learning_rate=3e-3)
    prompts = torch.randint(10, (64, 8), generator=generator(9))

    def share():
        return (sample_answers(model, prompts, generator(3), samples=8)[:, 0] % 2 == 0).float().mean()

    before = share()
    train(model, lambda m: group_relative_policy(m, m, 16, draws), settings)
    assert share() > before + 0.2


def test_supervised_loss_of_the_teacher_is_near_zero_and_of_a_fresh_model_near_log_17():
    fresh = build_model(GPTConfig(), generator())
    with torch.no_grad():
        fresh.head.weight.mul_(1e-3)
    assert supervised(load_teacher(), fresh, 256, generator()) < 0.01
    assert supervised(fresh, fresh, 256, generator()).item() == pytest.approx(math.log(17), abs=1e-2)
