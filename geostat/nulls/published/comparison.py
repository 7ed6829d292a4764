"""Published overlaps beside those of updates that know nothing of the weights."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from geostat.diagnostics import DIAGNOSTICS
from geostat.errors import SampleError
from geostat.linalg import factored, own_arithmetic
from geostat.nulls.across_runs.agreement_density import rounded, scale_for_density
from geostat.nulls.building import null_result
from geostat.nulls.floors.prediction import prediction
from geostat.nulls.null_result import NullResult
from geostat.nulls.published.weights import UPDATES, WEIGHTS
from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.published import PublishedFigure, published_figures
from geostat.statistics.runs.arguments import check_level
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.trajectories.sweep import evaluate

__all__ = ["published_null"]

OVERLAPS = ("low_magnitude_mask_overlap", "principal_mask_overlap")
ALPHA = 0.3
_RECIPES = {"SFT": "SFT", "OPD": "OPD", "GRPO": "RLVR"}
_FEWEST = 2
_NO_TEST = "W_0 is synthetic: a comparison, not a test"

Floats = npt.NDArray[np.float64]


@own_arithmetic()
def published_null(
    *, sizes: Sequence[int] = (1024, 2048), n: int = 3, level: float = 0.95, rng: Randomness = 0
) -> NullResult:
    r"""Published mask overlaps beside independent updates of the same density.

    For each controlled run whose density of change is published, a synthetic W_0 is moved by an update whose
    entries are independent of W_0 and of each other (Gaussian, Laplace, Student t with 3 degrees of freedom),
    scaled so that bf16 shows exactly the published share of entries changed. Its overlaps with the low-magnitude
    and the principal mask are what rounding alone makes of them.

    Caveat: the W_0 is synthetic. Two kinds, with Gaussian entries and with a heavy-tailed spectrum, and several
    sizes show how much hangs on it: hardly anything for the low-magnitude mask, more than the published runs
    differ by for the principal mask. So there is no p-value here; on your own checkpoints `gate_null` gives one.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of rows, and of columns, of W_0.
    n : int
        How many W_0 of each kind and size, 2 or more.
    level : float
        Of the interval for one more W_0.
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    NullResult
        Dims recipe, weights, size, law; `observed` is the published figure, p-values are NaN.

    Raises
    ------
    SampleError
        If n is too small.

    References
    ----------
    :cite:t:`shen2026`, Figure 3 and appendix C.3, for the published densities and overlaps.

    Examples
    --------
    >>> found = published_null(sizes=[128], n=2)
    >>> low = found["low_magnitude_mask_overlap"].null_mean.sel(weights="Gaussian", law="Gaussian", size=128)
    >>> [bool(abs(low.sel(recipe=r) - published) < 0.06) for r, published in (("OPD", 0.536), ("RLVR", 0.735))]
    [True, True]
    """
    check_level(level)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < _FEWEST:
        raise SampleError(f"n={n!r} synthetic weights have no spread. Pass {_FEWEST} or more.")
    generator, seed = seeded(rng)
    published = _published()
    densities = published["update_density"]
    draws = np.array([[list(_draw(size, densities, generator)) for size in sizes] for _ in range(n)])
    shape = (n, len(sizes), len(WEIGHTS), len(_RECIPES), len(UPDATES), len(OVERLAPS))
    draws = draws.reshape(shape).transpose(0, 5, 3, 2, 1, 4)
    return null_result(
        {name: _cells(published[name], draws[:, i], sizes, level) for i, name in enumerate(OVERLAPS)},
        title="Published mask overlaps beside independent updates of the same density",
        estimand=f"Share of changed entries in a mask of {ALPHA:.0%} of W_0's entries.",
        method=(
            f"{n} synthetic weights of each kind and size, updates rounded to bf16, Student prediction interval on "
            "logarithms"
        ),
        conditions_on="the published densities, and a synthetic W_0: the published runs' own weights may differ.",
        cannot_see="how the published figures, means over 144 matrices, vary between matrices.",
        level=level,
        n_matrices=int(n),
        settings={"sizes": tuple(sizes), "n": int(n), "alpha": ALPHA},
        protocol="shen2026",
        protocol_hash=PROTOCOLS["shen2026"].hash,
        seed=seed,
    )


def _published() -> dict[str, dict[str, PublishedFigure]]:
    """Controlled figures by metric and recipe."""
    found: dict[str, dict[str, PublishedFigure]] = {}
    for figure in published_figures():
        if figure.kind == "controlled" and figure.alpha in (None, ALPHA) and figure.algorithm in _RECIPES:
            found.setdefault(figure.metric, {})[_RECIPES[figure.algorithm]] = figure
    return found


def _draw(size: int, densities: dict[str, PublishedFigure], rng: np.random.Generator) -> Iterator[float]:
    """Overlaps of one W_0 of each kind, for every recipe and law."""
    convention = PROTOCOLS["shen2026"].replace(alpha=ALPHA)
    for make in WEIGHTS.values():
        weight = make(size, size, rng)
        start = factored(weight)
        for recipe in _RECIPES.values():
            density = densities[recipe].value / 100
            for law in UPDATES.values():
                end = factored(_stored(weight, torch.from_numpy(law(rng, (size, size))), density))
                for name in OVERLAPS:
                    operands = {"initial": start, "updated": end}
                    yield float(evaluate(DIAGNOSTICS[name], operands, convention)[0])


def _stored(weight: Tensor, update: Tensor, density: float) -> Tensor:
    moved = weight.to(torch.float64) + update * scale_for_density(weight, update, density)
    return rounded(moved, torch.bfloat16)


def _cells(
    published: dict[str, PublishedFigure], draws: Floats, sizes: Sequence[int], level: float
) -> xr.Dataset:
    text = np.dtypes.StringDType()
    found = prediction(draws, (0.0, 1.0), level)
    coords: dict[str, Any] = {
        "recipe": np.array(list(_RECIPES.values()), dtype=text),
        "weights": np.array(list(WEIGHTS), dtype=text),
        "size": np.array(sizes, dtype=np.int64),
        "law": np.array(list(UPDATES), dtype=text),
    }
    values = np.array([published[recipe].value / 100 for recipe in _RECIPES.values()])
    arrays = {
        "observed": np.broadcast_to(values[:, None, None, None], found.mean.shape),
        "null_mean": found.mean,
        "null_sd": found.sd,
        "low": found.low,
        "high": found.high,
        "p_value": np.full_like(found.mean, np.nan),
        "reason": np.full(found.mean.shape, _NO_TEST, dtype=text),
    }
    return xr.Dataset({name: (tuple(coords), array) for name, array in arrays.items()}, coords)


def main(arguments: Sequence[str]) -> int:
    """Write the table and the figure: ``python -m geostat.nulls.published.comparison FOLDER``.

    Parameters
    ----------
    arguments : sequence of str
        The folder.

    Returns
    -------
    int
        Exit code: 2 where the call is wrong.
    """
    from geostat.nulls.published.files import write_published_null

    if len(arguments) != 1:
        print("usage: python -m geostat.nulls.published.comparison FOLDER", file=sys.stderr)
        return 2
    for path in write_published_null(published_null(), Path(arguments[0])):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
