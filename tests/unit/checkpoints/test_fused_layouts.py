"""Fused weights: the parts must act as the architecture's forward pass makes them act."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from geostat.checkpoints import TensorName, list_matrices, open_checkpoint
from geostat.errors import NamingError

SMALL = st.integers(1, 4)
SEEDS = st.integers(0, 10_000)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parts_of(tensor, name, config, matrices="linear"):
    checkpoint = open_checkpoint({name: tensor}, config=config)
    return {ref.module: ref.read(checkpoint) for ref in list_matrices(checkpoint, matrices)}


def scores(queries, keys):
    """Attention scores (heads, sequence, sequence), each key-value head serving a run of query heads."""
    keys = keys.repeat_interleave(queries.shape[0] // keys.shape[0], dim=0)
    return queries @ keys.transpose(-1, -2)


def by_head(projected, heads):
    """(sequence, heads * width) -> (heads, sequence, width), as every separate projection is read."""
    return projected.reshape(projected.shape[0], heads, -1).transpose(0, 1)


def test_neox_parts_reproduce_the_scores_and_values_of_its_forward_pass():
    heads, width, hidden, length = 4, 6, 24, 5
    weight = torch.randn(3 * hidden, hidden, generator=generator(), dtype=torch.float64)
    x = torch.randn(length, hidden, generator=generator(1), dtype=torch.float64)
    # GPT-NeoX: (sequence, heads, 3 * width), then thirds of the last dimension
    fused = (x @ weight.T).reshape(length, heads, 3 * width)
    query, key, value = fused[..., :width], fused[..., width : 2 * width], fused[..., 2 * width :]
    expected = torch.stack([query[:, h] @ key[:, h].T for h in range(heads)])

    parts = parts_of(
        weight, "gpt_neox.layers.0.attention.query_key_value.weight", {"num_attention_heads": heads}
    )
    got = scores(by_head(x @ parts["q_proj"].T, heads), by_head(x @ parts["k_proj"].T, heads))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(by_head(x @ parts["v_proj"].T, heads), value.transpose(0, 1))


def test_falcon_grouped_parts_reproduce_the_scores_of_its_forward_pass():
    heads, groups, width, hidden, length = 6, 2, 4, 24, 5
    weight = torch.randn((heads + 2 * groups) * width, hidden, generator=generator(), dtype=torch.float64)
    x = torch.randn(length, hidden, generator=generator(1), dtype=torch.float64)
    # Falcon's new decoder: (sequence, groups, query heads of the group + key + value, width)
    fused = (x @ weight.T).reshape(length, groups, heads // groups + 2, width)
    expected = []
    for head in range(heads):
        group, place = divmod(head, heads // groups)
        expected.append(fused[:, group, place] @ fused[:, group, -2].T)
    config = {
        "model_type": "falcon",
        "num_attention_heads": heads,
        "num_kv_heads": groups,
        "new_decoder_architecture": True,
        "multi_query": True,
    }
    parts = parts_of(weight, "transformer.h.0.self_attention.query_key_value.weight", config)
    got = scores(by_head(x @ parts["q_proj"].T, heads), by_head(x @ parts["k_proj"].T, groups))
    torch.testing.assert_close(got, torch.stack(expected))


def test_falcon_multi_query_has_its_key_and_value_after_all_queries():
    heads, width, hidden = 4, 3, 12
    weight = torch.arange(float((heads + 2) * width * hidden)).reshape(-1, hidden)
    config = {"model_type": "falcon", "num_attention_heads": heads, "multi_query": True}
    parts = parts_of(weight, "transformer.h.0.self_attention.query_key_value.weight", config)
    assert torch.equal(parts["k_proj"], weight[12:15])
    assert torch.equal(parts["v_proj"], weight[15:18])


def test_gpt2_parts_reproduce_conv1d_and_its_split_in_thirds():
    hidden, length = 8, 5
    weight = torch.randn(hidden, 3 * hidden, generator=generator(), dtype=torch.float64)
    x = torch.randn(length, hidden, generator=generator(1), dtype=torch.float64)
    query, key, value = (x @ weight).split(hidden, dim=-1)  # Conv1D multiplies from the right
    parts = parts_of(weight, "transformer.h.0.attn.c_attn.weight", {"n_head": 2})
    for expected, module in zip((query, key, value), ("q_proj", "k_proj", "v_proj"), strict=True):
        torch.testing.assert_close(torch.nn.functional.linear(x, parts[module]), expected)


def test_gpt2_square_and_feed_forward_weights_are_transposed_to_out_in():
    weights = {
        "h.0.attn.c_attn.weight": torch.randn(4, 12, generator=generator(1)),
        "h.0.attn.c_proj.weight": torch.randn(4, 4, generator=generator(2)),
        "h.0.mlp.c_fc.weight": torch.randn(4, 16, generator=generator(3)),
        "h.0.mlp.c_proj.weight": torch.randn(16, 4, generator=generator(4)),
    }
    checkpoint = open_checkpoint(weights, config={"n_head": 2, "model_type": "gpt2"})
    refs = {ref.module: ref for ref in list_matrices(checkpoint, "linear")}
    assert (refs["up_proj"].rows, refs["up_proj"].cols) == (16, 4)
    for module, name in [("o_proj", "attn.c_proj"), ("up_proj", "mlp.c_fc"), ("down_proj", "mlp.c_proj")]:
        assert torch.equal(refs[module].read(checkpoint), weights[f"h.0.{name}.weight"].T)
        assert refs[module].read(checkpoint).is_contiguous()


def test_gpt2_names_on_linear_layers_are_not_transposed():
    weights = {
        "transformer.h.0.attn.c_attn.weight": torch.randn(12, 4, generator=generator(1)),
        "transformer.h.0.attn.c_proj.weight": torch.randn(4, 4, generator=generator(2)),
    }
    checkpoint = open_checkpoint(weights, config={"n_head": 2})
    refs = {ref.module: ref for ref in list_matrices(checkpoint)}
    assert torch.equal(refs["k_proj"].read(checkpoint), weights["transformer.h.0.attn.c_attn.weight"][4:8])
    assert torch.equal(refs["o_proj"].read(checkpoint), weights["transformer.h.0.attn.c_proj.weight"])


def test_a_square_gpt2_weight_alone_does_not_say_its_orientation():
    checkpoint = open_checkpoint({"h.0.attn.c_proj.weight": torch.eye(4)})
    with pytest.raises(NamingError, match=r"h\.0\.attn\.c_proj\.weight.*config\.json.*naming"):
        list_matrices(checkpoint)

    def naming(name):
        return TensorName(0, "o_proj", transposed=True)

    (ref,) = list_matrices(checkpoint, naming=naming)
    assert ref.layout.transposed


def test_phi3_parts_reproduce_its_grouped_query_scores():
    heads, groups, width, hidden, length = 6, 2, 4, 24, 5
    weight = torch.randn((heads + 2 * groups) * width, hidden, generator=generator(), dtype=torch.float64)
    x = torch.randn(length, hidden, generator=generator(1), dtype=torch.float64)
    # Phi-3: all query heads, then all keys, then all values
    fused = x @ weight.T
    query = fused[:, : heads * width].reshape(length, heads, width)
    key = fused[:, heads * width : (heads + groups) * width].reshape(length, groups, width)
    expected = torch.stack([query[:, h] @ key[:, h // (heads // groups)].T for h in range(heads)])
    config = {"num_attention_heads": heads, "num_key_value_heads": groups}
    parts = parts_of(weight, "model.layers.0.self_attn.qkv_proj.weight", config)
    got = scores(by_head(x @ parts["q_proj"].T, heads), by_head(x @ parts["k_proj"].T, groups))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(x @ parts["v_proj"].T, fused[:, (heads + groups) * width :])


def test_phi3_feed_forward_splits_into_gate_then_up():
    weight = torch.randn(10, 4, generator=generator())
    x = torch.randn(3, 4, generator=generator(1))
    gate, up = (x @ weight.T).chunk(2, dim=-1)
    parts = parts_of(weight, "model.layers.0.mlp.gate_up_proj.weight", None)
    torch.testing.assert_close(x @ parts["gate_proj"].T, gate)
    torch.testing.assert_close(x @ parts["up_proj"].T, up)


def test_multihead_attention_of_torch_splits_into_its_own_three_projections():
    attention = torch.nn.MultiheadAttention(8, 2, bias=False)
    checkpoint = open_checkpoint(torch.nn.ModuleDict({"self_attn": attention}))
    parts = {ref.module: ref.read(checkpoint) for ref in list_matrices(checkpoint)}
    query, key, value = attention.in_proj_weight.detach().chunk(3)
    assert torch.equal(parts["q_proj"], query)
    assert torch.equal(parts["k_proj"], key)
    assert torch.equal(parts["v_proj"], value)


@settings(max_examples=60, deadline=None)
@given(
    groups=SMALL,
    share=SMALL,
    width=SMALL,
    name=st.sampled_from(["self_attn.qkv_proj", "attention.query_key_value", "attn.Wqkv"]),
    seed=SEEDS,
)
def test_no_row_of_a_fused_weight_is_lost_or_used_twice(groups, share, width, name, seed):
    heads = groups * share
    weight = torch.randn((heads + 2 * groups) * width, heads * width, generator=generator(seed))
    config = {"num_attention_heads": heads, "num_key_value_heads": groups}
    parts = parts_of(weight, f"layers.0.{name}.weight", config)
    sizes = [parts[module].shape[0] for module in ("q_proj", "k_proj", "v_proj")]
    assert sizes == [heads * width, groups * width, groups * width]
    rows = torch.cat([parts[module] for module in ("q_proj", "k_proj", "v_proj")]).tolist()
    assert sorted(rows) == sorted(weight.tolist())


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 4), share=st.integers(1, 4), width=st.integers(1, 5), seed=st.integers(0, 10_000)
)
def test_fusing_the_parts_by_group_again_is_the_identity(groups, share, width, seed):
    heads = groups * share
    weight = torch.randn((heads + 2 * groups) * width, heads * width, generator=generator(seed))
    config = {"num_attention_heads": heads, "num_key_value_heads": groups}
    parts = parts_of(weight, "layers.0.attention.query_key_value.weight", config)
    blocks = []
    for group in range(groups):
        blocks.append(parts["q_proj"][group * share * width : (group + 1) * share * width])
        blocks.append(parts["k_proj"][group * width : (group + 1) * width])
        blocks.append(parts["v_proj"][group * width : (group + 1) * width])
    assert torch.equal(torch.cat(blocks), weight)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 4), share=st.integers(1, 4), width=st.integers(1, 5), seed=st.integers(0, 10_000)
)
def test_fusing_concatenated_parts_again_is_the_identity(groups, share, width, seed):
    heads = groups * share
    weight = torch.randn((heads + 2 * groups) * width, heads * width, generator=generator(seed))
    config = {"num_attention_heads": heads, "num_key_value_heads": groups}
    parts = parts_of(weight, "layers.0.self_attn.qkv_proj.weight", config)
    assert torch.equal(torch.cat([parts["q_proj"], parts["k_proj"], parts["v_proj"]]), weight)


def test_a_fused_weight_without_head_counts_is_refused_with_the_way_out():
    name = "model.layers.0.self_attn.qkv_proj.weight"
    with pytest.raises(NamingError, match=r"qkv_proj\.weight.*<memory>.*config\.json.*open_checkpoint"):
        list_matrices(open_checkpoint({name: torch.ones(12, 4)}))


def test_head_counts_that_do_not_fill_the_weight_are_refused():
    # 32 heads and no word of grouped queries, on a weight of 32 + 2 x 8 heads: 6144 divides by 96 too.
    config = {"num_attention_heads": 32}
    checkpoint = open_checkpoint({"blocks.0.attn.Wqkv.weight": torch.ones(6144, 4096)}, config=config)
    with pytest.raises(NamingError, match=r"6144 outputs.*32 query heads.*12288.*config\.json"):
        list_matrices(checkpoint)


def test_a_stated_head_width_wins_over_hidden_size_by_heads():
    config = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    parts = parts_of(torch.ones(32, 4), "layers.0.self_attn.qkv_proj.weight", config)
    assert {module: part.shape for module, part in parts.items()} == {
        "q_proj": (16, 4),
        "k_proj": (8, 4),
        "v_proj": (8, 4),
    }


def test_a_vision_tower_is_split_by_its_own_head_counts():
    config = {"num_attention_heads": 8, "num_key_value_heads": 2, "vision_config": {"num_heads": 2}}
    weight = torch.arange(48.0).reshape(12, 4)
    parts = parts_of(weight, "model.visual.blocks.0.attn.qkv.weight", config)
    assert torch.equal(parts["k_proj"], weight[4:8])


def test_a_layout_that_is_not_supported_is_refused_by_name():
    config = {"n_head": 2, "model_type": "codegen"}
    checkpoint = open_checkpoint({"transformer.h.0.attn.qkv_proj.weight": torch.ones(12, 4)}, config=config)
    with pytest.raises(NamingError, match="CodeGen"):
        list_matrices(checkpoint)
