"""Experts in one 3-D tensor: one matrix each, as (out, in)."""

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import list_matrices, open_checkpoint
from geostat.checkpoints.safetensors_file import SafetensorsFile
from geostat.errors import NamingError

PREFIX = "model.layers.0.mlp.experts"


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def read_all(weights, matrices="linear", config=None):
    checkpoint = open_checkpoint(weights, config=config)
    return {ref.name: (ref, ref.read(checkpoint)) for ref in list_matrices(checkpoint, matrices)}


def test_a_fused_expert_tensor_gives_one_matrix_for_each_expert():
    down = randn(3, 4, 6)
    found = read_all({f"{PREFIX}.down_proj": down, f"{PREFIX}.gate_up_proj": randn(3, 12, 4, seed=1)})
    ref, matrix = found[f"{PREFIX}.down_proj[2]"]
    assert (ref.layer, ref.module, ref.expert, ref.rows, ref.cols) == (0, "down_proj", 2, 4, 6)
    assert torch.equal(matrix, down[2])
    assert sum(ref.module == "down_proj" for ref, _ in found.values()) == 3


@pytest.mark.parametrize("stored_in_out", [False, True])
def test_experts_act_as_their_layer_does_whichever_way_they_are_stored(stored_in_out):
    hidden, inner, x = 4, 6, randn(5, 4, seed=9)
    gate_up, down = randn(3, 2 * inner, hidden), randn(3, hidden, inner, seed=1)
    expected_gate, expected_up = (x @ gate_up[1].T).chunk(2, dim=-1)
    weights = {f"{PREFIX}.gate_up_proj": gate_up, f"{PREFIX}.down_proj": down}
    if stored_in_out:
        weights = {name: tensor.transpose(1, 2).contiguous() for name, tensor in weights.items()}
    found = read_all(weights)
    torch.testing.assert_close(x @ found[f"{PREFIX}.gate_up_proj[1][gate_proj]"][1].T, expected_gate)
    torch.testing.assert_close(x @ found[f"{PREFIX}.gate_up_proj[1][up_proj]"][1].T, expected_up)
    assert torch.equal(found[f"{PREFIX}.down_proj[1]"][1], down[1])


def test_square_down_projections_take_their_orientation_from_gate_and_up():
    # hidden size equals the inner size: only the pair of shapes tells (in, out).
    weights = {f"{PREFIX}.gate_up_proj": randn(2, 4, 8), f"{PREFIX}.down_proj": randn(2, 4, 4, seed=1)}
    found = read_all(weights)
    assert torch.equal(found[f"{PREFIX}.down_proj[0]"][1], weights[f"{PREFIX}.down_proj"][0].T)


def test_gate_and_up_that_alternate_are_taken_apart_where_the_architecture_alternates_them():
    gate_up, x = randn(2, 4, 12), randn(5, 4, seed=2)
    fused = x @ gate_up[1]
    weights = {f"{PREFIX}.gate_up_proj": gate_up, f"{PREFIX}.down_proj": randn(2, 6, 4, seed=1)}
    found = read_all(weights, config={"model_type": "gpt_oss"})
    torch.testing.assert_close(x @ found[f"{PREFIX}.gate_up_proj[1][gate_proj]"][1].T, fused[:, ::2])
    torch.testing.assert_close(x @ found[f"{PREFIX}.gate_up_proj[1][up_proj]"][1].T, fused[:, 1::2])


def test_experts_in_separate_stacks_are_oriented_by_the_hidden_size():
    weights = {"layers.0.moe.experts.w1": randn(2, 6, 4), "layers.0.moe.experts.w2": randn(2, 4, 6, seed=1)}
    found = read_all(weights, config={"hidden_size": 4})
    assert torch.equal(found["layers.0.moe.experts.w1[1]"][1], weights["layers.0.moe.experts.w1"][1])
    turned = read_all(weights, config={"hidden_size": 6})
    assert torch.equal(turned["layers.0.moe.experts.w1[1]"][1], weights["layers.0.moe.experts.w1"][1].T)


def test_a_stack_whose_orientation_cannot_be_told_is_refused():
    with pytest.raises(NamingError, match=r"experts\.w1.*\(2, 6, 4\).*config\.json.*naming"):
        read_all({"layers.0.moe.experts.w1": randn(2, 6, 4)})


def test_all_experts_in_one_matrix_are_refused():
    with pytest.raises(NamingError, match=r"ffn\.experts\.mlp\.w1.*\(12, 4\).*all experts.*Reshape"):
        read_all({"transformer.blocks.0.ffn.experts.mlp.w1": randn(12, 4)})


def test_only_the_expert_asked_for_is_read(tmp_path, monkeypatch):
    down = randn(3, 4, 6)
    save_file({f"{PREFIX}.down_proj": down}, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path, config={"hidden_size": 4})
    ref = list_matrices(checkpoint, "linear")[1]
    monkeypatch.setattr(SafetensorsFile, "__getitem__", None)
    assert torch.equal(ref.read(checkpoint), down[1])
