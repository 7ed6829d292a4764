"""Names of tensors, as the architectures write them."""

import pytest

from geostat.checkpoints import TensorName, is_weight, parse_name, strip_wrappers

# (name as it stands in published checkpoints, layer, module, expert)
PUBLISHED = [
    ("model.layers.3.self_attn.q_proj.weight", 3, "q_proj", None),
    ("model.layers.17.self_attn.k_proj.weight", 17, "k_proj", None),
    ("model.layers.0.self_attn.v_proj.weight", 0, "v_proj", None),
    ("model.layers.0.self_attn.o_proj.weight", 0, "o_proj", None),
    ("model.layers.0.mlp.gate_proj.weight", 0, "gate_proj", None),
    ("model.layers.0.mlp.up_proj.weight", 0, "up_proj", None),
    ("model.layers.0.mlp.down_proj.weight", 0, "down_proj", None),
    ("model.embed_tokens.weight", None, "embed_tokens", None),
    ("lm_head.weight", None, "lm_head", None),
    ("model.layers.0.input_layernorm.weight", 0, "norm", None),
    ("model.layers.0.self_attn.q_norm.weight", 0, "norm", None),
    ("model.norm.weight", None, "norm", None),
    ("model.layers.4.block_sparse_moe.gate.weight", 4, "router", None),
    ("model.layers.4.block_sparse_moe.experts.6.w1.weight", 4, "gate_proj", 6),
    ("model.layers.4.block_sparse_moe.experts.6.w2.weight", 4, "down_proj", 6),
    ("model.layers.4.block_sparse_moe.experts.6.w3.weight", 4, "up_proj", 6),
    ("model.layers.1.mlp.gate.weight", 1, "router", None),
    ("model.layers.1.mlp.experts.59.down_proj.weight", 1, "down_proj", 59),
    ("model.layers.1.mlp.shared_expert.up_proj.weight", 1, "up_proj", None),
    ("model.layers.1.mlp.shared_expert_gate.weight", 1, "router", None),
    ("model.layers.1.mlp.experts.gate_up_proj", 1, "gate_up_proj", None),
    ("model.layers.1.mlp.experts.down_proj", 1, "down_proj", None),
    ("model.layers.2.self_attn.kv_a_proj_with_mqa.weight", 2, "kv_a_proj", None),
    ("model.layers.2.self_attn.qkv_proj.weight", 2, "qkv_proj", None),
    ("model.layers.2.mlp.gate_up_proj.weight", 2, "gate_up_proj", None),
    ("model.layers.2.self_attn.dense.weight", 2, "o_proj", None),
    ("model.layers.2.mlp.fc1.weight", 2, "up_proj", None),
    ("model.layers.2.mlp.fc2.weight", 2, "down_proj", None),
    ("transformer.h.11.attn.c_attn.weight", 11, "qkv_proj", None),
    ("transformer.h.11.attn.c_proj.weight", 11, "o_proj", None),
    ("transformer.h.11.mlp.c_fc.weight", 11, "up_proj", None),
    ("transformer.h.11.mlp.c_proj.weight", 11, "down_proj", None),
    ("h.5.ln_1.weight", 5, "norm", None),
    ("transformer.wte.weight", None, "embed_tokens", None),
    ("wpe.weight", None, "embed_positions", None),
    ("gpt_neox.layers.7.attention.query_key_value.weight", 7, "query_key_value", None),
    ("gpt_neox.layers.7.attention.dense.weight", 7, "o_proj", None),
    ("gpt_neox.layers.7.mlp.dense_h_to_4h.weight", 7, "up_proj", None),
    ("gpt_neox.layers.7.mlp.dense_4h_to_h.weight", 7, "down_proj", None),
    ("gpt_neox.embed_in.weight", None, "embed_tokens", None),
    ("embed_out.weight", None, "lm_head", None),
    ("bert.encoder.layer.2.attention.self.query.weight", 2, "q_proj", None),
    ("bert.encoder.layer.2.attention.output.dense.weight", 2, "o_proj", None),
    ("bert.encoder.layer.2.intermediate.dense.weight", 2, "up_proj", None),
    ("bert.encoder.layer.2.output.dense.weight", 2, "down_proj", None),
    ("decoder.block.3.layer.1.EncDecAttention.o.weight", 3, "o_proj", None),
    ("layers.9.attention.wq.weight", 9, "q_proj", None),
    ("layers.9.attention.wo.weight", 9, "o_proj", None),
    ("layers.9.feed_forward.w2.weight", 9, "down_proj", None),
    ("tok_embeddings.weight", None, "embed_tokens", None),
    ("output.weight", None, "lm_head", None),
    ("blocks.1.attention.query.weight", 1, "q_proj", None),
    ("blocks.1.attention.key.weight", 1, "k_proj", None),
    ("blocks.1.attention.value.weight", 1, "v_proj", None),
    ("blocks.1.attention.output.weight", 1, "o_proj", None),
    ("blocks.1.mlp.up.weight", 1, "up_proj", None),
    ("blocks.1.mlp.down.weight", 1, "down_proj", None),
    ("embedding.weight", None, "embed_tokens", None),
    ("positions.weight", None, "embed_positions", None),
    ("head.weight", None, "lm_head", None),
]


@pytest.mark.parametrize(("name", "layer", "module", "expert"), PUBLISHED)
def test_a_published_name_says_its_layer_module_and_expert(name, layer, module, expert):
    assert parse_name(name) == TensorName(layer, module, expert)


def test_an_unknown_name_keeps_its_last_meaningful_part_and_says_that_it_is_unknown():
    assert parse_name("model.layers.3.mixer.in_proj.weight") == TensorName(3, "in_proj", known=False)
    assert parse_name("net.0.weight") == TensorName(0, "net", known=False)


@pytest.mark.parametrize(
    "wrapped",
    [
        "module.{}",
        "module.module.{}",
        "_orig_mod.{}",
        "module._orig_mod.{}",
        "_fsdp_wrapped_module.{}",
        "base_model.model.{}",
        "module.base_model.model.{}",
    ],
)
def test_wrapper_prefixes_do_not_change_a_name(wrapped):
    name = "model.layers.0.self_attn.q_proj.weight"
    assert strip_wrappers(wrapped.format(name)) == name
    assert parse_name(wrapped.format(name)) == parse_name(name)


def test_a_wrapper_inside_the_name_is_stripped_and_a_word_that_contains_one_is_not():
    inner = "model.layers.0._fsdp_wrapped_module.self_attn._checkpoint_wrapped_module.q_proj.weight"
    assert strip_wrappers(inner) == "model.layers.0.self_attn.q_proj.weight"
    assert strip_wrappers("submodule.q_proj.weight") == "submodule.q_proj.weight"
    assert strip_wrappers("blocks.0.module.weight") == "blocks.0.module.weight"


@pytest.mark.parametrize(
    "buffer",
    [
        "h.0.attn.bias",
        "h.0.attn.masked_bias",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.0.mlp.experts.gate_up_proj_bias",
        "embeddings.position_ids",
        "blocks.0.attention.tril",
    ],
)
def test_biases_and_buffers_are_no_weights(buffer):
    assert not is_weight(buffer)
