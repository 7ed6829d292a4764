"""Scales on which runs are averaged: identity, log, logit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError

__all__ = ["SCALES", "Scale", "ScaleName", "choose_scale", "on_scales"]

ScaleName = Literal["identity", "log", "logit"]
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


def choose_scale(name: str, groups: Sequence[xr.DataArray], variable: str) -> tuple[Scale, str]:
    """Pick the scale, or fall back to identity where a value sits on its end.

    Parameters
    ----------
    name : str
        ``"identity"``, ``"log"`` or ``"logit"``.
    groups : sequence of xarray.DataArray
        One value per run and cell, for every group of runs.
    variable : str
        Name of the metric, for messages.

    Returns
    -------
    tuple of Scale and str
        The scale, and a warning when it is not the one asked for.

    Raises
    ------
    SampleError
        If the scale is unknown or a value lies outside its domain.
    """
    if name not in SCALES:
        raise SampleError(f"scale={name!r} is not known. Pass one of {', '.join(SCALES)}.")
    scale = SCALES[name]
    if not scale.ends:
        return scale, ""
    low, high = scale.ends[0], scale.ends[1] if len(scale.ends) > 1 else np.inf
    flat = np.concatenate([group.values.ravel() for group in groups])
    outside = flat[(flat < low) | (flat > high)]
    if outside.size:
        raise SampleError(
            f"{variable}: scale={name!r} needs values in [{low:g}, {high:g}], found {outside.min():g}. "
            "Use scale='identity'."
        )
    hits = int(np.isin(flat, scale.ends).sum())
    if not hits:
        return scale, ""
    where = " or ".join(f"{end:g}" for end in scale.ends)
    return SCALES["identity"], (
        f"{variable}: {hits} of the runs' values are exactly {where}, where the {name} scale is infinite. "
        "The identity scale is used instead, for all cells of this metric."
    )


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
