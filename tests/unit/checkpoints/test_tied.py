"""A parameter under two names is one matrix."""

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import list_matrices, open_checkpoint
from geostat.errors import NamingWarning

TIED = {"tie_word_embeddings": True}


def names(checkpoint):
    return [ref.name for ref in list_matrices(checkpoint, "all")]


def test_a_tied_module_counts_its_embedding_once():
    model = torch.nn.Module()
    model.embed_tokens = torch.nn.Embedding(5, 3)
    model.lm_head = torch.nn.Linear(3, 5, bias=False)
    assert names(open_checkpoint(model)) == ["embed_tokens", "lm_head"]
    model.lm_head.weight = model.embed_tokens.weight
    assert names(open_checkpoint(model)) == ["embed_tokens"]


def test_tied_tensors_in_a_torch_file_count_once(tmp_path):
    weight = torch.randn(5, 3)
    torch.save({"lm_head.weight": weight, "embed_tokens.weight": weight}, tmp_path / "tied.pt")
    assert names(open_checkpoint(tmp_path / "tied.pt")) == ["embed_tokens"]
    torch.save({"lm_head.weight": weight.clone(), "embed_tokens.weight": weight}, tmp_path / "untied.pt")
    assert names(open_checkpoint(tmp_path / "untied.pt")) == ["embed_tokens", "lm_head"]


def test_equal_copies_count_once_where_the_config_ties_them(tmp_path):
    weight = torch.randn(5, 3)
    path = tmp_path / "model.safetensors"
    save_file({"lm_head.weight": weight.clone(), "model.embed_tokens.weight": weight}, path)
    assert names(open_checkpoint(path, config=TIED)) == ["model.embed_tokens"]
    assert names(open_checkpoint(path, config={"text_config": TIED})) == ["model.embed_tokens"]
    assert names(open_checkpoint(path)) == ["model.embed_tokens", "lm_head"]


def test_copies_that_differ_count_twice_with_a_warning():
    weights = {"lm_head.weight": torch.randn(5, 3), "model.embed_tokens.weight": torch.randn(5, 3)}
    with pytest.warns(NamingWarning, match=r"ties 'lm_head\.weight'.*differ"):
        assert len(names(open_checkpoint(weights, config=TIED))) == 2


def test_a_head_that_is_not_stored_is_not_asked_for():
    assert names(open_checkpoint({"model.embed_tokens.weight": torch.ones(5, 3)}, config=TIED)) == [
        "model.embed_tokens"
    ]
