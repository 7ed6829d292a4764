"""Peak anonymous memory of a measurement, in a process of its own: it depends on one matrix, not on the model."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

MIB = 2**20
_MEASURE = """
import json, sys, threading, time
import torch
import geostat as gs

def anonymous():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon:"))

asked = json.loads(sys.argv[1])
tiny = {"blocks.0.attention.query.weight": torch.eye(4)}
gs.measure(tiny, {1: {name: 2 * weight for name, weight in tiny.items()}}, progress=False)  # loads what is lazy
start, peak, done = anonymous(), [0], threading.Event()

def watch():
    while not done.is_set():
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.001)

watcher = threading.Thread(target=watch)
watcher.start()
checkpoints = {int(step): path for step, path in asked["checkpoints"].items()}
run = gs.measure(asked["base"], checkpoints, matrices="linear", progress=False, **asked["settings"])
done.set()
watcher.join()
print(json.dumps({"start": start, "peak": peak[0], "matrices": run.sizes["matrix"]}))
"""


def _save(path, shapes, *, layers, steps):
    """Save a base and checkpoints of which a tenth of the entries moved by one bf16 step each time."""
    weights, generator = {}, torch.Generator().manual_seed(0)
    for layer in range(layers):
        for name, shape in shapes.items():
            values = 0.02 * torch.randn(shape, generator=generator, dtype=torch.float32)
            weights[f"model.layers.{layer}.{name}.weight"] = values.to(torch.bfloat16)
    paths = {}
    for step in range(steps + 1):
        paths[step] = str(path / f"step-{step}.safetensors")
        save_file(weights, paths[step])
        for weight in weights.values():
            weight.view(torch.int16).view(-1)[step::10] += 1
    return paths.pop(0), paths


def _measured(base, checkpoints, **settings):
    asked = json.dumps({"base": base, "checkpoints": checkpoints, "settings": settings})
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, asked], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SMALL = {"self_attn.q_proj": (192, 128), "mlp.down_proj": (128, 256)}


@pytest.fixture(scope="module")
def largest(tmp_path_factory):
    """Save weights whose largest matrix is 1536 x 768."""
    shapes = {"self_attn.q_proj": (256, 768), "mlp.up_proj": (1536, 768)}
    return _save(tmp_path_factory.mktemp("largest"), shapes, layers=1, steps=2)


def test_peak_memory_is_bounded_by_the_largest_matrix(largest):
    found = _measured(*largest)
    assert found["matrices"] == 2
    assert found["peak"] <= 300 * MIB + 80 * 1536 * 768


def test_one_pass_over_the_entries_takes_less_than_a_hundred_mebibytes(largest):
    found = _measured(*largest, tier="elementwise")
    assert found["peak"] - found["start"] <= 100 * MIB


@pytest.mark.slow
def test_memory_grows_neither_with_layers_nor_with_checkpoints(tmp_path):
    few, many = (tmp_path / name for name in ("few", "many"))
    few.mkdir()
    many.mkdir()
    base, checkpoints = _save(few, SMALL, layers=4, steps=8)
    eight = _measured(base, checkpoints)
    two = _measured(base, {step: checkpoints[step] for step in (4, 8)})
    more_layers = _measured(*_save(many, SMALL, layers=28, steps=2))
    assert more_layers["matrices"] == 7 * two["matrices"]
    assert eight["peak"] <= 1.05 * two["peak"]
    assert more_layers["peak"] <= 1.05 * two["peak"]


@pytest.mark.slow
def test_a_pair_of_nearly_two_gigabytes_takes_less_than_a_hundred_mebibytes(tmp_path):
    qwen3 = {
        "self_attn.q_proj": (2048, 1024),
        "self_attn.k_proj": (1024, 1024),
        "self_attn.v_proj": (1024, 1024),
        "self_attn.o_proj": (1024, 2048),
        "mlp.gate_proj": (3072, 1024),
        "mlp.up_proj": (3072, 1024),
        "mlp.down_proj": (1024, 3072),
    }
    found = _measured(*_save(tmp_path, qwen3, layers=28, steps=1), tier="elementwise")
    assert found["matrices"] == 196
    assert found["peak"] - found["start"] <= 100 * MIB
