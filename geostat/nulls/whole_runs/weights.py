"""Where the weights of a measured run lie, and whether they still are those that were measured."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.checkpoints import MatrixRef
from geostat.checkpoints.paths import exists, parent
from geostat.errors import CheckpointError, SampleError, StoreError
from geostat.protocols import Protocol
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.plans import Plan
from geostat.trajectories.store import open_trajectory

__all__ = ["Measured", "check_fingerprint", "check_updated", "measured_run", "planned"]


@dataclass(frozen=True, eq=False)
class Measured:
    """What a store says of the run that it was made from.

    Attributes
    ----------
    dataset : xarray.Dataset
        The store.
    """

    dataset: xr.Dataset

    @property
    def protocol(self) -> Protocol:
        """Convention of the measurement."""
        return Protocol.from_json(self.dataset.attrs["protocol_settings"])

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint of W_0 by matrix."""
        hashes = self.dataset["initial_hash"]
        return dict(zip(map(str, hashes["matrix"].values), map(str, hashes.values), strict=True))

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the checkpoints."""
        return tuple(int(step) for step in self.dataset["step"].values)

    def sparsity(self, plan: Plan, matrix: str) -> npt.NDArray[np.float64] | None:
        """Share of unchanged entries as it was measured.

        Parameters
        ----------
        plan : Plan
            Steps; storage and convention tell whether an entry counted as changed where its stored number is another.
        matrix : str
            Name.

        Returns
        -------
        numpy.ndarray or None
            Shape (steps,), NaN at steps that the store lacks; None where it was not measured so.
        """
        stored = self.dataset.get("update_sparsity")
        comparable = plan.storage == "bf16" and plan.protocol.hash == self.protocol.hash
        if not comparable or stored is None or set(stored.dims) != {"step", "matrix"}:
            return None
        there = stored.sel(matrix=matrix).reindex(step=list(plan.steps))
        return np.asarray(there.values, dtype=np.float64)

    def places(self) -> tuple[str, dict[int, str]]:
        """Where base and checkpoints lay when they were measured.

        Returns
        -------
        tuple
            Path of the base, and path by step.

        Raises
        ------
        StoreError
            If they were measured from memory, or are not there any more.
        """
        made = json.loads(self.dataset.attrs.get("provenance", "{}"))
        by_step: dict[int, list[str]] = {}
        for entry in made.get("inputs", ()):
            by_step.setdefault(int(entry["step"]), []).append(entry["path"])
        if not by_step or any("memory" in paths for paths in by_step.values()):
            raise StoreError(
                f"the store names no checkpoint files: they lay in memory, or it is not sealed. {_PASS}"
            )
        for step, paths in by_step.items():
            gone = [path for path in paths if not exists(path)]
            if gone:
                raise StoreError(f"step {step} was measured from {gone[0]}, which is not there now. {_PASS}")
        found = {step: paths[0] if len(paths) == 1 else parent(paths[0]) for step, paths in by_step.items()}
        return found.pop(0), found


_SAME = 1e-9
"""Shares of entries that differ by more are those of other weights."""
_PASS = "Pass base= and checkpoints= (--base and --checkpoints) to say where the weights lie."


def measured_run(store: Any) -> Measured:
    """Open a store of one run.

    Parameters
    ----------
    store : path or xarray.Dataset
        What `geostat.measure` wrote or returned.

    Returns
    -------
    Measured
        What it says.

    Raises
    ------
    SampleError
        If it holds several runs, or is no measurement.
    StoreError
        If it cannot be opened.
    """
    dataset = store if isinstance(store, xr.Dataset) else open_trajectory(store)
    if (
        "run" in dataset.dims
        or "initial_hash" not in dataset.coords
        or "protocol_settings" not in dataset.attrs
    ):
        raise SampleError(
            "the nulls of a run need the store of one run, as measure writes it. Pass them one by one, and combine "
            "afterwards."
        )
    return Measured(dataset)


def planned(
    base: Any,
    checkpoints: Any,
    measured: Measured | None,
    *,
    matrices: Any,
    steps: Iterable[int] | None,
    protocol: Protocol,
    **reading: Any,
) -> Plan:
    """Decide which matrices of which checkpoints are read.

    Parameters
    ----------
    base, checkpoints
        As in `geostat.measure`; None takes those that the store names.
    measured : Measured or None
        The store.
    matrices : str, list of str, callable or None
        Which; all of the store by default.
    steps : iterable of int or None
        Which checkpoints; all of the store by default.
    protocol : Protocol
        Convention.
    **reading
        ``naming``, ``strict``, ``trust`` as in `geostat.measure`.

    Returns
    -------
    Plan
        From headers alone.

    Raises
    ------
    CheckpointError
        If a step or matrix of the store is not among the weights.
    SampleError
        If there is neither a store nor weights.
    StoreError
        If the store does not say where the weights lie.
    """
    if measured is not None and (base is None or checkpoints is None):
        start, others = measured.places()
        base, checkpoints = start if base is None else base, others if checkpoints is None else checkpoints
    if base is None or checkpoints is None:
        raise SampleError("run_nulls needs base and checkpoints, or store= of a measured run.")
    made = make_plan(
        base,
        checkpoints,
        matrices=_chosen(measured, matrices),
        protocol=protocol,
        vectors=False,
        **reading,
    )
    made = _within(made, measured, matrices)
    wanted = steps if steps is not None else (measured.steps if measured is not None else made.steps)
    return _at_steps(made, tuple(sorted({int(step) for step in wanted})))


def _chosen(measured: Measured | None, matrices: Any) -> Any:
    if matrices is not None or measured is None:
        return matrices
    names = set(measured.fingerprints)
    return lambda ref: ref.name in names


def _within(made: Plan, measured: Measured | None, matrices: Any) -> Plan:
    """Only matrices that the store holds, and all of them where nothing else is said."""
    if measured is None:
        return made
    known = measured.fingerprints
    refs = tuple(ref for ref in made.refs if ref.name in known)
    lost = set(known) - {ref.name for ref in refs}
    if not refs and matrices is not None:
        raise CheckpointError(
            f"matrices={matrices!r} selects {made.refs[0].name!r} in the weights, which the store does not hold. It "
            f"holds {len(known)} matrices, {min(known)!r} among them: choose of these, or measure the others first."
        )
    if lost and matrices is None:
        raise CheckpointError(
            f"{min(lost)} stands in the store and is not found in the weights. Pass the weights that were measured, "
            "with the same naming=."
        )
    return replace(made, refs=refs)


def _at_steps(made: Plan, steps: tuple[int, ...]) -> Plan:
    missing = sorted(set(steps) - set(made.steps))
    if missing or not steps:
        raise CheckpointError(
            f"step {missing[0] if missing else 'none'} was asked for; the checkpoints are at "
            f"{', '.join(map(str, made.steps))}."
        )
    by_step = dict(zip(made.steps, made.checkpoints[1:], strict=True))
    return replace(made, steps=steps, checkpoints=(made.checkpoints[0], *(by_step[step] for step in steps)))


def check_fingerprint(measured: Measured | None, ref: MatrixRef, found: str) -> None:
    """Refuse weights that are not those of the store.

    Parameters
    ----------
    measured : Measured or None
        The store.
    ref : MatrixRef
        Which matrix.
    found : str
        Fingerprint of its W_0 now.

    Raises
    ------
    CheckpointError
        If the store has another one.
    """
    if measured is not None and measured.fingerprints[ref.name] != found:
        raise CheckpointError(
            f"the base's {ref.name} is not the one that the store was measured from (its fingerprint differs). Pass "
            "the same base, or measure this one first."
        )


def check_updated(measured: Measured | None, plan: Plan, ref: MatrixRef, numbers: Mapping[str, Any]) -> None:
    """Refuse checkpoints that are not those of the store, as far as their sparsity tells.

    Parameters
    ----------
    measured : Measured or None
        The store.
    plan : Plan
        Steps, storage and convention.
    ref : MatrixRef
        Which matrix.
    numbers : mapping
        Its nulls.

    Raises
    ------
    CheckpointError
        If another share of entries is unchanged than the store says.
    """
    found = numbers.get("update_sparsity_observed")
    if measured is None or found is None or (stored := measured.sparsity(plan, ref.name)) is None:
        return
    differing = np.flatnonzero(np.abs(found - stored) > _SAME)
    if differing.size:
        place = int(differing[0])
        raise CheckpointError(
            f"{ref.name} at step {plan.steps[place]}: {found[place]:.4%} of the entries are unchanged, in the store "
            f"{stored[place]:.4%}. The checkpoints are not those that were measured: pass the same ones, or measure "
            "these first."
        )
