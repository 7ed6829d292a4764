r"""What the inputs alone hold of an update: the baseline of every capture and similarity.

A gradient is a sum of outer products of errors and inputs, so the directions of an update on the side of the inputs are
combinations of inputs. A channel that holds no more than the leading directions :math:`A_K` of the inputs, taken
before the branch began, says nothing of the training. Directions drawn at random (Haar) hold K/n.
"""

from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from geostat.diagnostics import (
    forward_capture,
    future_capture,
    lagged_similarity,
    past_next_similarity,
    similarity_to_end,
)
from geostat.lab.branches import Branch
from geostat.lab.checkpoints import load_checkpoint
from geostat.lab.directions import activation_directions, input_moments
from geostat.linalg import Factored, factored
from geostat.linalg.factored import Side

__all__ = ["ACTIVATIONS", "HAAR", "activation_baselines", "with_baselines"]

ACTIVATIONS, HAAR = "_activations", "_haar"
SIDE: Side = "right"
SIMILARITIES = ("similarity_to_end", "lagged_similarity", "past_next_similarity")
CAPTURES = ("forward_capture", "future_capture")
OVERLAP = "activation_similarity"

Figures = dict[str, float]


def activation_baselines(
    branch: Branch, *, dtype: str = "bf16", K: int = 16, horizon: int | None = None
) -> xr.Dataset:
    """Captures and similarities of the leading directions of the inputs, in place of the channel's.

    Parameters
    ----------
    branch : Branch
        A finished run.
    dtype : str
        Which of its checkpoints are read.
    K : int
        Directions.
    horizon : int, optional
        Steps between a checkpoint and the later one it is compared with; by default the first one's.

    Returns
    -------
    xarray.Dataset
        Dims step and matrix, on the side of the inputs: ``<metric>_activations`` and ``<metric>_haar`` for each
        capture (of which the share of random directions is taken out: 0) and similarity; and
        ``activation_similarity``, between the channel at a step and the directions of the inputs.

    References
    ----------
    Defined by geostat.

    Examples
    --------
    >>> import tempfile
    >>> from geostat.lab import Scale, train_runs
    >>> from geostat.lab.recipes import PRETRAINING, RECIPES
    >>> recipes = tuple(recipe.shortened(steps=4, batch=4) for recipe in RECIPES.values())
    >>> short = Scale("short", PRETRAINING.shortened(steps=2), recipes, checkpoints=2, problems=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (run,) = train_runs(folder, 1, ("sft",), scale=short)
    ...     found = activation_baselines(run, K=4)
    >>> float(found["similarity_to_end_haar"].sel(matrix="blocks.0.mlp.up")[0])
    0.03125
    """
    start = load_checkpoint(branch.base(dtype))
    steps = [step for step in branch.saved_steps if step > 0]
    weights = {0: start.state_dict()} | {
        step: load_checkpoint(path).state_dict()
        for step, path in zip(steps, branch.checkpoints(dtype), strict=True)
    }
    moments = input_moments(start)
    inputs = activation_directions(moments, K)
    names = list(moments)
    ahead = steps[0] if horizon is None else horizon
    rows = {
        name: list(_of_matrix({step: each[name] for step, each in weights.items()}, inputs[name], ahead, K))
        for name in names
    }
    data = {
        figure: (("step", "matrix"), np.array([[row[figure] for row in rows[name]] for name in names]).T)
        for figure in rows[names[0]][0]
    }
    labels = np.array([name.removesuffix(".weight") for name in names], dtype=np.dtypes.StringDType())
    return xr.Dataset(data, {"step": steps, "matrix": labels}).map(_told, keep_attrs=True)


def _told(values: xr.DataArray) -> xr.DataArray:
    return values.assign_attrs({"units": "1", "side": SIDE, "reference": "geostat.lab"})


def _of_matrix(weights: dict[int, Tensor], inputs: Tensor, ahead: int, K: int) -> Iterator[Figures]:
    """Figures of every step but the start."""
    start, *steps = weights
    moved = {step: weights[step].double() - weights[start].double() for step in steps}
    stand_in = _update_along(inputs, moved[steps[0]])
    end = steps[-1]
    for step in steps:
        yield _at_step(moved, step, step + ahead, end, stand_in, K)


def _at_step(
    moved: dict[int, Tensor], step: int, later: int, end: int, stand_in: Factored, K: int
) -> Figures:
    found = dict.fromkeys((f"{name}{ACTIVATIONS}" for name in (*SIMILARITIES, *CAPTURES)), np.nan)
    found |= dict.fromkeys((f"{name}{HAAR}" for name in SIMILARITIES), K / stand_in.size(SIDE))
    found |= dict.fromkeys((f"{name}{HAAR}" for name in CAPTURES), 0.0)
    found[OVERLAP] = lagged_similarity(moved[step], stand_in, K=K, side=SIDE)
    found[f"similarity_to_end{ACTIVATIONS}"] = similarity_to_end(stand_in, moved[end], K=K, side=SIDE)
    if later in moved:
        increment = factored(moved[later] - moved[step])
        found[f"lagged_similarity{ACTIVATIONS}"] = lagged_similarity(stand_in, moved[later], K=K, side=SIDE)
        found[f"past_next_similarity{ACTIVATIONS}"] = past_next_similarity(
            stand_in, increment, K=K, side=SIDE
        )
        found[f"forward_capture{ACTIVATIONS}"] = forward_capture(stand_in, increment, K=K, side=SIDE)
    if step != end:
        remaining = moved[end] - moved[step]
        found[f"future_capture{ACTIVATIONS}"] = future_capture(stand_in, remaining, K=K, side=SIDE)
    return {name: float(value) for name, value in found.items()}


def _update_along(directions: Tensor, like: Tensor) -> Factored:
    """An update of the shape of another whose leading directions on the right are these, in their order."""
    found = torch.zeros_like(like)
    count = directions.shape[1]
    found[:count] = torch.arange(count, 0, -1).to(found)[:, None] * directions.mT.to(found)
    return factored(found)


def with_baselines(measured: xr.Dataset, baselines: xr.Dataset) -> xr.Dataset:
    """Put the baselines of a run beside its measurement.

    Parameters
    ----------
    measured : xarray.Dataset
        Of one run.
    baselines : xarray.Dataset
        Of `activation_baselines`.

    Returns
    -------
    xarray.Dataset
        Baselines of what was measured, at its steps and matrices.
    """
    there = baselines.reindex(step=measured["step"], matrix=measured["matrix"])
    known = [
        str(name)
        for name in there.data_vars
        if name == OVERLAP or str(name).removesuffix(ACTIVATIONS).removesuffix(HAAR) in measured
    ]
    return measured.assign({name: there[name].variable for name in known})
