"""Who made a store: versions, command, time, files."""

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import geostat
from geostat.trajectories.inputs import InputFile, sha256
from geostat.trajectories.plans import Plan

__all__ = ["joined_provenance", "provenance"]

_LIBRARIES = ("numpy", "torch", "xarray", "zarr")


def provenance(plan: Plan, *, device: str, engine: str, checksum: bool) -> dict[str, Any]:
    """Describe the making of a store; nothing in it enters a figure.

    Parameters
    ----------
    plan : Plan
        The measurement.
    device : str
        Where the arithmetic ran.
    engine : str
        Which engine computed.
    checksum : bool
        Whether to hash every input file.

    Returns
    -------
    dict
        Serialisable.
    """
    return {
        **_software(),
        "device": device,
        "engine": engine,
        "inputs": [
            {"step": f.step, "path": f.path, "size": f.size, **_hash(f, wanted=checksum)} for f in plan.inputs
        ],
    }


def joined_provenance(makings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Describe the making of a store in several shares, or in one.

    Parameters
    ----------
    makings : sequence of dict
        What `provenance` returned in each process.

    Returns
    -------
    dict
        That of the first; with several, `shards` lists when, where and with what each was measured. Without
        any, who sealed.
    """
    if not makings:
        return _software()
    if len(makings) == 1:
        return makings[0]
    told = ("shard", "created", "command", "device", "engine", "host")
    shards = [{key: made[key] for key in told if key in made} for made in makings]
    return {**{key: value for key, value in makings[0].items() if key != "shard"}, "shards": shards}


def _software() -> dict[str, Any]:
    return {
        "geostat": geostat.__version__,
        "python": sys.version.split()[0],
        **{name: version(name) for name in _LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "host": platform.node(),
    }


def _hash(file: InputFile, *, wanted: bool) -> dict[str, str]:
    return {"sha256": sha256(file.path)} if wanted and file.content is None else {}
