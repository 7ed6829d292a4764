"""Two questions that are open in the literature, and how they are answered: declared before the runs were compared.

1. Does early capture predict final accuracy, beyond what the inputs capture? Over recipes, learning rates and seeds.
2. Does an intervention on the channel change accuracy: noise outside it, or letting the run out of it?
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.lab.baselines import ACTIVATIONS, SIDE
from geostat.lab.sufficiency_result import Sufficiency
from geostat.statistics import Analysis
from geostat.statistics.means.comparison_result import ComparisonResult
from geostat.statistics.means.equivalence_result import EquivalenceResult
from geostat.statistics.means.mean_result import MeanResult

__all__ = ["INTERVENTION", "PREDICTION", "correlations", "early_figures", "interventions", "prediction"]

Floats = npt.NDArray[np.float64]

EARLY = 0.2
"""Share of training at which a channel is early."""
MARGIN = 0.02
"""Difference in expected accuracy that does not matter."""

_EXCESS, _INPUTS, _MOVED, _PARTIAL = (
    "correlation_of_capture_excess",
    "correlation_of_activation_capture",
    "correlation_of_displacement",
    "correlation_of_capture_excess_given_displacement",
)

PREDICTION = Analysis(metrics=(_EXCESS, _INPUTS, _MOVED, _PARTIAL), dim=None, scale="identity").freeze()
"""Mean over seeds of correlations with final accuracy, each over all recipes and rates of one seed."""

INTERVENTION = Analysis(
    metrics=("gain",),
    contrasts=(
        ("reopened-16", "free"),
        ("noise_outside-16", "free"),
        ("noise_inside-16", "free"),
        ("noise_outside-16", "noise_inside-16"),
    ),
    margins={"gain": MARGIN},
    dim=None,
    settings={"compare": {"paired": True}, "equivalence": {"paired": True}},
).freeze()
"""Differences of twins of the same seed, and whether they are within two points of accuracy."""


def prediction(masters: xr.Dataset) -> Mapping[str, MeanResult]:
    """Answer the first question, as declared in `PREDICTION`.

    Parameters
    ----------
    masters : xarray.Dataset
        Of `geostat.lab.measured_runs`, from fp32 checkpoints: every recipe and rate for every seed.

    Returns
    -------
    mapping of str to MeanResult
        Correlation of final accuracy with the excess of early capture over that of the inputs; with the inputs' own;
        with the early displacement (its logarithm); and with the excess, given the displacement. Intervals are over
        seeds.

    Raises
    ------
    SampleError
        If recipes are missing for some seeds, or there are fewer than four.
    """
    found = correlations(masters)
    return {str(name): PREDICTION.mean_ci(found[name]) for name in found.data_vars}


def correlations(masters: xr.Dataset) -> xr.Dataset:
    """Correlations of each seed, over its recipes and rates.

    Seeds have an anchor each, from which all their runs start: what differs between the runs of one seed is the recipe
    and the rate.

    Parameters
    ----------
    masters : xarray.Dataset
        As in `prediction`.

    Returns
    -------
    xarray.Dataset
        Dim run, one for each seed: the metrics of `PREDICTION`.
    """
    of_seed = _by_seed(early_figures(masters).assign(accuracy=masters["accuracy"]))
    rows = [_of_seed({str(name): each[name].values for name in each.data_vars}) for each in of_seed.values()]
    labels = np.array([f"seed-{seed}" for seed in of_seed], dtype=np.dtypes.StringDType())
    return xr.Dataset(
        {name: ("run", [row[name] for row in rows], {"units": "1"}) for name in rows[0]},
        {
            "run": labels,
            "recipe": ("run", np.array(["all"] * len(rows), dtype=np.dtypes.StringDType())),
            "seed": ("run", list(of_seed)),
        },
    )


def early_figures(masters: xr.Dataset) -> xr.Dataset:
    """What may foretell the end of a run: its means over matrices at a fifth of training.

    Parameters
    ----------
    masters : xarray.Dataset
        As in `prediction`.

    Returns
    -------
    xarray.Dataset
        Dim run: ``excess`` of the capture of what is still to come over that of the inputs, ``inputs``, and ``moved``,
        the logarithm of the relative update norm.
    """
    early = _early(masters)
    inputs = early[f"future_capture{ACTIVATIONS}"]
    return xr.Dataset(
        {
            "excess": early["future_capture"].sel(side=SIDE, drop=True) - inputs,
            "inputs": inputs,
            "moved": np.log(early["relative_update_norm"]),
        }
    ).mean("matrix")


def _early(masters: xr.Dataset) -> xr.Dataset:
    """Every run at the first of its checkpoints from a fifth of training on."""
    progress = masters["progress"].transpose("run", "step").values
    place = [int(np.flatnonzero(row >= EARLY - 1e-9)[0]) for row in progress]
    return masters.isel(step=xr.DataArray(place, dims="run"))


def _by_seed(table: xr.Dataset) -> dict[int, xr.Dataset]:
    seeds = sorted({int(seed) for seed in table["seed"].values})
    found = {seed: table.isel(run=np.flatnonzero(table["seed"].values == seed)) for seed in seeds}
    recipes = {seed: sorted(map(str, each["recipe"].values)) for seed, each in found.items()}
    if len({tuple(each) for each in recipes.values()}) > 1 or len(recipes[seeds[0]]) < 4:
        raise SampleError(
            f"each seed needs the same recipes, four or more of them, but there are {recipes}. Train what is missing."
        )
    return found


def _of_seed(values: Mapping[str, Floats]) -> dict[str, float]:
    with_accuracy = {name: _correlation(each, values["accuracy"]) for name, each in values.items()}
    left = {name: _residual(values[name], values["moved"]) for name in ("excess", "accuracy")}
    return {
        _EXCESS: with_accuracy["excess"],
        _INPUTS: with_accuracy["inputs"],
        _MOVED: with_accuracy["moved"],
        _PARTIAL: _correlation(left["excess"], left["accuracy"]),
    }


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")


def _residual(values: Floats, given: Floats) -> Floats:
    """What a line in another variable leaves."""
    values, given = values - values.mean(), given - given.mean()
    return values - given * (given @ values) / (given @ given)


def interventions(
    sufficiency: Sufficiency, recipe: str
) -> Sequence[tuple[ComparisonResult, EquivalenceResult]]:
    """Answer the second question for one recipe, as declared in `INTERVENTION`.

    Parameters
    ----------
    sufficiency : Sufficiency
        With the arms ``reopened-16``, ``noise_inside-16`` and ``noise_outside-16``.
    recipe : str
        Which.

    Returns
    -------
    sequence of (ComparisonResult, EquivalenceResult)
        One pair for each contrast.

    Raises
    ------
    SampleError
        If there is no such recipe or arm.
    """
    flat = sufficiency.by_arm("gain", recipe)
    return [
        (INTERVENTION.compare(flat, a, b), INTERVENTION.equivalence(flat, a, b))
        for a, b in INTERVENTION.analysis.contrasts
    ]
