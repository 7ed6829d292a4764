"""The words that architectures use for the same module, and the canonical order of modules."""

from collections.abc import Mapping

ATTENTION = ("q_proj", "q_a_proj", "q_b_proj", "k_proj", "v_proj", "kv_a_proj", "kv_b_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
LINEAR = ATTENTION + MLP

QKV = ("q_proj", "k_proj", "v_proj")
GATE_UP = ("gate_proj", "up_proj")
PARTS: Mapping[str, tuple[str, ...]] = {
    "qkv_proj": QKV,
    "query_key_value": QKV,
    "in_proj_weight": QKV,
    "gate_up_proj": GATE_UP,
}
"""Modules that a fused weight holds."""


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    return {word: module for module, words in table.items() for word in words.split()}


ANYWHERE = _by_word(
    {
        "q_proj": "q_proj wq query to_q q_lin",
        "k_proj": "k_proj wk key to_k k_lin",
        "v_proj": "v_proj wv value to_v v_lin",
        "o_proj": "o_proj out_lin to_out",
        "q_a_proj": "q_a_proj",
        "q_b_proj": "q_b_proj",
        "kv_a_proj": "kv_a_proj_with_mqa",
        "kv_b_proj": "kv_b_proj",
        "qkv_proj": "qkv_proj qkv Wqkv W_pack c_attn",
        "query_key_value": "query_key_value linear_qkv",
        "in_proj_weight": "in_proj_weight",
        "gate_proj": "gate_proj w1 wi_0",
        "up_proj": "up_proj up w3 wi wi_1 c_fc fc1 fc_in lin1 dense_h_to_4h intermediate.dense",
        "down_proj": "down_proj down w2 fc2 fc_out lin2 dense_4h_to_h output.dense "
        "block_sparse_moe.output_linear down_proj_blocks",
        "gate_up_proj": "gate_up_proj gate_up_proj_blocks block_sparse_moe.input_linear",
        "router": "router router.gate mlp.gate moe.gate block_sparse_moe.gate feed_forward.gate "
        "shared_expert_gate",
        "relative_attention_bias": "relative_attention_bias",
        "conv1d": "conv1d",
        "patch_embed": "patch_embed.proj patch_embedding",
    }
)
"""Words whose meaning does not depend on their place."""

IN_ATTENTION = _by_word(
    {
        "q_proj": "q",
        "k_proj": "k",
        "v_proj": "v",
        "o_proj": "o out output out_proj wo dense c_proj proj output.dense",
        "query_key_value": "wqkv",
    }
)
"""Words below a module whose name says attention."""

IN_BLOCK = _by_word({"down_proj": "c_proj wo"})
"""Words inside a block and outside its attention."""

OUTSIDE_BLOCKS = _by_word(
    {
        "embed_tokens": "embed_tokens wte tok_embeddings embed_in word_embeddings embedding token_embedding "
        "tok_emb shared",
        "embed_positions": "embed_positions wpe positions position_embeddings position_embedding pos_emb",
        "token_type_embeddings": "token_type_embeddings",
        "lm_head": "lm_head embed_out head output",
        "value_head": "score classifier value_head v_head.summary",
    }
)
"""Words of names without a layer."""

NOT_WEIGHTS = frozenset(
    {
        "inv_freq",
        "position_ids",
        "token_type_ids",
        "cos_cached",
        "sin_cached",
        "freqs_cis",
        "causal_mask",
        "attn_mask",
        "mask",
        "tril",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
)
"""Buffers of well-known architectures, which hold no trained weights."""

MODULE_ORDER = (
    "embed_tokens",
    "embed_positions",
    "token_type_embeddings",
    *LINEAR,
    "router",
    "lm_head",
    "value_head",
)
"""Order of modules within a layer."""
