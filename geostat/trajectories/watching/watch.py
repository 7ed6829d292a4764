"""Measuring a run while it trains: checkpoints as they appear, before they are deleted."""

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import xarray as xr

from geostat.checkpoints import Naming
from geostat.errors import ProtocolError, StoreError
from geostat.protocols import Protocol
from geostat.spec import Tier
from geostat.trajectories.durations import seconds_of
from geostat.trajectories.files import local_path
from geostat.trajectories.store import open_trajectory
from geostat.trajectories.unit import choose_device
from geostat.trajectories.watching.arrivals import Arrivals
from geostat.trajectories.watching.loop import Loop

__all__ = ["watch"]


def watch(
    base: Any,
    folder: str | os.PathLike[str],
    *,
    store: Any,
    until: int | None = None,
    idle: float | str | None = None,
    interval: float | str = 10.0,
    settle: float | str | None = None,
    matrices: Any = None,
    protocol: str | Protocol = "shen2026",
    diagnostics: Iterable[str] | None = None,
    vectors: bool | int | str = "auto",
    training_steps: int | None = None,
    naming: Naming | None = None,
    strict: bool = True,
    trust: bool = False,
    tier: Tier = "exact",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Geometry of a run that is still training: each checkpoint is measured as it appears.

    Checkpoints may be deleted once they are measured: of each one the decomposition of its update is kept
    beside the store, and its matrices until the checkpoint one horizon later is there. Only `future_capture`
    needs both a checkpoint and the last one, and is undefined where they were not there together; every
    other figure is, bit for bit, what `measure` gives. `open_trajectory` shows what is there so far. A watch
    that was stopped or killed goes on with the same call.

    Parameters
    ----------
    base : path
        The weights at the run's start, W_0.
    folder : path
        Where checkpoints appear: files or folders whose names say a step. Temporary names are not looked at.
    store : path
        Where the labelled store goes when the watch ends.
    until : int, optional
        End once this step, or a later one, is measured.
    idle : float or str, optional
        End when nothing has changed for so long: seconds, or "30m". 0 ends when all that is complete now is
        measured.
    interval : float or str
        Time between two looks.
    settle : float or str, optional
        Time for which the files of a checkpoint must not change before it is taken for complete; that of an
        interval by default. Headers, indices and sizes must agree as well.
    matrices, protocol, diagnostics, vectors, training_steps, naming, strict, trust, tier, device
        See `measure`.
    progress : bool
        Whether to say on standard error what is measured and waited for.

    Returns
    -------
    xarray.Dataset
        The sealed store.

    Raises
    ------
    StoreError
        If the store stands already, cannot be written, or no checkpoint was measured when the watch ended.
    JournalError
        If the watch beside the store is of another measurement, or another process has it now.
    ProtocolError
        If a setting is not known.
    CheckpointError
        If the base cannot be read. A checkpoint that does not fit is reported and left out.

    Examples
    --------
    >>> import tempfile, torch
    >>> import geostat as gs
    >>> from safetensors.torch import save_file
    >>> with tempfile.TemporaryDirectory() as run:
    ...     for name, scale in (("base", 1.0), ("step-10", 2.0), ("step-20", 3.0)):
    ...         weights = {"blocks.0.attention.query.weight": scale * torch.eye(4)}
    ...         save_file(weights, f"{run}/{name}.safetensors")
    ...     found = gs.watch(f"{run}/base.safetensors", run, store=f"{run}/run.zarr", idle=0, settle=0,
    ...                      progress=False)
    ...     found.step.values
    array([10, 20])
    """
    place = local_path(store)
    if place.exists():
        raise StoreError(f"{place} stands already. Give the watch another store, or open that one.")
    asked = {
        "matrices": matrices,
        "protocol": protocol,
        "diagnostics": None if diagnostics is None else tuple(diagnostics),
        "vectors": vectors,
        "naming": naming,
        "strict": strict,
        "trust": trust,
        "tier": tier,
    }
    pause = seconds_of(interval)
    watching = Loop(
        base=base,
        arrivals=Arrivals(os.fspath(folder), pause if settle is None else seconds_of(settle), trust),
        asked=asked,
        store=place,
        device=choose_device(device),
        training_steps=training_steps,
        say=_say if progress else _silent,
    )
    _require_end(until, idle)
    with watching.room.held():
        watching.run(until, None if idle is None else seconds_of(idle), pause)
        watching.seal()
    return open_trajectory(place)


def _require_end(until: int | None, idle: float | str | None) -> None:
    if until is not None and (isinstance(until, bool) or until < 1):
        raise ProtocolError(f"until={until!r}. Pass the step after which the watch ends.")
    if idle is not None:
        seconds_of(idle)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    """Say nothing."""
