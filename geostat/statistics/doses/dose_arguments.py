"""The doses of runs, and the margin on the scale on which differences are tested."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geostat.errors import SampleError
from geostat.statistics.doses.dose_contrasts import Variance
from geostat.statistics.doses.isotonic import Direction
from geostat.statistics.means.scales import Scale, choose_scale
from geostat.statistics.runs.aggregation import RunValues
from geostat.statistics.runs.arguments import Sample

__all__ = ["Doses", "doses_of", "margin_on", "scale_of"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Doses:
    """The doses of a call, and what is asked of them.

    Attributes
    ----------
    name : str
        Coordinate.
    reference : float
        Dose that the others are set against.
    direction : {"increasing", "decreasing", "both"}
        Of the metric with the dose.
    variance : {"separate", "pooled"}
        Standard errors.
    level : float
        Confidence level.
    n_resamples, seed : int
        Permutations and their seed.
    """

    name: str
    reference: float
    direction: Direction
    variance: Variance
    level: float
    n_resamples: int
    seed: int


def doses_of(sample: Sample, asked: Doses) -> tuple[Array, npt.NDArray[np.intp]]:
    """Doses in increasing order, and the place of every run among them.

    Parameters
    ----------
    sample : Sample
        One metric.
    asked : Doses
        Names the coordinate.

    Returns
    -------
    tuple of ndarray
        Doses and places.

    Raises
    ------
    SampleError
        If the coordinate is missing, is no number, or the reference is not at one end of it.
    """
    coord = sample.values.coords.get(asked.name)
    if coord is None or coord.dims != (sample.sample_dim,) or asked.name == sample.sample_dim:
        raise SampleError(
            f"doses={asked.name!r} is no coordinate along {sample.sample_dim!r} (found "
            f"{[str(c) for c, v in sample.values.coords.items() if v.dims == (sample.sample_dim,)]}). Attach the "
            f"dose of every run with data.assign_coords({asked.name}=({sample.sample_dim!r}, [...]))."
        )
    if coord.dtype.kind not in "fiu" or not np.isfinite(coord.values.astype(np.float64)).all():
        raise SampleError(
            f"doses={asked.name!r} holds {coord.values.tolist()}: doses must be finite numbers."
        )
    doses, places = np.unique(coord.values.astype(np.float64), return_inverse=True)
    if asked.reference not in doses:
        raise SampleError(f"reference={asked.reference!r} is not among the doses {doses.tolist()}.")
    if len(doses) < 2:
        raise SampleError(f"all runs have {asked.name} = {doses[0]:g}. Pass runs of two doses or more.")
    if asked.reference not in (doses[0], doses[-1]):
        raise SampleError(
            f"reference={asked.reference:g} lies between the doses {doses.tolist()}: the sequence of tests "
            "runs from one end outwards. Select the doses on one side of it and ask again for the other."
        )
    _check_recipes(sample, doses, places, asked.name)
    return doses, places.astype(np.intp)


def _check_recipes(sample: Sample, doses: Array, places: npt.NDArray[np.intp], name: str) -> None:
    recipes = sample.values.coords.get("recipe")
    if recipes is None or recipes.dims != (sample.sample_dim,):
        return
    for place, dose in enumerate(doses):
        found = sorted({str(recipe) for recipe in recipes.values[places == place]})
        if len(found) > 1:
            raise SampleError(
                f"{name} = {dose:g} has runs of the recipes {found}: their means would be mixed. Select one "
                "curve first, for example with data.isel(run=data['recipe'].isin([...]).values)."
            )


def margin_on(scale: Scale, margin: float) -> float:
    """Margin on the scale on which differences are tested.

    Parameters
    ----------
    scale : Scale
        Of the metric.
    margin : float
        In the metric's units, or a ratio.

    Returns
    -------
    float
        Half-width around a difference of 0.
    """
    return margin if scale.name == "identity" else float(np.log(margin))


def scale_of(name: str, run: RunValues, variable: str) -> Scale:
    """Scale of a metric; no other takes its place where it cannot be used.

    Parameters
    ----------
    name : str
        Asked for.
    run : RunValues
        One value per run.
    variable : str
        Metric.

    Returns
    -------
    Scale
        The one asked for.

    Raises
    ------
    SampleError
        If a value lies outside its domain or on its end.
    """
    scale, fallback = choose_scale(name, [run.values], variable)
    if fallback:
        raise SampleError(
            f"{variable}: scale={name!r} was asked for, but a run's value sits on its end, where it is infinite, "
            "and the margin was declared as a ratio. Use scale='identity' with a margin in the metric's units."
        )
    return scale
