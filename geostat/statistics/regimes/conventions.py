"""Whether data were measured as the published values were: other conventions are refused, not converted."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from geostat.protocols import PROTOCOLS
from geostat.statistics.regimes.boundaries import Boundaries, MetricCuts
from geostat.statistics.runs.arguments import Sample

__all__ = ["UNSTATED", "comparable", "convention_of", "differing_settings", "one_alpha"]

BF16_STEP = 2.0**-8
"""Relative distance of two bf16 numbers: every smaller tolerance finds the same changed entries."""

UNSTATED = "the data do not state their convention; they are taken to follow that of the boundaries"


def convention_of(data: xr.Dataset) -> Mapping[str, Any]:
    """Settings under which data were measured, as far as their attributes say.

    Parameters
    ----------
    data : xarray.Dataset
        With attribute ``protocol_settings``, or ``protocol_hash`` of a preset.

    Returns
    -------
    mapping
        Empty where they do not say.
    """
    try:
        settings = json.loads(str(data.attrs.get("protocol_settings", "")))
    except json.JSONDecodeError:
        settings = None
    if isinstance(settings, dict):
        return settings
    hashed = data.attrs.get("protocol_hash")
    presets = [json.loads(p.to_json()) for p in PROTOCOLS.values() if p.hash == hashed]
    return presets[0] if presets else {}


def one_alpha(sample: Sample, alpha: Any) -> Sample:
    """Take the mask size that the boundaries are about, where the data hold several.

    Parameters
    ----------
    sample : Sample
        One metric.
    alpha : float or None
        Share of entries in a mask.

    Returns
    -------
    Sample
        Without dim ``alpha`` if that share is among its values.
    """
    values = sample.values
    if alpha is None or "alpha" not in values.dims or "alpha" not in values.coords:
        return sample
    (place,) = np.nonzero(np.isclose(values["alpha"].values, alpha))
    return replace(sample, values=values.isel(alpha=int(place[0]))) if len(place) else sample


def comparable(
    sample: Sample, metric: MetricCuts, boundaries: Boundaries, stated: Mapping[str, Any]
) -> tuple[Sample, str]:
    """Select what follows the convention of the boundaries.

    Parameters
    ----------
    sample : Sample
        One metric.
    metric : MetricCuts
        What the boundaries say of it.
    boundaries : Boundaries
        With their convention.
    stated : mapping
        What `convention_of` gave.

    Returns
    -------
    tuple of Sample and str
        The part that can be compared, and why nothing can (empty where it can).
    """
    chosen = one_alpha(sample, boundaries.convention.get("alpha") if "alpha" in metric.settings else None)
    chosen = _comparable_eta(chosen, metric, boundaries)
    problems = differing_settings(chosen, metric, boundaries, stated)
    return chosen, "; ".join(problems)


def differing_settings(
    sample: Sample, metric: MetricCuts, boundaries: Boundaries, stated: Mapping[str, Any]
) -> list[str]:
    """Settings in which a metric was measured otherwise.

    Parameters
    ----------
    sample, metric, boundaries, stated
        As in `comparable`.

    Returns
    -------
    list of str
        One text each; empty when the values can be compared.
    """
    found = [_setting(sample, name, boundaries.convention, stated) for name in metric.settings]
    return [
        text for text in [*found, _capped(sample, metric, boundaries), _weighting(sample, metric)] if text
    ]


def _comparable_eta(sample: Sample, metric: MetricCuts, boundaries: Boundaries) -> Sample:
    values = sample.values
    if "eta" not in values.dims or "eta" not in values.coords or "eta" not in metric.settings:
        return sample
    allowed = [i for i, eta in enumerate(values["eta"].values) if _same_eta(eta, boundaries.convention)]
    return replace(sample, values=values.isel(eta=allowed)) if allowed else sample


def _same_eta(eta: float, convention: Mapping[str, Any]) -> bool:
    """In bf16 all relative tolerances below the step between two numbers are one."""
    wanted = float(convention["eta"])
    rounded = convention.get("space") == "bf16" and convention.get("rule") == "relative"
    return bool(np.isclose(eta, wanted)) or (rounded and 0 <= eta < BF16_STEP and wanted < BF16_STEP)


def _setting(sample: Sample, name: str, convention: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    if name not in convention:
        return ""
    wanted = convention[name]
    found = _values_of(sample, name, stated)
    if name == "eta" and all(_same_eta(float(value), convention) for value in found):
        return ""
    if all(_equal(value, wanted) for value in found):
        return ""
    shown = ", ".join(f"{value}" for value in found)
    return f"measured with {name} {shown}, the boundaries with {wanted}"


def _values_of(sample: Sample, name: str, stated: Mapping[str, Any]) -> list[Any]:
    """Values of a setting: what the array is labelled with, or what the protocol says."""
    coord = sample.values.coords.get(name)
    if coord is not None and set(coord.dims) <= {name}:
        return list(np.atleast_1d(coord.values).tolist())
    value = stated.get(name)
    several = value if isinstance(value, list | tuple) else [value]
    return [each for each in several if each is not None]


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return bool(np.isclose(value, wanted, rtol=1e-9)) and isinstance(value, int) == isinstance(
            wanted, int
        )
    return bool(value == wanted)


def _capped(sample: Sample, metric: MetricCuts, boundaries: Boundaries) -> str:
    """Small matrices do not have as many directions as the boundaries are about."""
    for name in ("k", "r"):
        used = sample.values.coords.get(f"{name}_used")
        if name not in metric.settings or used is None:
            continue
        wanted = boundaries.convention.get(name)
        smallest = int(used.min())
        if wanted is not None and smallest < wanted:
            return f"{name} was capped at {smallest} on small matrices, the boundaries are about {wanted}"
    return ""


def _weighting(sample: Sample, metric: MetricCuts) -> str:
    if sample.dim is None or sample.weighting == metric.weighting:
        return ""
    sizes = sample.values.coords.get("n_params")
    if sizes is not None and bool((sizes == sizes[0]).all()):
        return ""
    return f"averaged by {sample.weighting}, the boundaries by {metric.weighting}"
