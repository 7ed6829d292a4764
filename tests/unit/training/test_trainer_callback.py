"""The constraint in a real transformers Trainer; runs where transformers is installed (`tox -e trainer`)."""

import sys
import types

import pytest
import torch

from geostat.errors import EngineError
from geostat.training import subspace_callback


def test_without_transformers_the_loop_is_pointed_to(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EngineError, match="SubspaceConstraint in your own training loop"):
        subspace_callback({"weight": torch.eye(2)})


def test_what_an_exception_left_behind_ends_with_the_next_training(monkeypatch):
    stub = types.SimpleNamespace(TrainerCallback=object)
    monkeypatch.setitem(sys.modules, "transformers", stub)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    callback = subspace_callback({"weight": torch.eye(4)[:, :1]})
    for _ in range(2):  # the first training fails, and tells nobody
        callback.on_train_begin(None, None, None, model=model, optimizer=optimizer)
        assert len(model.weight._backward_hooks) == 2
    callback.close()
    assert not model.weight._backward_hooks


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="run `tox -e trainer`")


def _trainer(transformers, model, folder, callbacks, **settings):
    torch.manual_seed(0)
    tokens = torch.randint(0, 32, (64, 12))
    arguments = transformers.TrainingArguments(
        output_dir=folder,
        max_steps=6,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        max_grad_norm=0.5,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        **settings,
    )
    data = [{"input_ids": row, "labels": row} for row in tokens]
    return transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=callbacks)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("project", ["gradient", "update"])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_trainer_moves_weights_in_the_channel_only(transformers, tmp_path, project, bf16):
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    name = "model.layers.0.self_attn.q_proj"
    channel = {name: torch.linalg.qr(torch.randn(16, 3)).Q}
    before = {key: each.detach().clone() for key, each in model.named_parameters()}
    callback = subspace_callback(channel, project=project)
    _trainer(transformers, model, tmp_path, [callback], bf16=bf16).train()
    moved = {key: each.detach() - before[key] for key, each in model.named_parameters()}
    report = callback.constraint.report()
    assert float(report["movement"][0]) == pytest.approx(float(moved[f"{name}.weight"].norm()), rel=1e-4)
    assert 0 < float(report["kept"][0]) < 1
    leak = float(report["leak"][0])
    assert leak < 1e-5 if project == "update" else 0 < leak < 0.9  # Adam leaves the channel of its gradients
    assert all(bool(each.any()) for each in moved.values())
    assert not model.model.layers[0].self_attn.q_proj.weight._backward_hooks  # nothing stays behind
