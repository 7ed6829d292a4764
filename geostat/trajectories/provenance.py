"""Who made a store: versions, command, time, files."""

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import geostat
from geostat.trajectories.inputs import InputFile, sha256
from geostat.trajectories.plan import Plan

__all__ = ["provenance"]

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
        "geostat": geostat.__version__,
        "python": sys.version.split()[0],
        **{name: version(name) for name in _LIBRARIES},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "device": device,
        "engine": engine,
        "inputs": [
            {"step": f.step, "path": f.path, "size": f.size, **_hash(f, wanted=checksum)} for f in plan.inputs
        ],
    }


def _hash(file: InputFile, *, wanted: bool) -> dict[str, str]:
    return {"sha256": sha256(file.path)} if wanted and file.content is None else {}
