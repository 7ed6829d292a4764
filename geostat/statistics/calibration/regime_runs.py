"""Simulated runs at a known place among the published regimes."""

import math

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.calibration.noise import Distribution, shaped
from geostat.statistics.calibration.scenario import Simulated
from geostat.statistics.calibration.seeds import check_sizes, check_spread

__all__ = ["published_regimes"]


def published_regimes(
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    place: float = 1.0,
    sd: float = 0.1,
    correlation: float = 0.5,
    distribution: Distribution = "normal",
) -> Simulated:
    """Runs of one recipe at the same place among the published boundaries in every metric.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S : int
        Runs.
    place : float
        0, 1 and 2 are the middles of the three regimes, .5 and 1.5 the boundaries between them, on each
        metric's scale; at a boundary whatever is established is an error.
    sd : float
        Standard deviation over seeds, where the middle regime is 1 wide.
    correlation : float
        Between metrics, in [0, 1].
    distribution : {"normal", "skewed", "t5"}
        Of seed effects.

    Returns
    -------
    Simulated
        A dataset with one variable per metric of the default set; the right regime is among its settings.
    """
    from geostat.protocols import PROTOCOLS
    from geostat.statistics.means.scales import SCALES
    from geostat.statistics.regimes.boundaries import load_boundaries

    check_sizes(S=S)
    check_spread(sd)
    if not (-0.5 <= place <= 2.5 and 0 <= correlation <= 1 and sd >= 0):
        raise SampleError(
            f"place={place!r}, correlation={correlation!r}, sd={sd!r}: the place lies in [-.5, 2.5], "
            "the correlation in [0, 1], and the standard deviation is 0 or more."
        )
    file = load_boundaries()
    shared = shaped(rng.standard_normal((n_rep, S)), distribution)
    arrays = {}
    for name in file.default_set:
        facts, own = file.metrics[name], shaped(rng.standard_normal((n_rep, S)), distribution)
        scale = SCALES[facts.scale]
        low, high = (float(scale.forward(xr.DataArray(cut))) for cut in facts.cuts)
        moved = place - 0.5 + sd * (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)
        latent = xr.DataArray(low + (high - low) * moved, dims=("replicate", "run"))
        arrays[name] = scale.inverse(latent).assign_attrs(units="1")
    protocol = {"protocol": "shen2026", "protocol_hash": PROTOCOLS["shen2026"].hash, "storage": "bf16"}
    data = xr.Dataset(arrays, coords={"alpha": 0.3}, attrs=protocol)
    boundary = math.isclose(place % 1, 0.5)
    right = "" if boundary else file.regimes[round(place)]
    return Simulated(data, math.nan, {"regime": boundary}, settings={"regime": right})
