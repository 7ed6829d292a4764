"""Which metric a verdict on locking rests on, what it refuses, and how both sides become one curve."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.locking.bands import AtLeast, Band, at_least
from geostat.statistics.locking.brackets import declared_band
from geostat.statistics.locking.curves import RunCurves
from geostat.statistics.words.notices import Notice

__all__ = ["CAPTURES", "THRESHOLD", "Sides", "both_sides", "identifier_of", "lock_band", "lock_metric"]

CAPTURES = ("forward_capture", "future_capture", "past_next_similarity")
"""Metrics of disjoint stretches of training, which diffusion alone can raise on one side."""

THRESHOLD = 0.5
"""Capture from which a channel is said to hold what comes next: half of what the best one would."""

_SELF_REFERENCE = {
    "similarity_to_end": "compares a checkpoint with the run's own end, of which it is a part: a random walk "
    "rises to 1 as well",
    "lagged_similarity": "compares cumulative updates that share their past: a random walk rises to 1 as well",
}


def identifier_of(metric: xr.DataArray) -> str:
    """Diagnostic that a metric is.

    Parameters
    ----------
    metric : xarray.DataArray
        With attribute ``diagnostic`` or a name.

    Returns
    -------
    str
        Its identifier.
    """
    return str(metric.attrs.get("diagnostic", metric.name))


def lock_metric(data: xr.DataArray | xr.Dataset) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Metric that a verdict rests on, and the size of the update beside it.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A metric, or a measurement that holds forward capture.

    Returns
    -------
    tuple of DataArray and DataArray or None
        The metric; ``relative_update_norm`` or ``update_norm`` where the measurement has one.

    Raises
    ------
    SampleError
        If a dataset lacks forward capture, or it is no labelled array.
    """
    if isinstance(data, xr.DataArray):
        return data, None
    if not isinstance(data, xr.Dataset):
        raise SampleError(
            f"data is a {type(data).__name__}. Pass a measurement with forward_capture, or one metric as DataArray."
        )
    if "forward_capture" not in data:
        raise SampleError(
            f"the dataset has no forward_capture, only {list(data.data_vars)}. Measure it, or pass one metric "
            "with its declared reference and margin: locking_onset(data['stable_rank'], reference=..., margin=...)."
        )
    told = {key: data.attrs[key] for key in ("protocol", "protocol_hash") if key in data.attrs}
    norms = [data[name] for name in ("relative_update_norm", "update_norm") if name in data]
    return data["forward_capture"].assign_attrs(told), norms[0] if norms else None


def lock_band(
    metric: xr.DataArray,
    reference: float | AtLeast | Literal["final"] | None,
    margin: float | None,
    allow_self_reference: bool,
    dim: str | None = None,
) -> tuple[Band, list[Notice]]:
    """Band of a verdict, after refusing metrics that carry no inference.

    Parameters
    ----------
    metric : xarray.DataArray
        The metric.
    reference : float, AtLeast, "final" or None
        None for a capture of at least one half.
    margin : float or None
        Half-width in the metric's units.
    allow_self_reference : bool
        Whether the caller insists on a metric that is compared with its own end.
    dim : str, optional
        What every run is averaged over.

    Returns
    -------
    tuple of Band and list of Notice
        The band, and what is wrong with it.

    Raises
    ------
    SampleError
        If nothing is declared, the metric is its own reference, or the sides of a capture would get lost.
    """
    name = identifier_of(metric)
    if reference is None and name in _SELF_REFERENCE and not allow_self_reference:
        raise SampleError(_refusal(name, _SELF_REFERENCE[name]))
    if reference is None and name != "forward_capture":
        raise SampleError(
            f"{name} has no band of its own. Declare it: reference=... with margin=... in its units, or "
            "reference=at_least(x). Without it only forward_capture is judged, against one half."
        )
    band = declared_band(at_least(THRESHOLD) if reference is None else reference, margin)
    why = _SELF_REFERENCE.get(name, "")
    if name in CAPTURES and band.reference == "final":
        why = "against its own end would enter the band when it is 0 throughout"
    if why and not allow_self_reference:
        raise SampleError(_refusal(name, why))
    if name in CAPTURES:
        _check_sides(name, band, dim)
    return band, _notices(name, why)


def _refusal(name: str, why: str) -> str:
    return (
        f"{name} {why}, so no verdict on locking rests on it. Use forward_capture (both sides) against "
        "at_least(0.5); lock_brackets describes this metric. allow_self_reference=True overrides, and says so."
    )


def _check_sides(name: str, band: Band, dim: str | None) -> None:
    """Refuse what would judge each side by itself, or neither."""
    if dim == "side":
        raise SampleError(
            f"dim='side' would average the sides of {name}, of which both have to be high. Pass dim='matrix' or None."
        )
    if not isinstance(band.reference, AtLeast | str):
        raise SampleError(
            f"{name} {band.words} would be judged on each side by itself, and diffusion alone can be there on one. "
            "Pass a threshold for both sides, reference=at_least(x); lock_brackets describes a band."
        )


def _notices(name: str, why: str) -> list[Notice]:
    if why:
        return [
            Notice(GeostatWarning, f"{name} {why}; allow_self_reference=True was passed. It is no evidence.")
        ]
    if name in CAPTURES:
        return []
    text = f"{name}: cumulative metrics settle under a decaying learning rate whether or not a channel has formed."
    return [Notice(GeostatWarning, text)]


@dataclass(frozen=True)
class Sides:
    """Curves of a metric, with the sides of a capture taken together.

    Attributes
    ----------
    together : RunCurves
        At or above the threshold exactly where a run counts as locked.
    single : dict of str to RunCurves
        Each side by itself; empty where a verdict needs no sides.
    complete : bool
        Whether what is given suffices for "locked".
    words : str
        What stands for a run, to follow the metric's name.
    """

    together: RunCurves
    single: dict[str, RunCurves]
    complete: bool
    words: str


def both_sides(
    curves: RunCurves, name: str, band: Band, diffusion: float | npt.ArrayLike | xr.DataArray | None
) -> Sides:
    """Take the sides of a capture together: a run is inside where both are.

    Given the matched diffusion null, the right side alone suffices where it lies above that null.

    Parameters
    ----------
    curves : RunCurves
        Runs first, steps last.
    name : str
        Diagnostic.
    band : Band
        A threshold, where sides matter.
    diffusion : float, array over step, or None
        Upper quantile of the right capture under matched diffusion.

    Returns
    -------
    Sides
        Of all runs.

    Raises
    ------
    SampleError
        If the null does not fit the steps, or the sides are not left and right.
    """
    if name not in CAPTURES or not isinstance(band.reference, AtLeast):
        if diffusion is not None:
            raise SampleError(
                f"diffusion_capture says how far diffusion raises a capture, but the metric is {name} with "
                f"{band.words}. Leave it out, or pass forward_capture."
            )
        return Sides(curves, {}, True, "")
    single = _split(curves)
    shifted = _above_null(single.get("right"), band.reference.threshold, diffusion)
    if "left" in single and "right" in single:
        left, right = single["left"].values, single["right"].values
        either = left if shifted is None else _larger(left, shifted)
        together = right.where(right <= either, either).where(right.notnull() & either.notnull())
        together = together.transpose(*right.dims)
        words = (
            "on both sides"
            if shifted is None
            else "on both sides, or on the right one above the diffusion null"
        )
        return Sides(replace(single["right"], values=together), single, True, words)
    (side, alone) = next(iter(single.items()))
    unknown = not _names_sides(curves.values)
    if shifted is not None:
        named = "one side, taken for the right one" if unknown else "the right side"
        return Sides(replace(alone, values=shifted), single, True, f"on {named}, above the diffusion null")
    named = "one side alone, of which the data do not say which" if unknown else f"the {side} side alone"
    return Sides(alone, single, False, f"on {named}")


def _names_sides(values: xr.DataArray) -> bool:
    return "side" in values.coords


def _larger(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    return first.where((first >= second) | second.isnull(), second)


def _split(curves: RunCurves) -> dict[str, RunCurves]:
    # An infinite capture is none: it must not hide behind the smaller one of the other side.
    values = curves.values.where(curves.values < np.inf, -np.inf).where(curves.values.notnull())
    curves = replace(curves, values=values)
    if "side" in values.dims:
        names = [str(side) for side in values["side"].values] if "side" in values.coords else []
        if not set(names) <= {"left", "right"} or len(set(names)) < len(names) or not names:
            raise SampleError(f"dimension side holds {names or 'no labels'}: expected 'left' and 'right'.")
        return {side: _at_side(curves, i) for i, side in enumerate(names)}
    side = str(values["side"].item()) if "side" in values.coords and not values["side"].dims else "right"
    return {side: replace(curves, values=values.drop_vars("side", errors="ignore"))}


def _at_side(curves: RunCurves, position: int) -> RunCurves:
    matrices = curves.n_matrices
    own = matrices.isel(side=position, drop=True) if "side" in matrices.dims else matrices
    return replace(curves, values=curves.values.isel(side=position, drop=True), n_matrices=own)


def _above_null(
    right: RunCurves | None, threshold: float, diffusion: float | npt.ArrayLike | xr.DataArray | None
) -> xr.DataArray | None:
    """Right capture lowered so that it meets the threshold where it meets the null too."""
    if diffusion is None:
        return None
    if right is None:
        raise SampleError(
            "diffusion_capture speaks of the right capture, but the data hold the left side only."
        )
    excess = (_null_over_steps(diffusion, right.values) - threshold).clip(min=0.0)
    return (right.values - excess).transpose(*right.values.dims)


def _null_over_steps(diffusion: float | npt.ArrayLike | xr.DataArray, values: xr.DataArray) -> xr.DataArray:
    steps = values["step"]
    if isinstance(diffusion, xr.DataArray) and "step" in diffusion.dims:
        null = diffusion.astype(np.float64).reindex(step=steps.values)
        defined = values.notnull().any([d for d in values.dims if d != "step"])
        missing = steps.values[(null.isnull() & defined).values]
        if null.dims != ("step",) or missing.size:
            raise SampleError(
                f"diffusion_capture has dims {list(diffusion.dims)} and lacks steps {missing.tolist()[:5]}. "
                "Pass one number, or one for every step of the data."
            )
        return null.drop_vars([c for c in null.coords if c != "step"])
    try:
        numbers = np.asarray(diffusion, dtype=np.float64)
    except (TypeError, ValueError):
        raise SampleError(
            f"diffusion_capture={diffusion!r} is no number. Pass one number, or one for every step of the data."
        ) from None
    if (
        numbers.ndim > 1
        or (numbers.ndim == 1 and numbers.size != steps.size)
        or not np.isfinite(numbers).all()
    ):
        raise SampleError(
            f"diffusion_capture has shape {numbers.shape} for {steps.size} steps, or is not finite. Pass one number, "
            "or one for every step of the data."
        )
    return xr.DataArray(
        np.broadcast_to(numbers, steps.shape).copy(), dims="step", coords={"step": steps.values}
    )
