"""Distillation on any logits: which tokens count, what is mixed in, and what padding does."""

import pytest
import torch

from geostat.errors import ProtocolError, ShapeError
from geostat.training import distillation_loss, token_weights


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("choose", ["random", "top_kl"])
@pytest.mark.parametrize("keep", [0.25, 0.5])
def test_kept_tokens_are_rescaled_so_that_the_batch_weighs_the_same(keep, choose):
    weights = token_weights(drawn(0, 16, 5, 17), drawn(1, 16, 5, 17), keep=keep, choose=choose)
    assert int((weights > 0).sum()) == keep * 80
    assert float(weights.mean()) == pytest.approx(1.0)


def test_every_token_weighs_the_same_on_average_where_tokens_are_chosen_at_random():
    logits, generator = torch.zeros(4, 5, 17), torch.Generator().manual_seed(0)
    draws = [token_weights(logits, logits, keep=0.25, generator=generator) for _ in range(4000)]
    torch.testing.assert_close(
        torch.stack(draws).mean(0), torch.ones(4, 5), rtol=0, atol=0.14
    )  # 5 standard errors


def test_the_tokens_of_largest_divergence_are_kept():
    logits, wanted = torch.zeros(2, 5, 17), torch.zeros(2, 5, 17)
    wanted[1, 3, 0], wanted[0, 2, 0] = 5.0, 4.0
    weights = token_weights(logits, wanted, keep=0.2, choose="top_kl")
    assert weights.nonzero().tolist() == [[0, 2], [1, 3]]


@pytest.mark.parametrize("settings", [{}, {"keep": 0.5, "choose": "top_kl"}])
def test_padding_changes_nothing(settings):
    student, teacher = drawn(0, 3, 4, 7).requires_grad_(), drawn(1, 3, 4, 7)
    tokens = torch.randint(7, (3, 4), generator=torch.Generator().manual_seed(2))
    bare = distillation_loss(student, teacher, tokens, **settings)
    wide = [torch.cat([each, 9 * drawn(3, 3, 2, 7)], 1) for each in (student, teacher)]
    longer = torch.cat([tokens, torch.zeros(3, 2, dtype=torch.long)], 1)
    mask = torch.arange(6).expand(3, 6) < 4
    padded = distillation_loss(*wide, longer, mask=mask, **settings)
    torch.testing.assert_close(padded, bare)
    torch.testing.assert_close(*(torch.autograd.grad(each, student)[0] for each in (padded, bare)))


def test_the_loss_is_its_equation():
    student, teacher = drawn(0, 4, 3, 5).requires_grad_(), drawn(1, 4, 3, 5)
    tokens, rewards = torch.randint(5, (4, 3)), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    found = distillation_loss(student, teacher, tokens, rewards=rewards, alpha=0.25)
    chosen, wanted = (
        each.log_softmax(-1).gather(-1, tokens[..., None])[..., 0] for each in (student, teacher)
    )
    advantage = 0.25 * (wanted - chosen).detach() + 0.75 * torch.tensor([1.0, -1.0, 0.0, 0.0])[:, None]
    torch.testing.assert_close(found, -(advantage * chosen).mean())


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"teacher": drawn(0, 2, 3, 9)}, ShapeError, "Cut prompts off"),
        ({"tokens": torch.zeros(2, 4, dtype=torch.long)}, ShapeError, r"tokens \(2, 4\)"),
        ({"mask": torch.ones(2)}, ShapeError, "mask"),
        ({"mask": torch.zeros(2, 3)}, ProtocolError, "no token"),
        ({"alpha": 0.5}, ProtocolError, "rewards that are mixed in"),
        ({"alpha": 2.0, "rewards": torch.ones(1, 2)}, ProtocolError, "alpha=2"),
        ({"rewards": torch.ones(1, 3)}, ShapeError, "one reward for each answer"),
        ({"keep": 0.0}, ProtocolError, "keep=0"),
        ({"choose": "best"}, ProtocolError, "choose='best'"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, told):
    given = {"student": drawn(0, 2, 3, 5), "teacher": drawn(1, 2, 3, 5), "tokens": torch.zeros(2, 3).long()}
    with pytest.raises(error, match=told):
        distillation_loss(**(given | changes))
