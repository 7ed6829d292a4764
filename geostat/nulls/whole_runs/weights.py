"""Where the weights of a measured run lie, and whether they still are those that were measured."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from geostat.checkpoints import MatrixRef
from geostat.checkpoints.paths import exists, parent
from geostat.errors import CheckpointError, SampleError, StoreError
from geostat.protocols import Protocol
from geostat.trajectories.plan import Plan
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.store import open_trajectory

__all__ = ["Measured", "check_fingerprint", "measured_run", "planned"]


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
    if not refs or (matrices is None and lost):
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
