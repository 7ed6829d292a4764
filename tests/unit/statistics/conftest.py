"""Synthetic runs with labels as a store carries them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import xarray as xr

MakeRuns = Callable[..., xr.DataArray]


def _runs(
    recipes: Mapping[str, int],
    steps: Sequence[int] = (63, 127, 191, 255, 299),
    matrices: int = 6,
    seed: int = 0,
    **attrs: object,
) -> xr.DataArray:
    strings = np.dtypes.StringDType()
    pairs = [(recipe, i) for recipe, count in recipes.items() for i in range(count)]
    rng = np.random.default_rng(seed)
    values = rng.normal(20, 1, (len(pairs), 1, 1)) + rng.normal(0, 2, (len(pairs), len(steps), matrices))
    names = np.array([f"layers.{i // 4}.{'qkvo'[i % 4]}_proj" for i in range(matrices)], strings)
    return xr.DataArray(
        values,
        dims=("run", "step", "matrix"),
        coords={
            "run": np.array([f"{recipe}-{i}" for recipe, i in pairs], strings),
            "recipe": ("run", np.array([recipe for recipe, _ in pairs], strings)),
            "seed": ("run", [i for _, i in pairs]),
            "step": list(steps),
            "progress": ("step", np.array(steps) / max(steps)),
            "matrix": names,
            "n_params": ("matrix", [64 * (1 + i % 3) for i in range(matrices)]),
        },
        attrs={"long_name": "Stable rank of an update", "units": "1", "weighting": "matrix"} | attrs,
        name="stable_rank",
    )


@pytest.fixture
def make_runs() -> MakeRuns:
    return _runs
