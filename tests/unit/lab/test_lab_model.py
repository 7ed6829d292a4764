import pytest
import torch

from geostat.lab.model import GPTConfig, build_model
from geostat.lab.problems import TUNING_OPERATIONS, draw_problems
from geostat.lab.sampling import answer_logits, sample_answers
from geostat.training.advantages import token_log_probabilities


@pytest.fixture(scope="module")
def model():
    return build_model(GPTConfig(), torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def problems():
    return draw_problems(TUNING_OPERATIONS, 16, torch.Generator().manual_seed(1))


def test_the_student_has_400_thousand_parameters(model):
    matrices, embeddings, positions, norms = 2 * 12 * 128**2, 2 * 17 * 128, 13 * 128, 5 * 128
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == matrices + embeddings + positions + norms
    assert round(count / 1e6, 2) == 0.40


def test_the_student_has_twelve_block_matrices_and_no_bias(model):
    names = dict(model.named_parameters())
    parts = ["attention.query", "attention.key", "attention.value", "attention.output", "mlp.up", "mlp.down"]
    expected = {f"blocks.{layer}.{part}.weight" for layer in (0, 1) for part in parts}
    assert {name for name, p in names.items() if p.ndim == 2 and name.startswith("blocks")} == expected
    assert {"embedding.weight", "positions.weight", "head.weight"} < set(names)
    assert not any("bias" in name for name in names)


def test_the_head_is_not_tied_to_the_embedding(model):
    assert model.head.weight.data_ptr() != model.embedding.weight.data_ptr()


def test_logits_do_not_depend_on_later_tokens(model, problems):
    changed = problems.prompts.clone()
    changed[:, 5:] = 0
    assert torch.allclose(model(problems.prompts)[0][:, :5], model(changed)[0][:, :5], atol=1e-5)
    assert not torch.allclose(model(problems.prompts)[0][:, 5:], model(changed)[0][:, 5:], atol=1e-2)


def test_cached_logits_equal_uncached_ones(model, problems):
    tokens = torch.cat([problems.prompts, problems.answers], dim=1)
    whole, _ = model(tokens)
    logits, cache = model(tokens[:, :8])
    pieces = [logits]
    for position in range(8, 13):
        logits, cache = model(tokens[:, position : position + 1], cache)
        pieces.append(logits)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-5)


def test_asking_for_later_positions_only_gives_the_same_logits(model, problems):
    whole, _ = model(problems.prompts)
    part, cache = model(problems.prompts, first=5)
    assert torch.allclose(part, whole[:, 5:], atol=1e-5)
    assert all(key.shape[2] == 8 for key, _ in cache)


def test_several_answers_to_a_prompt_are_scored_as_if_each_had_its_own(model, problems):
    answers = sample_answers(model, problems.prompts, torch.Generator().manual_seed(2), samples=3)
    shared = answer_logits(model, problems.prompts, answers)
    alone = answer_logits(model, problems.prompts.repeat_interleave(3, 0), answers)
    assert torch.allclose(shared, alone, atol=1e-5)


def test_gradients_through_a_shared_prompt_equal_those_through_copies(model, problems):
    answers = sample_answers(model, problems.prompts, torch.Generator().manual_seed(2), samples=3)

    def gradient(prompts):
        loss = token_log_probabilities(answer_logits(model, prompts, answers), answers).mean()
        return torch.autograd.grad(loss, model.blocks[0].attention.key.weight)[0]

    shared, alone = gradient(problems.prompts), gradient(problems.prompts.repeat_interleave(3, 0))
    assert torch.allclose(shared, alone, atol=1e-3 * alone.abs().max())


def test_a_model_that_is_sure_samples_its_uncached_greedy_answer(problems):
    model = build_model(GPTConfig(), torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.head.weight.mul_(1e5)
    tokens = problems.prompts
    for _ in range(5):
        tokens = torch.cat([tokens, model(tokens)[0][:, -1:].argmax(-1)], dim=1)
    sampled = sample_answers(model, problems.prompts, torch.Generator().manual_seed(3))
    assert torch.equal(sampled, tokens[:, 8:])


def test_first_tokens_are_sampled_with_their_probabilities(problems):
    model = build_model(GPTConfig(width=16), torch.Generator().manual_seed(0))
    prompt, n = problems.prompts[:1], 20_000
    probabilities = model(prompt)[0][0, -1].softmax(-1)
    drawn = sample_answers(model, prompt, torch.Generator().manual_seed(4), samples=n)[:, 0]
    frequencies = torch.bincount(drawn, minlength=17) / n
    assert ((frequencies - probabilities).abs() < 5 * (probabilities / n).sqrt()).all()


def test_a_model_is_drawn_from_its_generator_and_leaves_torchs_own_alone():
    before = torch.get_rng_state()
    first, second = (build_model(GPTConfig(), torch.Generator().manual_seed(7)) for _ in range(2))
    other = build_model(GPTConfig(), torch.Generator().manual_seed(8))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
