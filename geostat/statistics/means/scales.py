"""Scales on which runs are averaged: identity, log, logit, by choice or from a metric's bounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.results import Variable

__all__ = ["SCALES", "Scale", "ScaleChoice", "ScaleName", "choose_scale", "on_scales", "scale_of_bounds"]

ScaleName = Literal["identity", "log", "logit"]
ScaleChoice = Literal["auto", "identity", "log", "logit"]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """A monotone map, its inverse, and what a mean on it is called.

    Attributes
    ----------
    name : str
        Identifier.
    forward, inverse : callable
        On float64 arrays.
    mean : str
        What the back-transformed mean is called.
    contrast : str
        What the back-transformed difference of two means is called.
    contrast_inverse : callable
        From a difference on the scale to that contrast.
    ends : tuple of float
        Values on which the map is infinite.
    """

    name: ScaleName
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    mean: str
    contrast: str
    contrast_inverse: Callable[[Any], Any]
    ends: tuple[float, ...]


def _same(values: Any) -> Any:
    return values


SCALES: dict[str, Scale] = {
    "identity": Scale("identity", _same, _same, "mean", "difference of means", _same, ()),
    "log": Scale("log", np.log, np.exp, "geometric mean", "ratio of geometric means", np.exp, (0.0,)),
    "logit": Scale(
        "logit",
        lambda p: np.log(p) - np.log1p(-p),
        lambda z: 1 / (1 + np.exp(-z)),
        "logit mean",
        "odds ratio of logit means",
        np.exp,
        (0.0, 1.0),
    ),
}


def scale_of_bounds(variable: Variable) -> ScaleName:
    """Scale on which a metric's bounds lie at infinity.

    Parameters
    ----------
    variable : Variable
        With the bounds that theory gives it.

    Returns
    -------
    {"identity", "log", "logit"}
        Logit between 0 and 1; log for any other metric that is never negative; otherwise identity, also
        where the data carry no bounds.

    Examples
    --------
    >>> scale_of_bounds(Variable("update_sparsity", valid_min=0.0, valid_max=1.0))
    'logit'
    >>> scale_of_bounds(Variable("stable_rank", valid_min=1.0))
    'log'
    """
    low, high = variable.valid_min, variable.valid_max
    if low is None or low < 0:
        return "identity"
    return "logit" if high == 1 else "log"


def choose_scale(
    name: str, groups: Sequence[xr.DataArray], variable: str, bounds: Variable | None = None
) -> tuple[Scale, str]:
    """Pick the scale, or fall back to identity where a value sits on its end.

    Parameters
    ----------
    name : str
        ``"identity"``, ``"log"``, ``"logit"``, or ``"auto"`` for the one that the metric's bounds ask for.
    groups : sequence of xarray.DataArray
        One value per run and cell, for every group of runs.
    variable : str
        Name of the metric, for messages.
    bounds : Variable, optional
        The metric, for ``"auto"``.

    Returns
    -------
    tuple of Scale and str
        The scale, and a warning when it is not the one asked for.

    Raises
    ------
    SampleError
        If the scale is unknown, or a value lies outside the domain of one that was asked for by name.
    """
    asked = scale_of_bounds(bounds) if name == "auto" and bounds is not None else name
    if asked not in SCALES:
        raise SampleError(f"scale={name!r} is not known. Pass one of auto, {', '.join(SCALES)}.")
    scale = SCALES[asked]
    if not scale.ends:
        return scale, ""
    low, high = scale.ends[0], scale.ends[1] if len(scale.ends) > 1 else np.inf
    flat = np.concatenate([group.values.ravel() for group in groups])
    outside = flat[(flat < low) | (flat > high)]
    if outside.size and name != "auto":
        raise SampleError(
            f"{variable}: scale={name!r} needs values in [{low:g}, {high:g}], found {outside.min():g}. "
            "Use scale='identity'."
        )
    hits = int(np.isin(flat, scale.ends).sum())
    if not hits and not outside.size:
        return scale, ""
    where = " or ".join(f"{end:g}" for end in scale.ends)
    found = f"exactly {where}, where the {asked} scale is infinite"
    if outside.size:
        found = f"{where} or beyond (found {outside.min():g}), where there is no {asked} scale"
    told = (
        f"{variable}: {hits + outside.size} of the runs' values are {found}. "
        "The identity scale is used instead, for all cells of this metric."
    )
    # An infinite value is told by the reason of its cell.
    return SCALES["identity"], told if hits or np.isfinite(outside).any() else ""


def on_scales(method: str, scales: Mapping[str, Scale]) -> str:
    """Name the scales that a method was used on, where they are not all identity.

    Parameters
    ----------
    method : str
        For example ``"t-interval over runs"``.
    scales : mapping of str to Scale
        Metric -> scale actually used.

    Returns
    -------
    str
        The method with its scales.

    Examples
    --------
    >>> on_scales("t-interval", {"a": SCALES["log"]})
    't-interval on the log scale'
    """
    used: dict[str, list[str]] = {}
    for metric, scale in scales.items():
        used.setdefault(scale.name, []).append(metric)
    if list(used) == ["identity"]:
        return method
    if len(used) == 1:
        return f"{method} on the {next(iter(used))} scale"
    return f"{method} on the " + " and the ".join(f"{n} scale ({', '.join(m)})" for n, m in used.items())
