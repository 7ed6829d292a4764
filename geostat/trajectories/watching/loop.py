"""The loop of a watch: look, measure what is complete, wait, end, seal."""

import itertools
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from geostat.checkpoints import Checkpoint, MatrixRef, list_matrices, open_checkpoint
from geostat.checkpoints.memory import MemoryCheckpoint
from geostat.errors import (
    GeostatError,
    GeostatWarning,
    InsufficientMemoryError,
    NamingWarning,
    ProtocolError,
    StoreError,
)
from geostat.protocols import protocol as find_protocol
from geostat.trajectories.durations import duration
from geostat.trajectories.engines.devices import with_fallback
from geostat.trajectories.files import require_space, write_whole
from geostat.trajectories.planning import plan as make_plan
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import Record
from geostat.trajectories.schema import describe
from geostat.trajectories.unit import choose_device
from geostat.trajectories.watching.arrivals import Arrivals
from geostat.trajectories.watching.ending import plan_so_far, seal_watch
from geostat.trajectories.watching.folder import WatchFolder, watch_path
from geostat.trajectories.watching.measuring import Arrival, mean_of, measure_arrival
from geostat.trajectories.watching.steps import Needs

__all__ = ["Loop"]

_PER_STEP = ("steps", "inputs", "training_steps", "missing", "matrices", "vectors")
"""Parts of a plan's manifest that one checkpoint does not share with the next."""


@dataclass
class Loop:
    """One call of `watch`.

    Attributes
    ----------
    base : path
        The weights at the run's start.
    arrivals : Arrivals
        The folder that is watched.
    asked : dict
        What is measured: arguments of `geostat.plan`.
    store : Path
        Where the store shall stand.
    device : torch.device
        Where the arithmetic runs.
    training_steps : int or None
        Length of training.
    say : callable
        Takes a line of progress.
    plan : Plan or None
        That of the last checkpoint.
    waited : dict of int to str
        What was said of incomplete checkpoints.
    chosen : list of str
        Matrices of the base that are measured.
    """

    base: Any
    arrivals: Arrivals
    asked: dict[str, Any]
    store: Path
    device: torch.device
    training_steps: int | None
    say: Callable[[str], None]
    plan: Plan | None = None
    waited: dict[int, str] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)

    @property
    def room(self) -> WatchFolder:
        """What the watch has so far."""
        return WatchFolder(watch_path(self.store))

    def run(self, until: int | None, idle: float | None, pause: float) -> None:
        """Measure what arrives until the end is reached.

        Parameters
        ----------
        until : int or None
            End once this step, or a later one, is measured.
        idle : float or None
            End when nothing has changed for so many seconds.
        pause : float
            Seconds between two looks.
        """
        finished = self.room.finished()
        last = max(finished, default=-1)
        self.arrivals.met |= finished.keys()
        self._check_base()
        if finished:
            self.plan = make_plan(self.base, self._any(finished), **self.asked)
            self.room.begin(self._shared(self.plan))
            self.say(f"going on after step {last}; what was measured is kept in {self.room.folder}")
        try:
            while until is None or last < until:
                self._report_left_out(*self.arrivals.look(last))
                step = self.arrivals.next()
                if step is not None:
                    self._take(step, last)
                    last = max(last, step)
                    self.arrivals.changed = self.arrivals.clock()
                elif self._is_idle(idle):
                    return
                else:
                    self._report_waiting()
                    time.sleep(pause)
        except KeyboardInterrupt:
            done = len(self.room.finished())
            self.say(
                f"stopped with {done} checkpoints measured, which are kept. The same call goes on; with --idle 0s "
                "(idle=0) it measures what is there and seals the store."
            )
            raise

    def _is_idle(self, limit: float | None) -> bool:
        quiet = self.arrivals.clock() - self.arrivals.changed
        return limit is not None and quiet >= limit and not self.arrivals.settling

    def _check_base(self) -> None:
        """A base that cannot be read, or a choice that finds nothing in it, is no fault of a checkpoint."""
        chosen = self.asked["matrices"]
        if chosen is None:
            chosen = find_protocol(self.asked["protocol"]).matrices
        with (
            warnings.catch_warnings(),
            open_checkpoint(self.base, trust=self.asked["trust"], io="read") as base,
        ):
            warnings.simplefilter("ignore", GeostatWarning)  # said when the first checkpoint is there
            refs = list_matrices(base, chosen, naming=self.asked["naming"], strict=self.asked["strict"])
        self.chosen = [ref.name for ref in refs]

    def _shared(self, plan: Plan) -> dict[str, Any]:
        """What figures depend on at every checkpoint."""
        manifest = plan.manifest()
        shared = {key: value for key, value in manifest.items() if key not in _PER_STEP}
        base = [entry for entry in manifest["inputs"] if entry["step"] == 0]
        plain: dict[str, Any] = json.loads(json.dumps({**shared, "base": base, "matrices": self.chosen}))
        return plain

    def _report_left_out(self, gone: list[int], late: list[int]) -> None:
        for step in gone:
            self.say(f"step {step} was deleted before it was measured: it is left out")
        for step in late:
            self.say(f"step {step} is left out: a later one is measured already")

    def _report_waiting(self) -> None:
        """Say once for each reason what an incomplete checkpoint waits for."""
        for step, sighting in sorted(self.arrivals.seen.items()):
            if sighting.lacking and self.waited.get(step) != sighting.lacking:
                self.waited[step] = sighting.lacking
                self.say(f"waiting for step {step}: {sighting.lacking}")

    def _take(self, step: int, last: int) -> None:
        """Measure one checkpoint; report it if it cannot be measured."""
        path = self.arrivals.seen[step].path
        for earlier in sorted(each for each in self.arrivals.seen if each < step):
            self.say(f"step {earlier} is passed over: {self.arrivals.seen[earlier].lacking}")
        started = time.monotonic()
        try:
            told, records = self._measure(step, path)
        except (StoreError, ProtocolError, InsufficientMemoryError):
            raise  # no fault of this checkpoint
        except (GeostatError, OSError) as error:
            if step in self.room.finished():
                raise
            self.room.drop(step)
            self.say(f"step {step} is left out: {error}")
            return
        sizes = [ref.n_params for ref in self._planned.refs if ref.name in told["matrices"]]
        facts = [f"step {step}: {len(records)} matrices in {duration(time.monotonic() - started)}"]
        unchanged, rank = mean_of(records, "update_sparsity", sizes), mean_of(records, "stable_rank")
        facts += [f"{100 * unchanged:.1f}% of entries unchanged"] if unchanged == unchanged else []
        facts += [f"stable rank {rank:.1f}"] if rank == rank else []
        self.say(", ".join(facts))

    @property
    def _planned(self) -> Plan:
        if self.plan is None:  # pragma: no cover - a step is planned before it is measured
            raise AssertionError("no checkpoint was planned")
        return self.plan

    def _measure(self, step: int, path: str) -> tuple[dict[str, Any], list[Record]]:
        finished = self.room.finished()
        with warnings.catch_warnings():
            if self.plan is not None:
                warnings.simplefilter("ignore", NamingWarning)  # said of the first checkpoint
            plan = make_plan(self.base, {step: path}, **self.asked)
        told = _told(plan, step, path)
        self._begin(plan, told, first=self.plan is None)
        self.plan = plan
        arrival = self._arrival(plan, step, sorted(finished))
        with (
            open_checkpoint(self.base, trust=plan.trust, io="read") as base,
            open_checkpoint(path, trust=plan.trust, io="read") as checkpoint,
        ):
            records = [
                with_fallback(partial(self._one, arrival, ref, base, checkpoint), str(self.device), ref.name)
                for ref in plan.refs
            ]
        so_far = plan_so_far(plan, {**finished, step: told}, self.training_steps, self.asked["vectors"])
        self.room.finish(step, told, describe(so_far))
        self._drop_copies(plan, step, sorted(finished))
        return told, records

    def _one(
        self, arrival: Arrival, ref: MatrixRef, base: Checkpoint, checkpoint: Checkpoint, device: str
    ) -> Record:
        here = replace(arrival, device=choose_device(device))
        return measure_arrival(here, ref, base, {arrival.step: checkpoint}, self.room)

    def _begin(self, plan: Plan, told: dict[str, Any], *, first: bool) -> None:
        self.room.begin(self._shared(plan))
        _fresh(self.room, plan.steps[0], told)
        if first:
            self._say_sizes(plan)

    def _say_sizes(self, plan: Plan) -> None:
        entries = sum(ref.n_params for ref in plan.refs)
        update = sum(8 * (plan.protocol.K * (r.rows + r.cols) + 3 * min(r.rows, r.cols)) for r in plan.refs)
        keeps = bool(Needs(plan).ahead)
        copies = (
            2 * (4 if plan.storage == "fp32" else 8 if plan.storage == "fp64" else 2) * entries
            if keeps
            else 0
        )
        initial = sum(8 * _initial_directions(plan, r) * (r.rows + r.cols) for r in plan.refs)
        require_space(self.room.folder, copies + initial + update)
        self.say(
            f"{len(plan.refs)} matrices; beside the store {(copies + initial) / 2**20:.0f} MiB are kept while "
            f"watching, and {update / 2**20:.1f} MiB for each checkpoint"
        )

    def _arrival(self, plan: Plan, step: int, finished: list[int]) -> Arrival:
        """What of the past this checkpoint meets: the one a horizon earlier, and the first."""
        horizon = plan.protocol.horizon
        if horizon is None:
            before = finished[-1] if finished and _even([*finished, step]) else None
        else:
            before = step - horizon if step - horizon in finished else None
        keeps = bool(Needs(plan).ahead) and (horizon is not None or _even([*finished, step]))
        names = tuple(ref.name for ref in plan.refs) if self.asked["vectors"] is not False else ()
        full = replace(plan, vectors=names if plan.tier != "elementwise" else ())
        return Arrival(full, min([step, *finished]), before, keeps, self.device)

    def _drop_copies(self, plan: Plan, step: int, finished: list[int]) -> None:
        horizon = plan.protocol.horizon
        for earlier in finished:
            if horizon is None or earlier + horizon <= step:
                self.room.drop_copies(earlier)

    def seal(self) -> None:
        """Seal what was measured.

        Raises
        ------
        StoreError
            If nothing was, or another store stands in its place.
        """
        finished = self.room.finished()
        if not finished:
            self.room.remove()
            raise StoreError(
                f"no checkpoint of {self.arrivals.folder} was measured, so there is no store. Check the folder, and "
                "that names say a step, such as step-100 or checkpoint-100."
            )
        if self.store.exists():
            raise StoreError(
                f"{self.store} was written by another call while this watch ran; it is not replaced. What was "
                f"watched is kept in {self.room.folder}: move that store away and run the same call again, or remove "
                "the folder."
            )
        whole = plan_so_far(self._planned, finished, self.training_steps, self.asked["vectors"])
        self.say(f"sealing {len(whole.steps)} checkpoints of {len(whole.refs)} matrices")
        lost = seal_watch(whole, self.room, self.store, self.device)
        if lost:
            self.say(f"{lost} cells stay undefined, because checkpoints were deleted before the end")
        self.say(f"{self.store} is sealed")

    def _any(self, finished: dict[int, dict[str, Any]]) -> dict[int, Any]:
        """Some checkpoint to plan from, at the start of a later call; the base stands in where all are gone."""
        for step, told in finished.items():
            if os.path.exists(told["path"]):
                return {step: told["path"]}
        base = open_checkpoint(self.base, trust=self.asked["trust"])
        return {next(iter(finished)): MemoryCheckpoint(dict(base), config=base.config)}


def _initial_directions(plan: Plan, ref: MatrixRef) -> int:
    """Leading directions of W_0 that are kept."""
    if plan.tier == "elementwise":
        return 0
    used = plan.used(ref)["r_used" if plan.tier == "top" else "k_used"]
    return max(used) if isinstance(used, list) else used


def _told(plan: Plan, step: int, path: str) -> dict[str, Any]:
    return {
        "path": path,
        "matrices": [ref.name for ref in plan.refs],
        "missing": list(plan.missing),
        "storage": plan.storage,
        "inputs": [asdict(entry) for entry in plan.inputs if entry.step == step],
    }


def _fresh(room: WatchFolder, step: int, told: dict[str, Any]) -> None:
    """Begin a step anew where its files are not those of which a part was measured before."""
    noted = room.step(step) / "inputs.json"
    content = json.dumps(told["inputs"]).encode()
    if noted.exists() and noted.read_bytes() != content:
        room.drop(step)
        room.step(step)
    if not noted.exists():
        write_whole(noted, content)


def _even(steps: list[int]) -> bool:
    """Whether all gaps between steps are the same."""
    return len({after - before for before, after in itertools.pairwise(steps)}) <= 1
