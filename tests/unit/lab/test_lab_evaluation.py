import pytest
import torch

from geostat.lab.evaluation import evaluate
from geostat.lab.model import GPTConfig, build_model
from geostat.lab.problems import Problems, evaluation_problems
from geostat.lab.sampling import sample_answers
from geostat.lab.teacher import load_teacher, teacher_path


def rather_sure_model():
    """A model whose likeliest answers have probabilities far from 0 and from 1."""
    model = build_model(GPTConfig(width=16), torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.head.weight.mul_(6)
    return model


def greedy_problems(model, n):
    prompts = evaluation_problems(n).prompts
    tokens = prompts
    for _ in range(5):
        tokens = torch.cat([tokens, model(tokens)[0][:, -1:].argmax(-1)], dim=1)
    return Problems(prompts, tokens[:, 8:])


def test_expected_accuracy_is_the_product_of_the_token_probabilities():
    model = rather_sure_model()
    problems = greedy_problems(model, 3)
    by_hand = []
    for prompt, answer in zip(problems.prompts, problems.answers, strict=True):
        tokens, probability = prompt[None], 1.0
        for token in answer:
            probability *= model(tokens)[0][0, -1].softmax(-1)[token].item()
            tokens = torch.cat([tokens, token.view(1, 1)], dim=1)
        by_hand.append(probability)
    assert evaluate(model, problems).expected == pytest.approx(sum(by_hand) / 3, rel=1e-4)


def test_expected_accuracy_is_the_share_of_right_samples():
    model = rather_sure_model()
    problems = greedy_problems(model, 4)
    exact = evaluate(model, problems).expected
    n = 5000
    samples = sample_answers(model, problems.prompts, torch.Generator().manual_seed(1), samples=n)
    share = (samples == problems.answers.repeat_interleave(n, 0)).all(-1).double().mean().item()
    assert 0.02 < exact < 0.98
    assert abs(share - exact) < 4 * (exact * (1 - exact) / (4 * n)) ** 0.5


def test_greedy_accuracy_counts_answers_likeliest_in_every_token():
    model = rather_sure_model()
    problems = greedy_problems(model, 10)
    problems.answers[:3, 4] = (problems.answers[:3, 4] + 1) % 17
    assert evaluate(model, problems).greedy == pytest.approx(0.7)


def test_accuracy_is_the_mean_over_problems_however_they_are_batched():
    model = rather_sure_model()
    problems = greedy_problems(model, 700)
    halves = [
        evaluate(model, Problems(problems.prompts[part], problems.answers[part]))
        for part in (slice(0, 350), slice(350, 700))
    ]
    assert evaluate(model, problems).expected == pytest.approx(sum(h.expected for h in halves) / 2)
    assert evaluate(model, problems).problems == 700


def test_the_stored_teacher_has_the_accuracy_that_its_readme_states():
    accuracy = evaluate(load_teacher())
    assert accuracy.expected == pytest.approx(0.99699, abs=1e-4)
    assert accuracy.greedy == 1.0
    assert 1e6 < teacher_path().stat().st_size < 2.5e6
