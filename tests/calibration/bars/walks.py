"""Simulated matrices: their forward captures on both sides, and similarities of random channels."""

import json
import warnings
from typing import Any

import numpy as np
import torch
import xarray as xr

from geostat.diagnostics import forward_capture, past_next_similarity
from geostat.linalg import factored
from geostat.testing.synthetic import simulated_updates, stored_updates

STORAGE = {"fp32": torch.float32, "bf16": torch.bfloat16}

SCENARIOS: dict[str, dict[str, Any]] = {
    "isotropic walk": {"kind": "walk"},
    "walk, inputs k^-.5": {"kind": "walk", "input_decay": 0.5},
    "walk, inputs k^-1": {"kind": "walk", "input_decay": 1.0},
    "rotating channel": {"kind": "rotating channel", "strength": 0.2},
    "rotating channel, twice as wide a K": {"kind": "rotating channel", "strength": 0.2, "rank": 4},
    "lock at 40%": {"kind": "locking channel"},
}


def captures(updates: torch.Tensor, K: int) -> np.ndarray:
    """Forward capture of one matrix, shape (side, checkpoint); NaN at the last checkpoint."""
    past = [factored(update) for update in updates]
    following = [factored(increment) for increment in updates[1:] - updates[:-1]]
    found = np.full((2, len(updates)), np.nan)
    for i, side in enumerate(("left", "right")):
        for t, increment in enumerate(following):
            found[i, t] = forward_capture(past[t], increment, K=K, side=side)
    return found


def simulated_measurement(
    scenario: str,
    *,
    n_rep: int,
    runs: int,
    rng: np.random.Generator,
    storage: str = "fp32",
    size: float = 0.01,
    rate: str = "constant",
    K: int = 8,
    checkpoints: int = 16,
    rows: int = 64,
    cols: int = 96,
) -> xr.Dataset:
    """Forward capture and unchanged fraction of replicates of so many runs each, one matrix a run."""
    values, unchanged = [], []
    for _ in range(n_rep * runs):
        true = simulated_updates(
            **SCENARIOS[scenario], rows=rows, cols=cols, checkpoints=checkpoints, rate=rate, rng=rng
        )
        stored = stored_updates(true, size=size, storage=STORAGE[storage], rng=rng)
        values.append(captures(stored, K))
        unchanged.append((stored == 0).double().mean(dim=(1, 2)).numpy())
    shape = (n_rep, runs)
    measured = labelled(
        np.stack(values).reshape(*shape, 2, checkpoints, 1),
        np.stack(unchanged).reshape(*shape, checkpoints, 1),
    )
    attrs = {"storage": storage, "protocol_settings": json.dumps({"K": K})}
    return measured.assign_coords(n_params=("matrix", [rows * cols])).assign_attrs(attrs)


def labelled(capture: np.ndarray, sparsity: np.ndarray) -> xr.Dataset:
    """Captures (replicate, run, side, step, matrix) and unchanged fractions as a measurement labels them."""
    steps = 100 * (1 + np.arange(sparsity.shape[2]))
    attrs = {"units": "1", "diagnostic": "forward_capture"}
    return xr.Dataset(
        {
            "forward_capture": (("replicate", "run", "side", "step", "matrix"), capture, attrs),
            "update_sparsity": (("replicate", "run", "step", "matrix"), sparsity, {"units": "1"}),
        },
        coords={
            "side": ["left", "right"],
            "step": steps,
            "progress": ("step", steps / steps[-1]),
            "matrix": ["W"],
        },
    )


def haar_overlaps(n_rep: int, n: int, K: int, rng: np.random.Generator) -> np.ndarray:
    """Similarity of the channels of two independent Gaussian matrices, through the public function."""
    draws = torch.from_numpy(rng.standard_normal((n_rep, 2, n, n)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.array([past_next_similarity(a, b, K=K) for a, b in draws])
