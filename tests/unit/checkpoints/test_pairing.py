"""Partners of matrices, shapes, and entries that are no numbers."""

import re
import warnings

import pytest
import torch
from safetensors.torch import save_file

from geostat.checkpoints import list_matrices, open_checkpoint, pair_matrices, read_matrix
from geostat.errors import (
    MissingTensorError,
    MissingTensorWarning,
    NonFiniteError,
    QuantizedTensorError,
    ShapeError,
)

Q, K = (f"layers.0.self_attn.{part}_proj.weight" for part in "qk")


def says(*parts):
    return "(?s)" + ".*".join(re.escape(str(part)) for part in parts)


def saved(path, **tensors):
    save_file({{"q": Q, "k": K}.get(name, name): tensor for name, tensor in tensors.items()}, path)
    return open_checkpoint(path)


@pytest.fixture
def base(tmp_path):
    return saved(tmp_path / "base.safetensors", q=torch.ones(4, 6), k=torch.ones(2, 6))


def test_checkpoints_of_one_model_pair_completely(base, tmp_path):
    step = saved(tmp_path / "step.safetensors", q=torch.zeros(4, 6), k=torch.zeros(2, 6))
    refs = list_matrices(base)
    pairing = pair_matrices(base, step, refs)
    assert pairing.paired == refs
    assert pairing.missing_in_checkpoint == pairing.missing_in_base == ()
    assert torch.equal(read_matrix(step, refs[0]), torch.zeros(4, 6))


def test_wrapper_prefixes_do_not_hinder_pairing(base):
    step = open_checkpoint({f"module.{Q}": torch.zeros(4, 6), f"module.{K}": torch.zeros(2, 6)})
    refs = list_matrices(base)
    assert pair_matrices(base, step, refs).paired == refs
    assert torch.equal(read_matrix(step, refs[0]), torch.zeros(4, 6))


def test_a_matrix_without_partner_names_both_files_and_the_remedy(base, tmp_path):
    step = saved(tmp_path / "step.safetensors", q=torch.ones(4, 6))
    with pytest.raises(MissingTensorError, match=says(step.path, base.path, K, "strict=False")):
        pair_matrices(base, step, list_matrices(base))
    with pytest.warns(MissingTensorWarning, match=says(base.path, step.path, K)):
        pairing = pair_matrices(base, step, list_matrices(base), strict=False)
    assert [ref.tensor for ref in pairing.paired] == [Q]
    assert pairing.missing_in_checkpoint == (K,)


def test_a_weight_that_only_the_checkpoint_holds_is_an_error_too(base, tmp_path):
    extra = "layers.1.self_attn.q_proj.weight"
    tensors = {Q: torch.ones(4, 6), K: torch.ones(2, 6), extra: torch.ones(4, 6)}
    step = saved(tmp_path / "step.safetensors", **tensors)
    with pytest.raises(MissingTensorError, match=says(base.path, step.path, extra)):
        pair_matrices(base, step, list_matrices(base))
    with pytest.warns(MissingTensorWarning, match=says(extra)):
        pairing = pair_matrices(base, step, list_matrices(base), strict=False)
    assert pairing.missing_in_base == (extra,)
    assert len(pairing.paired) == 2


def test_weights_of_other_modules_in_the_checkpoint_do_not_matter(base, tmp_path):
    tensors = {Q: torch.ones(4, 6), K: torch.ones(2, 6), "v_head.summary.weight": torch.ones(1, 6)}
    step = saved(tmp_path / "step.safetensors", **tensors)
    assert pair_matrices(base, step, list_matrices(base)).missing_in_base == ()


def test_another_prefix_is_pointed_out(base):
    step = open_checkpoint({f"actor.{Q}": torch.ones(4, 6), f"actor.{K}": torch.ones(2, 6)})
    with pytest.raises(MissingTensorError, match=says(f"It does hold 'actor.{Q}'", "rename its keys")):
        pair_matrices(base, step, list_matrices(base))


def test_a_transposed_partner_is_called_transposed(base, tmp_path):
    step = saved(tmp_path / "step.safetensors", q=torch.ones(6, 4), k=torch.ones(2, 6))
    expected = says(Q, "(4, 6)", base.path, "(6, 4)", step.path, "transposed")
    with pytest.raises(ShapeError, match=expected):
        pair_matrices(base, step, list_matrices(base), strict=False)


def test_another_shape_names_both_files(base, tmp_path):
    step = saved(tmp_path / "step.safetensors", q=torch.ones(4, 6), k=torch.ones(3, 6))
    with pytest.raises(ShapeError, match=says(K, "(2, 6)", base.path, "(3, 6)", step.path)):
        pair_matrices(base, step, list_matrices(base))


def test_an_integer_partner_is_refused(base, tmp_path):
    step = saved(tmp_path / "step.safetensors", q=torch.ones(4, 6, dtype=torch.int8), k=torch.ones(2, 6))
    with pytest.raises(QuantizedTensorError, match=says(Q, step.path, "int8", "dequantised")):
        pair_matrices(base, step, list_matrices(base))


def test_pairing_reads_no_entries(base, tmp_path, monkeypatch):
    step = saved(tmp_path / "step.safetensors", q=torch.ones(4, 6), k=torch.ones(2, 6))
    refs = list_matrices(base)
    monkeypatch.setattr(type(step), "_open", None)
    assert pair_matrices(base, step, refs).paired == refs


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_entries_that_are_no_numbers_are_counted_and_located(tmp_path, dtype):
    weight = torch.ones(4, 6, dtype=dtype)
    weight[2, 1] = float("inf")
    weight[2, 5] = weight[3, 0] = float("nan")
    step = saved(tmp_path / "step.safetensors", q=weight)
    (ref,) = list_matrices(step)
    expected = says(Q, step.path, "2 NaN and 1 infinite", "of 24", "row 2, column 1", "leave this step out")
    with pytest.raises(NonFiniteError, match=expected):
        read_matrix(step, ref)


def test_the_largest_finite_entries_pass(tmp_path):
    weight = torch.full((2, 2), torch.finfo(torch.bfloat16).max, dtype=torch.bfloat16)
    step = saved(tmp_path / "step.safetensors", q=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_matrix(step, list_matrices(step)[0]), weight)


def test_a_matrix_that_is_not_there_is_named_when_read(base):
    step = open_checkpoint({K: torch.ones(2, 6)})
    with pytest.raises(MissingTensorError, match=says("<memory>", Q, "q_proj")):
        read_matrix(step, list_matrices(base)[0])
