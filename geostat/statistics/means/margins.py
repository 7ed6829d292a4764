"""Margins of equivalence: differences that do not matter, in a metric's units or as a ratio."""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.means.scales import Scale
from geostat.statistics.runs.arguments import Sample, as_number
from geostat.statistics.words.notices import Notice

__all__ = ["Margin", "MarginLike", "margin_of", "too_wide"]

MarginLike: TypeAlias = float | tuple[float, float]


class Margin(NamedTuple):
    """The open interval of contrasts that count as equivalent.

    Attributes
    ----------
    low, high : float
        In the metric's units around 0, or ratios around 1.
    """

    low: float
    high: float

    def words(self, scale: Scale) -> str:
        """Say the margin with its kind.

        Parameters
        ----------
        scale : Scale
            On which it was declared.

        Returns
        -------
        str
            ``"differences in (-0.5, 0.5)"``.
        """
        kind = {"identity": "differences", "log": "ratios", "logit": "odds ratios"}[scale.name]
        return f"{kind} in ({self.low:.6g}, {self.high:.6g})"


def margin_of(
    given: MarginLike | Mapping[str, MarginLike], scale: Scale, name: str, n_metrics: int
) -> Margin:
    """Read the margin of one metric.

    Parameters
    ----------
    given : float, tuple or mapping of str to one
        Argument ``margin``.
    scale : Scale
        Identity takes a difference, the others a ratio.
    name : str
        The metric.
    n_metrics : int
        Metrics of the call; several need a mapping.

    Returns
    -------
    Margin
        Both ends.

    Raises
    ------
    SampleError
        If it declares no margin around "no difference".
    """
    if not isinstance(given, Mapping) and n_metrics > 1:
        raise SampleError(
            f"margin={given!r} is one margin for {n_metrics} metrics, which have their own units. "
            "Pass {metric: margin}."
        )
    own = given.get(name) if isinstance(given, Mapping) else given
    if own is None:
        raise SampleError(f"margin names no margin for {name}. Pass one for each metric, or select metrics.")
    centre = 0.0 if scale.name == "identity" else 1.0
    low, high = _ends(own, centre)
    if not (math.isfinite(low) and math.isfinite(high) and low < centre < high and (centre == 0 or low > 0)):
        raise SampleError(f"margin={own!r} for {name} declares no margin. {_wanted(scale)}")
    return Margin(low, high)


def _ends(own: MarginLike, centre: float) -> tuple[float, float]:
    try:
        if isinstance(own, tuple | list | np.ndarray):
            low, high = (as_number("margin", end) for end in own)
            return low, high
        single = as_number("margin", own)
    except (SampleError, ValueError):
        return math.nan, math.nan
    if centre == 0:
        return -single, single
    return (1 / single if single else math.nan), single


def _wanted(scale: Scale) -> str:
    if scale.name == "identity":
        return (
            "Pass the largest difference that does not matter, in the metric's units, above 0; "
            "or (low, high) around 0."
        )
    return (
        f"On the {scale.name} scale it is a ratio: pass the largest that does not matter, above 1 "
        "(1.1 stands for 1/1.1 to 1.1); or (low, high) around 1."
    )


def too_wide(sample: Sample, margin: Margin, scale: Scale, reference: float | None) -> list[Notice]:
    """Notice a margin that is wider than everything that was measured.

    Parameters
    ----------
    sample : Sample
        All of the metric, whatever matrix, step or recipe.
    margin : Margin
        Declared.
    scale : Scale
        On which it was declared.
    reference : float or None
        What one recipe is set against.

    Returns
    -------
    list of Notice
        Empty where the data range further than the margin.
    """
    low, high = _range(sample.values, scale, reference)
    span = float(scale.contrast_inverse(high - low))
    reach = min(margin.high, -margin.low if scale.name == "identity" else 1 / margin.low)
    if not (span > 0 and reach > span):
        return []
    what = "range" if scale.name == "identity" else "ratio of largest to smallest value"
    return [
        Notice(
            GeostatWarning,
            f"{sample.name}: the margin ({margin.words(scale)}) is larger than the whole {what} of the data, "
            f"{span:.4g}: any two of these values would count as equivalent. "
            "Check that it was declared for this metric, in its units.",
        )
    ]


def _range(values: xr.DataArray, scale: Scale, reference: float | None) -> tuple[float, float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        placed = scale.forward(values)
    placed = placed.where(np.isfinite(placed))
    low, high = float(placed.min().compute()), float(placed.max().compute())
    if reference is None:
        return low, high
    at = float(scale.forward(np.float64(reference)))
    return min(low, at), max(high, at)
