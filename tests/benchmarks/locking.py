"""CPU time of a verdict on locking, and of its table of critical values. Run: python locking.py"""

import time
import warnings

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning
from geostat.statistics.locking import critical
from geostat.statistics.locking.locking_onset import locking_onset

SEEDS, MATRICES, CHECKPOINTS = 5, 144, 300
NULL_CURVES = 10_000


def measured(rng):
    """Forward capture of both sides that rises to .9 at a third of training, with noise."""
    steps = np.arange(1.0, CHECKPOINTS + 1)
    curve = 0.9 / (1 + np.exp(-(steps - CHECKPOINTS / 3) / 10))
    noise = rng.normal(0, 0.02, (SEEDS, CHECKPOINTS, MATRICES, 2))
    return xr.DataArray(
        curve[:, None, None] + noise,
        dims=("run", "step", "matrix", "side"),
        coords={"step": steps, "side": ["left", "right"]},
        attrs={"units": "1"},
        name="forward_capture",
    )


def cpu_seconds(work):
    """CPU time of this process for one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def table_seconds():
    """CPU time of the critical values of curves of this length, one run per recipe and several."""
    steps = np.linspace(0.0, 1.0, CHECKPOINTS)
    for seeds in (1, SEEDS):
        critical._table.cache_clear()
        spent = cpu_seconds(lambda seeds=seeds: critical.critical_table([steps] * seeds, NULL_CURVES, 0))
        size = f"{NULL_CURVES} null curves of T={CHECKPOINTS} for each of {len(critical.NULL_RHOS)} rho, S={seeds}"
        yield f"critical values, {size}: {spent:.1f} s"


def verdict_seconds():
    """CPU time of a verdict without and with the table of critical values at hand, and without models."""
    data = measured(np.random.default_rng(0))
    size = f"S={SEEDS}, L={MATRICES}, T={CHECKPOINTS}"
    critical._table.cache_clear()
    yield f"locking_onset, {size}, no table yet: {cpu_seconds(lambda: locking_onset(data)):.1f} s"
    yield f"locking_onset, {size}, table cached: {cpu_seconds(lambda: locking_onset(data)):.1f} s"
    alone = cpu_seconds(lambda: locking_onset(data, beside=()))
    yield f"locking_onset, {size}, nothing beside the verdict: {alone:.2f} s"


def main():
    warnings.simplefilter("ignore", GeostatWarning)
    locking_onset(measured(np.random.default_rng(1)).isel(step=slice(0, 20)), beside=("band_entry",))
    for line in (*table_seconds(), *verdict_seconds()):
        print(line)


if __name__ == "__main__":
    main()
