"""One matrix through a run: what is read, what is decomposed, what is kept."""

import gc
import importlib
import os

import pytest
import torch
from safetensors.torch import save_file

import geostat as gs
import geostat.trajectories.history as history_module
from geostat.errors import InsufficientMemoryError
from geostat.linalg.memory import available_memory, require_memory
from geostat.trajectories.history import History
from geostat.trajectories.planning import plan as make_plan

factored_module = importlib.import_module(
    "geostat.linalg.factored"
)  # its package offers a function of that name

NAME = "blocks.0.attention.query.weight"
SHAPE = (24, 20)


@pytest.fixture
def run(tmp_path):
    """Save a base and some checkpoints ten steps apart."""

    def save(n_steps):
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(SHAPE, generator=generator)
        paths = {}
        for step in range(0, 10 * n_steps + 1, 10):
            paths[step] = tmp_path / f"step-{step}.safetensors"
            save_file({NAME: weight.to(torch.bfloat16)}, paths[step])
            weight = weight + 0.05 * torch.randn(SHAPE, generator=generator)
        return paths.pop(0), paths

    return save


def _count(monkeypatch, module, name):
    calls = []
    original = getattr(module, name)

    def counted(*args, **settings):
        calls.append(args)
        return original(*args, **settings)

    monkeypatch.setattr(module, name, counted)
    return calls


@pytest.mark.parametrize("horizon", [10, 30])
@pytest.mark.parametrize("tier", ["elementwise", "top", "exact"])
def test_each_weight_is_read_once_and_decompositions_are_linear_in_the_checkpoints(
    run, monkeypatch, horizon, tier
):
    reads = _count(monkeypatch, history_module, "read_matrix")
    decompositions = _count(monkeypatch, factored_module, "decompose")
    protocol = gs.Protocol(k=8, r=4, K=4, energy_k=4, horizon=horizon)
    found = {}
    for n_steps in (5, 8, 11):
        reads.clear()
        decompositions.clear()
        base, steps = run(n_steps)
        gs.measure(base, steps, protocol=protocol, tier=tier, progress=False)
        assert len(reads) == 1 + n_steps
        found[n_steps] = len(decompositions)
    assert found[11] - found[8] == found[8] - found[5]
    # W_t, the update, the increment and the remainder at each of three more checkpoints
    assert found[11] - found[8] <= {"elementwise": 0, "top": 3 * 3, "exact": 3 * 4}[tier]
    assert (found[5] == 0) == (tier == "elementwise")


def _history(base, steps, **settings):
    plan = make_plan(base, steps, **settings)
    return plan, History(plan, plan.refs[0], plan.open(), torch.device("cpu"))


def test_nothing_of_the_matrixs_size_is_kept_in_float64(run):
    plan, history = _history(*run(6), protocol=gs.Protocol(k=4, r=4, K=2, energy_k=2))
    for index in range(6):
        operands = history.at(index)
        for spec in plan.specs:
            gs.trajectories.sweep.evaluate(spec, operands, plan.protocol, plan.own_shape(spec))
    del operands
    gc.collect()
    tensors = [
        found for found in gc.get_objects() if type(found) is torch.Tensor
    ]  # isinstance would ask proxies
    large = [each for each in tensors if each.dtype is torch.float64 and set(each.shape) == set(SHAPE)]
    assert large == []


def test_only_the_window_and_the_ends_are_kept(run):
    _, history = _history(*run(8), protocol=gs.Protocol(k=4, horizon=20))
    for index in range(8):
        operands = history.at(index)
        for name in operands:
            _ = operands[name]
    assert set(history._weights) == {7}
    assert set(history._updates) == {0, 7}
    history.release()
    assert not history._weights
    assert not history._updates


def test_pages_are_given_back_and_the_next_weight_is_announced(run):
    _, history = _history(*run(4), protocol=gs.Protocol(k=4))
    told = []
    for position, checkpoint in enumerate(history._checkpoints):
        checkpoint.advise = lambda name, advice, index, at=position: told.append((at, advice))
    for index in range(4):
        assert not history.at(index).update.is_zero
    assert [at for at, advice in told if advice == "willneed"] == [2, 3]
    history.release()
    assert {at for at, advice in told if advice == "dontneed"} == {0, 1, 2, 3}


def test_directions_are_announced_as_the_protocol_caps_them(run):
    base, steps = run(3)
    protocol = gs.Protocol(k=(0.25, 512), r=8, K=3, energy_k=(2, 16))
    _, history = _history(base, steps, protocol=protocol)
    operands = history.at(0)
    assert history.initial.wanted == 16  # the largest of k = 10, r = 8 and energy_k = 16
    assert operands.updated.wanted == 10  # half of 20
    assert [operands[name].wanted for name in ("update", "increment", "remaining", "later")] == [3] * 4
    assert operands.updated.whole
    assert not operands.increment.whole
    _, cheap = _history(base, steps, protocol=protocol, tier="elementwise")
    assert cheap.initial.wanted == 0
    assert not cheap.initial.whole


def test_a_matrix_larger_than_half_of_the_free_memory_is_refused_before_it_is_read(run, monkeypatch):
    base, steps = run(2)
    reads = _count(monkeypatch, history_module, "read_matrix")
    monkeypatch.setattr("geostat.linalg.memory.available_memory", lambda: 4 * 24 * 20)
    with pytest.raises(InsufficientMemoryError, match=r"query' \(24, 20\).*tier='elementwise'"):
        gs.measure(base, steps, progress=False)
    assert reads == []
    cheap = gs.measure(base, steps, tier="elementwise", progress=False)
    assert 0 < float(cheap.update_sparsity[0, 0]) < 1


def test_free_memory_is_some_and_no_more_than_there_is():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_memory() <= total
    require_memory("q", 10, 10)
    with pytest.raises(InsufficientMemoryError, match="q"):
        require_memory("q", 100, 100, available=8 * 100 * 100 * 2 - 1)


def test_a_container_allows_less_than_the_machine(tmp_path, monkeypatch):
    for name, text in {
        "max": "1000000",
        "current": "400000",
        "stat": "anon 1\nactive_file 50000\ninactive_file 100000",
    }.items():
        (tmp_path / f"memory.{name}").write_text(text + "\n")
    monkeypatch.setattr("geostat.linalg.memory._CGROUP", tmp_path)
    assert available_memory() == 1000000 - 400000 + 150000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() > 1000000
