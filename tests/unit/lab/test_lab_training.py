import pytest
import torch

from geostat.errors import NonFiniteError
from geostat.lab.model import GPTConfig, build_model
from geostat.lab.recipes import DEMO, FULL, RECIPES
from geostat.lab.teacher import load_teacher
from geostat.lab.training import TrainingSettings, learning_rate_at, one_thread, train


def trained(seed, recipe):
    draws = torch.Generator().manual_seed(seed)
    model = build_model(GPTConfig(), draws)
    settings, teacher = TrainingSettings(steps=4, batch=8, learning_rate=1e-3), load_teacher()
    with one_thread():
        train(model, lambda m: RECIPES[recipe].objective(m, teacher, settings.batch, draws), settings)
    return model.state_dict()


@pytest.mark.parametrize("recipe", ["sft", "opd", "opd_sampled", "rlvr"])
def test_a_seed_gives_the_same_weights_bit_for_bit(recipe):
    first, second, other = trained(3, recipe), trained(3, recipe), trained(4, recipe)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_one_thread_gives_the_threads_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_first_update_is_adams_sign_step():
    model = build_model(GPTConfig(width=8, heads=2), torch.Generator().manual_seed(0))
    before = model.head.weight.detach().clone()
    train(model, lambda m: m.head.weight.sum(), TrainingSettings(steps=1, batch=1, learning_rate=0.01))
    assert torch.allclose(before - model.head.weight, torch.full_like(before, 0.01), atol=1e-6)


def test_nothing_decays_without_a_gradient():
    model = build_model(GPTConfig(width=8, heads=2), torch.Generator().manual_seed(0))
    before = model.embedding.weight.detach().clone()
    train(model, lambda m: 0 * m.embedding.weight.sum(), TrainingSettings(2, 1, 0.1))
    assert torch.equal(model.embedding.weight, before)


def test_cosine_falls_from_the_full_rate_towards_zero():
    settings = TrainingSettings(steps=10, batch=1, learning_rate=2.0, schedule="cosine")
    rates = [learning_rate_at(step, settings) for step in range(10)]
    assert rates[0] == 2.0
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.06


def test_every_step_is_reported_in_order():
    model = build_model(GPTConfig(width=8, heads=2), torch.Generator().manual_seed(0))
    steps = []
    train(model, lambda m: m.head.weight.sum(), TrainingSettings(3, 1, 0.1), on_step=steps.append)
    assert steps == [1, 2, 3]


def test_a_diverged_run_stops_with_the_step():
    model = build_model(GPTConfig(width=8, heads=2), torch.Generator().manual_seed(0))
    with pytest.raises(NonFiniteError, match=r"at step 0 .*lower learning_rate"):
        train(model, lambda m: m.head.weight.sum() * float("nan"), TrainingSettings(3, 1, 0.1))


def test_the_full_recipes_are_those_of_the_laboratory():
    assert {
        name: (r.training.steps, r.training.batch, r.training.learning_rate) for name, r in RECIPES.items()
    } == {
        "sft": (300, 128, 5e-4),
        "opd": (300, 128, 1e-4),
        "opd_sampled": (300, 256, 1e-4),
        "rlvr": (250, 48, 1e-4),
        "continued_sft": (300, 128, 1e-4),
    }
    assert {r.name for r in FULL.recipes} == {r.name for r in DEMO.recipes} == set(RECIPES)


def test_checkpoints_are_evenly_spaced_in_both_scales():
    for scale in (DEMO, FULL):
        assert all(recipe.training.steps % scale.checkpoints == 0 for recipe in scale.recipes)


def test_the_demo_changes_nothing_but_length():
    for recipe in DEMO.recipes:
        full = RECIPES[recipe.name]
        assert recipe.training.steps <= full.training.steps
        assert recipe.shortened(steps=full.training.steps) == full
