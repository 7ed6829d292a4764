"""Runs measured under many settings at once: each W_0 is factored once, whatever is varied."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from geostat.checkpoints import Checkpoint, MatrixRef, read_matrix
from geostat.errors import ProtocolError, SampleError
from geostat.linalg import Factored, own_arithmetic, round_to_bf16
from geostat.nulls.sensitivities.axes import MATRICES, STORAGE, SWEPT, Axes, labels_of, selects
from geostat.protocols import Protocol
from geostat.spec import DIAGNOSTICS, Diagnostic
from geostat.trajectories.history import History
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.plans import Plan
from geostat.trajectories.schema import strings, variable_attrs
from geostat.trajectories.sweep import evaluate, sweep_shape, swept_fields
from geostat.trajectories.unit import choose_device

__all__ = ["Runs", "measured", "responding"]

Runs = Mapping[tuple[str, int], tuple[Any, Any]]
"""Recipe and seed -> base and checkpoints."""

_AT_ONE_CHECKPOINT = {"initial", "updated", "update"}


class _Rounded(History):
    """The same run as if its weights had been saved in bf16."""

    def _read(self, checkpoint: Checkpoint, operand: str) -> Factored:
        stored = round_to_bf16(read_matrix(checkpoint, self._ref)).to(self._device)
        return Factored(stored, wanted=self._wanted(operand), whole=self._whole(operand))


@dataclass(frozen=True, eq=False)
class _Storage:
    """How weights are read, and the plan under which they then are measured."""

    history: type[History]
    plan: Plan


def responding(axes: Axes, convention: Protocol, metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Diagnostics to measure.

    Parameters
    ----------
    axes : mapping
        What is varied.
    convention : Protocol
        Everything else.
    metrics : sequence of str or None
        Those that are asked for.

    Returns
    -------
    tuple of str
        These, or all that are measured by default and depend on something that is varied.

    Raises
    ------
    ProtocolError
        If one is not known, is no single number, or depends on nothing that is varied.
    """
    found = tuple(metrics) if metrics is not None else tuple(DIAGNOSTICS)
    unknown = [name for name in found if name not in DIAGNOSTICS]
    if unknown:
        raise ProtocolError(
            f"{', '.join(unknown)} is no diagnostic. Known: {', '.join(sorted(DIAGNOSTICS))}."
        )
    whole = [name for name in metrics or () if DIAGNOSTICS[name].dims]
    if whole:
        raise ProtocolError(
            f"{whole[0]} is no single number. Choose one that sums it up, such as its mean or maximum."
        )
    varied = {name for name in found if _depends(DIAGNOSTICS[name], axes)}
    if metrics is not None and set(found) - varied:
        name = next(name for name in found if name not in varied)
        on = ", ".join(sorted(set(DIAGNOSTICS[name].settings.values()) & set(SWEPT))) or "no setting"
        raise ProtocolError(
            f"{name} depends on {on}, and over varies {', '.join(axes)}: there is nothing to compare. Leave it "
            "out, or vary 'storage' or 'matrices', on which every diagnostic depends."
        )
    usual = [name for name in found if name in varied and _is_usual(DIAGNOSTICS[name])]
    return found if metrics is not None else tuple(usual)


def _depends(spec: Diagnostic, axes: Axes) -> bool:
    return bool({STORAGE, MATRICES, *spec.settings.values()} & set(axes))


def _is_usual(spec: Diagnostic) -> bool:
    return spec.default and not spec.dims and set(spec.operands) <= _AT_ONE_CHECKPOINT


def measured(
    runs: Runs,
    axes: Axes,
    convention: Protocol,
    diagnostics: Sequence[str],
    *,
    every_step: bool,
    device: str,
    progress: bool,
    **reading: Any,
) -> xr.Dataset:
    """Measure runs under every setting.

    Parameters
    ----------
    runs : mapping
        Recipe and seed -> base and checkpoints.
    axes : mapping
        What is varied.
    convention : Protocol
        Everything else.
    diagnostics : sequence of str
        What is measured.
    every_step : bool
        Whether to measure every checkpoint, where diagnostics of the last one would do.
    device : str
        As in `geostat.measure`.
    progress : bool
        Whether to show a bar on standard error.
    **reading
        ``matrices``, ``naming``, ``strict``, ``trust`` as in `geostat.measure`.

    Returns
    -------
    xarray.Dataset
        Dims run, step, matrix, and those of the axes on which a diagnostic depends.

    Raises
    ------
    CheckpointError, ProtocolError
        As `geostat.measure`.
    SampleError
        If runs hold different matrices.
    """
    wide = convention.replace(
        name=convention.name, **{name: values for name, values in axes.items() if name in SWEPT}
    )
    chosen = _selection(axes, reading.pop("matrices", None), convention)
    last = not every_step and all(set(DIAGNOSTICS[d].operands) <= _AT_ONE_CHECKPOINT for d in diagnostics)
    plans = []
    for key, (base, checkpoints) in runs.items():
        made = make_plan(
            base,
            checkpoints,
            matrices=chosen,
            protocol=convention,
            diagnostics=diagnostics,
            vectors=False,
            **reading,
        )
        _require_unrounded(made, axes, key)
        plans.append(replace(_at_end(made) if last else made, protocol=wide))
    _require_same_matrices(runs, plans)
    total = sum(len(made.refs) for made in plans)
    with tqdm(total=total, unit="matrix", disable=not progress, file=sys.stderr) as bar, own_arithmetic():
        each = [_run(made, axes, choose_device(device), bar) for made in plans]
    return _joined(runs, each)


def _selection(axes: Axes, given: Any, convention: Protocol) -> Any:
    """Matrices of all sets together."""
    if MATRICES not in axes:
        return given if given is not None else convention.matrices
    wanted = axes[MATRICES]
    return lambda ref: any(selects(each, ref.name, ref.module) for each in wanted)


def _require_unrounded(plan: Plan, axes: Axes, key: tuple[str, int]) -> None:
    if STORAGE in axes and plan.storage not in ("fp32", "fp64"):
        raise ProtocolError(
            f"over varies storage, but run {key} is stored in {plan.storage}: what rounding took away is not in the "
            "files. Pass fp32 checkpoints (the masters of training), or leave storage out."
        )


def _at_end(plan: Plan) -> Plan:
    return replace(plan, checkpoints=(plan.checkpoints[0], plan.checkpoints[-1]), steps=plan.steps[-1:])


def _require_same_matrices(runs: Runs, plans: Sequence[Plan]) -> None:
    first = {ref.name for ref in plans[0].refs}
    for key, made in zip(runs, plans, strict=True):
        other = first ^ {ref.name for ref in made.refs}
        if other:
            raise SampleError(
                f"runs {next(iter(runs))} and {key} hold different matrices, {min(other)} for one. "
                "Choose matrices that all runs hold."
            )


def _storages(plan: Plan, axes: Axes) -> list[_Storage]:
    ways = {
        "bf16": _Storage(_Rounded, plan),
        "raw": _Storage(History, replace(plan, protocol=plan.protocol.replace(space="raw"))),
    }
    return [ways[name] for name in axes[STORAGE]] if STORAGE in axes else [_Storage(History, plan)]


def _run(plan: Plan, axes: Axes, device: torch.device, bar: Any) -> xr.Dataset:
    storages = _storages(plan, axes)
    shape = (len(storages), len(plan.steps), len(plan.refs))
    values = {s.name: np.full((*shape, *sweep_shape(s, plan.protocol)), np.nan) for s in plan.specs}
    opened = plan.open()
    for column, ref in enumerate(plan.refs):
        for row, storage in enumerate(storages):
            _measure(storage, ref, opened, device, {n: v[row, :, column] for n, v in values.items()})
        bar.update()
    for checkpoint in opened:
        checkpoint.close()
    return _labelled(plan, axes, values)


def _measure(
    storage: _Storage,
    ref: MatrixRef,
    opened: list[Checkpoint],
    device: torch.device,
    target: dict[str, Any],
) -> None:
    history = storage.history(storage.plan, ref, opened, device)
    for index in range(len(storage.plan.steps)):
        operands = history.at(index)
        for spec in storage.plan.specs:
            target[spec.name][index] = evaluate(spec, operands, storage.plan.protocol)[0]
    history.release()


def _labelled(plan: Plan, axes: Axes, values: Mapping[str, Any]) -> xr.Dataset:
    variables = {}
    for spec in plan.specs:
        dims = ("storage_axis", "step", "matrix", *swept_fields(spec, plan.protocol))
        array = xr.DataArray(values[spec.name], dims=dims, attrs=variable_attrs(spec, plan.protocol))
        variables[spec.name] = array if STORAGE in axes else array.isel(storage_axis=0)
    fields = dict.fromkeys(field for spec in plan.specs for field in swept_fields(spec, plan.protocol))
    coords = {field: labels_of(getattr(plan.protocol, field)) for field in fields}
    dataset = xr.Dataset(variables, {"step": list(plan.steps), **coords})
    dataset = dataset.assign_coords(
        matrix=strings(ref.name for ref in plan.refs),
        module=("matrix", strings(ref.module for ref in plan.refs)),
        n_params=("matrix", [ref.rows * ref.cols for ref in plan.refs]),
    )
    dataset.attrs = {"protocol": plan.protocol.name, "protocol_hash": plan.protocol.hash}
    if STORAGE not in axes:
        return dataset
    return dataset.rename(storage_axis=STORAGE).assign_coords({STORAGE: labels_of(axes[STORAGE])})


def _joined(runs: Runs, each: list[xr.Dataset]) -> xr.Dataset:
    """Runs side by side; where each is measured at its end alone, ends stand side by side too."""
    recipes, seeds = zip(*runs, strict=True)
    if all(dataset.sizes["step"] == 1 for dataset in each):
        each = [dataset.isel(step=0, drop=True) for dataset in each]
    joined = xr.concat(
        each,
        dim=xr.Variable("run", strings(f"{recipe}-{seed}" for recipe, seed in runs)),
        join="outer",
        data_vars="all",
        coords="minimal",
        compat="override",
        combine_attrs="override",
    )
    named = any(recipes)
    return (
        joined.assign_coords(recipe=("run", strings(recipes)), seed=("run", list(seeds))) if named else joined
    )
