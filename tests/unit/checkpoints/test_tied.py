"""A parameter under two names is one matrix."""

import re
import warnings

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import list_matrices, open_checkpoint, pair_matrices
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


EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def saved(path, **tensors):
    names = {"embedding": EMBEDDING, "head": HEAD}
    save_file({names[name]: tensor.clone() for name, tensor in tensors.items()}, path)
    return path


def paired(base, step):
    return pair_matrices(base, step, list_matrices(base, "all"))


def says(*parts):
    return "(?s)" + ".*".join(re.escape(str(part)) for part in parts)


def test_a_head_tied_by_config_that_a_checkpoint_unties_is_named(tmp_path):
    weight = torch.randn(5, 3)
    base = open_checkpoint(saved(tmp_path / "base.safetensors", embedding=weight, head=weight), config=TIED)
    step = open_checkpoint(saved(tmp_path / "step.safetensors", embedding=weight, head=weight + 1))
    with pytest.warns(NamingWarning, match=says(HEAD, EMBEDDING, base.path, step.path, "matrices='lm_head'")):
        pairing = paired(base, step)
    assert [ref.tensor for ref in pairing.paired] == [EMBEDDING]
    assert [ref.tensor for ref in list_matrices(base, "lm_head")] == [HEAD]  # the remedy


def test_a_head_tied_by_its_module_that_a_checkpoint_unties_is_named(tmp_path):
    model = torch.nn.Module()
    model.embed_tokens = torch.nn.Embedding(5, 3)
    model.lm_head = torch.nn.Linear(3, 5, bias=False)
    model.lm_head.weight = model.embed_tokens.weight
    step = open_checkpoint({"embed_tokens.weight": torch.ones(5, 3), HEAD: torch.zeros(5, 3)})
    with pytest.warns(NamingWarning, match=says("'lm_head.weight' and 'embed_tokens.weight'", "differ")):
        paired(open_checkpoint(model), step)


def test_a_head_that_only_the_checkpoint_stores_and_unties_is_named(tmp_path):
    weight = torch.randn(5, 3)
    base = open_checkpoint(saved(tmp_path / "base.safetensors", embedding=weight), config=TIED)
    step = open_checkpoint(saved(tmp_path / "step.safetensors", embedding=weight, head=weight + 1))
    with pytest.warns(NamingWarning, match=says(HEAD, EMBEDDING, step.path, "added as a copy")):
        paired(base, step)


def test_a_head_that_stays_tied_or_is_not_stored_is_no_news(tmp_path):
    weight, moved = torch.randn(2, 5, 3)
    base = open_checkpoint(saved(tmp_path / "base.safetensors", embedding=weight, head=weight), config=TIED)
    alone = open_checkpoint(saved(tmp_path / "alone.safetensors", embedding=weight), config=TIED)
    tied = saved(tmp_path / "tied.safetensors", embedding=moved, head=moved)
    unstored = saved(tmp_path / "unstored.safetensors", embedding=moved)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for start in (base, alone):
            for step in (tied, unstored):
                assert [ref.tensor for ref in paired(start, open_checkpoint(step)).paired] == [EMBEDDING]


def test_a_head_in_another_dtype_or_shape_is_compared_without_a_crash(tmp_path):
    weight = torch.randn(5, 3).bfloat16()
    base = open_checkpoint(saved(tmp_path / "base.safetensors", embedding=weight, head=weight), config=TIED)
    wide = open_checkpoint({EMBEDDING: weight, HEAD: weight.float()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paired(base, wide)
    with pytest.warns(NamingWarning, match="differ"):
        paired(base, open_checkpoint({EMBEDDING: weight, HEAD: weight[:4]}))


def test_only_the_two_tied_tensors_are_read_to_pair(tmp_path, monkeypatch):
    weight = torch.randn(5, 3)
    tensors = {EMBEDDING: weight, HEAD: weight.clone(), "layers.0.self_attn.q_proj.weight": torch.ones(4, 3)}
    save_file(tensors, tmp_path / "base.safetensors")
    base = open_checkpoint(tmp_path / "base.safetensors", config=TIED)
    refs, step = list_matrices(base, "all"), open_checkpoint(tmp_path / "base.safetensors")
    read = []
    plain = type(step).__getitem__
    monkeypatch.setattr(type(step), "__getitem__", lambda self, name: read.append(name) or plain(self, name))
    pair_matrices(base, step, refs)
    assert sorted(read) == [HEAD, EMBEDDING]
