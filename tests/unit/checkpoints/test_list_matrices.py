"""Which matrices are listed, in which order, and what is said about the others."""

import pathlib
import pickle

import pytest
import torch

from geostat.checkpoints import TensorName, list_matrices, open_checkpoint
from geostat.errors import EmptyCheckpointError, NamingError, NamingWarning, QuantizedTensorError

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def llama(layers=2, **extra):
    weights = {
        "model.embed_tokens.weight": torch.randn(7, 4),
        "model.norm.weight": torch.ones(4),
        "lm_head.weight": torch.randn(7, 4),
    }
    for layer in reversed(range(layers)):
        prefix = f"model.layers.{layer}"
        for name in reversed(ATTENTION):
            weights[f"{prefix}.self_attn.{name}.weight"] = torch.randn(4, 4)
            weights[f"{prefix}.self_attn.{name}.bias"] = torch.randn(4)
        weights[f"{prefix}.mlp.down_proj.weight"] = torch.randn(4, 6)
        weights[f"{prefix}.mlp.up_proj.weight"] = torch.randn(6, 4)
        weights[f"{prefix}.mlp.gate_proj.weight"] = torch.randn(6, 4)
        weights[f"{prefix}.input_layernorm.weight"] = torch.ones(4)
    return weights | extra


def names(weights, *arguments, **options):
    return [ref.name for ref in list_matrices(open_checkpoint(weights), *arguments, **options)]


def test_attention_is_the_default_ordered_by_layer_and_module():
    expected = [f"model.layers.{layer}.self_attn.{name}" for layer in range(2) for name in ATTENTION]
    assert names(llama()) == expected


def test_layers_are_ordered_as_numbers():
    refs = list_matrices(open_checkpoint(llama(layers=11)), "*.q_proj")
    assert [ref.layer for ref in refs] == list(range(11))


def test_linear_adds_the_feed_forward_weights_and_nothing_else():
    weights = llama(1) | {"model.layers.0.mlp.gate.weight": torch.ones(3, 4)}
    modules = [ref.module for ref in list_matrices(open_checkpoint(weights), "linear")]
    assert modules == [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


def test_all_adds_embeddings_heads_and_routers_but_no_norms_and_biases():
    weights = llama(1) | {
        "model.layers.0.mlp.gate.weight": torch.ones(3, 4),
        "model.layers.0.mlp.experts.gate_up_proj_bias": torch.ones(3, 4),
        "model.layers.0.self_attn.q_norm.weight": torch.ones(2, 2),
    }
    modules = [ref.module for ref in list_matrices(open_checkpoint(weights), "all")]
    assert sorted(modules) == sorted(
        [*ATTENTION, "gate_proj", "up_proj", "down_proj", "embed_tokens", "lm_head", "router"]
    )


def test_a_glob_matches_names_of_matrices_and_of_tensors():
    assert names(llama(), "*layers.1*.?_proj") == names(llama(), "*layers.1*.?_proj.weight")
    assert names(llama(), ["*.0.*q_proj", "*.1.*k_proj"]) == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.k_proj",
    ]


def test_brackets_in_a_glob_are_letters_because_names_hold_them():
    weights = {"layers.0.mlp.gate_up_proj.weight": torch.randn(4, 2)}
    assert names(weights, "*[up_proj]") == ["layers.0.mlp.gate_up_proj[up_proj]"]


def test_a_callable_judges_each_matrix():
    assert names(llama(), lambda ref: ref.layer == 1 and ref.rows == 6) == [
        "model.layers.1.mlp.gate_proj",
        "model.layers.1.mlp.up_proj",
    ]


def test_selecting_nothing_is_an_error_that_lists_what_is_there():
    with pytest.raises(EmptyCheckpointError, match=r"'\*qproj' selects nothing.*'model\.embed_tokens'.*glob"):
        names(llama(), "*qproj")


def test_a_matrix_knows_its_size_and_is_hashable_and_picklable():
    checkpoint = open_checkpoint(llama(1))
    ref = list_matrices(checkpoint, "*up_proj")[0]
    assert (ref.rows, ref.cols, ref.n_params, ref.expert) == (6, 4, 24, -1)
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert len({ref, ref}) == 1
    assert torch.equal(ref.read(checkpoint), checkpoint["model.layers.0.mlp.up_proj.weight"])


def test_wrapper_prefixes_leave_the_names_of_matrices_alone():
    wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in llama(1).items()}
    assert names(wrapped) == names(llama(1))
    checkpoint = open_checkpoint(wrapped)
    ref = list_matrices(checkpoint)[0]
    assert torch.equal(
        ref.read(checkpoint), wrapped["module._orig_mod.model.layers.0.self_attn.q_proj.weight"]
    )


def test_the_same_tensor_with_and_without_its_wrapper_is_refused():
    weights = llama(1)
    weights["module.lm_head.weight"] = weights["lm_head.weight"]
    with pytest.raises(NamingError, match=r"'lm_head\.weight' and 'module\.lm_head\.weight'"):
        names(weights)


def test_weights_with_unknown_names_are_left_out_of_a_keyword_with_a_warning():
    weights = llama(1) | {"model.layers.0.mixer.in_proj.weight": torch.ones(5, 4)}
    with pytest.warns(NamingWarning, match=r"1 weights of <memory>.*mixer\.in_proj\.weight.*'all'"):
        names(weights)


def test_weights_with_unknown_names_are_measured_under_all_and_say_so():
    weights = llama(1) | {"model.layers.0.mixer.in_proj.weight": torch.ones(5, 4)}
    found = {ref.name: ref for ref in list_matrices(open_checkpoint(weights), "all")}
    ref = found["model.layers.0.mixer.in_proj"]
    assert (ref.module, ref.known, ref.layer) == ("in_proj", False, 0)


def test_naming_decides_before_the_built_in_names_do():
    weights = {"layer_0.mix.weight": torch.arange(6.0).reshape(2, 3), **llama(1)}

    def naming(name):
        return TensorName(0, "q_proj", transposed=True) if name == "layer_0.mix.weight" else None

    checkpoint = open_checkpoint(weights)
    by_function = list_matrices(checkpoint, naming=naming)
    by_mapping = list_matrices(checkpoint, naming={"layer_0.mix.weight": naming("layer_0.mix.weight")})
    assert by_function == by_mapping
    ref = next(ref for ref in by_function if ref.tensor == "layer_0.mix.weight")
    assert (ref.rows, ref.cols) == (3, 2)
    assert torch.equal(ref.read(checkpoint), weights["layer_0.mix.weight"].T)


def test_a_tensor_with_more_dims_is_refused_where_it_is_selected():
    weights = llama(1) | {"model.layers.0.linear_attn.conv1d.weight": torch.ones(4, 1, 3)}
    assert len(names(weights)) == 4
    assert len(names(weights, lambda ref: ref.module == "q_proj")) == 1
    with pytest.raises(NamingError, match=r"conv1d\.weight.*<memory>.*\(4, 1, 3\).*strict=False"):
        names(weights, "all")
    with pytest.warns(NamingWarning, match=r"left out.*conv1d\.weight"):
        assert len(names(weights, "all", strict=False)) == 9


def test_a_placeholder_of_sharded_training_is_refused_with_the_way_out():
    weights = llama(1) | {"model.layers.0.self_attn.q_proj.weight": torch.empty(0)}
    with pytest.raises(NamingError, match=r"q_proj\.weight.*\(0,\).*zero_to_fp32"):
        names(weights)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn])
def test_a_quantised_weight_is_refused_even_without_strict(dtype):
    weights = llama(1)
    name = "model.layers.0.self_attn.k_proj.weight"
    weights[name] = weights[name].to(dtype)
    with pytest.raises(QuantizedTensorError, match=r"k_proj\.weight.*<memory>.*8.*dequantised"):
        names(weights, strict=False)


def test_a_packed_weight_is_recognised_by_its_suffix():
    weights = llama(1)
    packed = "model.layers.0.self_attn.q_proj.qweight"
    weights[packed] = weights.pop("model.layers.0.self_attn.q_proj.weight").to(torch.int32)
    with pytest.raises(QuantizedTensorError, match=r"q_proj\.qweight.*int32"):
        names(weights)


def test_the_lab_models_give_twelve_block_matrices():
    parts = ["attention.query", "attention.key", "attention.value", "attention.output", "mlp.up", "mlp.down"]
    weights = {f"blocks.{i}.{part}.weight": torch.ones(2, 2) for i in range(2) for part in parts}
    weights |= {"embedding.weight": torch.ones(3, 2), "positions.weight": torch.ones(5, 2)}
    weights |= {"head.weight": torch.ones(3, 2), "blocks.0.norm1.weight": torch.ones(2)}
    assert names(weights, "linear") == [f"blocks.{i}.{part}" for i in range(2) for part in parts]
    assert len(names(weights, "all")) == 15


@pytest.mark.parametrize("wrong", [5, None, [5], {"a": 1}.items(), pathlib.Path("q_proj"), (x for x in "ab")])
def test_a_selection_of_another_type_is_refused(wrong):
    with pytest.raises(NamingError, match=r"matrices=.* is a \w+, which selects nothing\. Pass 'attention'"):
        list_matrices(open_checkpoint({"layers.0.q_proj.weight": torch.ones(2, 2)}), wrong)
