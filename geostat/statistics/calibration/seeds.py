"""Simulated values of runs: one recipe around fixed layers, and two recipes with a difference."""

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.calibration.noise import (
    Array,
    Distribution,
    checkpoints,
    evenly_spread,
    ornstein_uhlenbeck,
    shaped,
)
from geostat.statistics.calibration.scenario import Simulated
from geostat.statistics.runs.arguments import as_number

__all__ = ["check_sizes", "check_spread", "fixed_layers", "two_recipes"]


def check_sizes(**sizes: int) -> None:
    """Refuse numbers of runs, matrices or checkpoints below 1.

    Parameters
    ----------
    **sizes : int
        By their names in the grid.

    Raises
    ------
    SampleError
        If one is no whole number from 1 on.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise SampleError(f"{name}={size!r} is no number of things: pass a whole number from 1 on.")


def check_spread(sd: float) -> None:
    """Refuse what is no standard deviation.

    Parameters
    ----------
    sd : float
        Of seeds, or of noise; 0 is allowed.

    Raises
    ------
    SampleError
        If it is negative or no finite number.
    """
    if not 0 <= as_number("sd", sd) < math.inf:
        raise SampleError(f"sd={sd!r} is no standard deviation: pass a finite number from 0 on.")


def fixed_layers(
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    L: int = 24,
    T: int = 1,
    layer_correlation: float = 0.3,
    heterogeneity: float = 2.0,
    sd: float = 1.0,
    mean: float = 0.0,
    distribution: Distribution = "normal",
    rho: float = 0.5,
    steps: tuple[float, ...] | None = None,
) -> Simulated:
    """Runs of one recipe around a fixed list of layers.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S, L, T : int
        Runs, matrices, checkpoints.
    layer_correlation : float
        Of what a seed does to two layers, in [0, 1].
    heterogeneity : float
        Standard deviation of the fixed layer effects, in seed standard deviations.
    sd : float
        Standard deviation over seeds of a run's average over layers.
    mean : float
        The truth.
    distribution : {"normal", "skewed", "t5"}
        Of seed effects.
    rho : float
        Autocorrelation of a run's seed effect at the mean gap between checkpoints.
    steps : tuple of float, optional
        Checkpoints; replaces T.

    Returns
    -------
    Simulated
        Dims replicate, run, step (with several checkpoints), matrix.
    """
    kind = _SeedEffects(L, layer_correlation, heterogeneity, distribution)
    at = checkpoints(T, steps)
    data = kind.runs(rng, (n_rep, S), mean, sd, at, rho)
    return Simulated(data.squeeze("step", drop=True) if at.size == 1 else data, {"mean": mean}, seed_sd=sd)


@dataclass(frozen=True)
class _SeedEffects:
    """What a seed does to fixed layers."""

    L: int
    correlation: float
    heterogeneity: float
    distribution: Distribution

    def runs(
        self,
        rng: np.random.Generator,
        shape: tuple[int, int],
        mean: float,
        sd: float,
        steps: Array,
        rho: float = 0.0,
    ) -> xr.DataArray:
        """Values over replicate, run, step and matrix."""
        check_sizes(S=shape[1], L=self.L)
        check_spread(sd)
        values = mean + sd * (
            self._effects(rng, shape, steps, rho) + self.heterogeneity * evenly_spread(self.L)
        )
        return xr.DataArray(
            values,
            dims=("replicate", "run", "step", "matrix"),
            coords={"step": steps},
            attrs={"units": "1"},
            name="metric",
        )

    def _effects(self, rng: np.random.Generator, shape: tuple[int, int], steps: Array, rho: float) -> Array:
        """Effects whose average over layers has variance 1."""
        c = self.correlation
        if not 0 <= c <= 1:
            raise SampleError(f"layer_correlation={c!r} is none: it lies in [0, 1].")
        shared = shaped(ornstein_uhlenbeck(rng, shape, steps, rho), self.distribution)
        own = shaped(ornstein_uhlenbeck(rng, (*shape, self.L), steps, rho), self.distribution)
        effects = math.sqrt(c) * shared[..., None] + math.sqrt(1 - c) * np.swapaxes(own, 2, 3)
        return np.asarray(effects / math.sqrt(c + (1 - c) / self.L))


def two_recipes(
    rng: np.random.Generator,
    n_rep: int,
    *,
    S: int = 3,
    S_b: int | None = None,
    L: int = 24,
    difference: float = 0.0,
    margin: float = 1.0,
    sd: float = 1.0,
    sd_ratio: float = 1.0,
    layer_correlation: float = 0.3,
    heterogeneity: float = 2.0,
    distribution: Distribution = "normal",
) -> Simulated:
    """Two recipes, a and b, whose means differ by a known amount.

    Parameters
    ----------
    rng : numpy.random.Generator
        Randomness.
    n_rep : int
        Replicates.
    S, S_b, L : int
        Runs of recipe a, of recipe b (as many by default), matrices.
    difference : float
        Mean of a minus mean of b.
    margin : float
        Declared margin of equivalence.
    sd, sd_ratio : float
        Standard deviation over seeds in a, and that of b relative to it.
    layer_correlation, heterogeneity, distribution
        As in `fixed_layers`.

    Returns
    -------
    Simulated
        Dims replicate, run (with coordinates recipe and seed), matrix.
    """
    n = (S, S if S_b is None else S_b)
    kind, one = _SeedEffects(L, layer_correlation, heterogeneity, distribution), checkpoints(1, None)
    sides = [
        kind.runs(rng, (n_rep, n[0]), difference, sd, one),
        kind.runs(rng, (n_rep, n[1]), 0.0, sd * sd_ratio, one),
    ]
    data = xr.concat(sides, dim="run", combine_attrs="override").squeeze("step", drop=True)
    recipes = np.array(["a"] * n[0] + ["b"] * n[1], np.dtypes.StringDType())
    return Simulated(
        data.assign_coords(recipe=("run", recipes), seed=("run", [*range(n[0]), *range(n[1])])),
        {"difference": difference},
        {"difference": difference == 0, "equivalence": abs(difference) >= margin},
        seed_sd=sd,
        settings={"margin": margin},
    )
