"""p-values adjusted for having asked many questions: several steps, metrics or matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError
from geostat.results import LabelledResult
from geostat.statistics.means.equivalence_result import judged
from geostat.statistics.means.multiplicity_words import POINTWISE, adjustment_words

__all__ = ["Adjustment", "adjust", "adjust_p_values"]

Adjustment = Literal["holm", "benjamini-yekutieli"]
Array = npt.NDArray[np.float64]
AnyResult = TypeVar("AnyResult", bound=LabelledResult)

_ADJUSTED = {"p_value": "p_adjusted", "p_different": "p_different_adjusted"}
"""Quantities that are adjusted, each as a family of its own, and under which names."""


def adjust_p_values(p_values: npt.ArrayLike, method: Adjustment = "holm") -> Array:
    r"""p-values adjusted for their number.

    For the sorted p-values :math:`p_{(1)} \le \dots \le p_{(m)}`, Holm's (1979) step-down values are

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\},

    which bound the chance of *any* false rejection, and Benjamini and Yekutieli's (2001) step-up values

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min\Bigl\{1, \frac{m}{j} \sum_{k=1}^{m} \frac 1k\; p_{(j)}\Bigr\},

    which bound the expected *share* of false ones among the rejections. Both hold whatever the dependence
    between the tests, as between checkpoints of the same runs.

    Parameters
    ----------
    p_values : array_like
        Of any shape, one family; NaN is no test and is not counted.
    method : {"holm", "benjamini-yekutieli"}
        Which error is bounded.

    Returns
    -------
    ndarray
        Same shape.

    Raises
    ------
    SampleError
        If a p-value lies outside [0, 1] or the method is not known.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    try:
        values = np.asarray(p_values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SampleError(f"p_values={p_values!r} are no numbers. Pass p-values in [0, 1].") from error
    if method not in ("holm", "benjamini-yekutieli"):
        raise SampleError(f"method={method!r} is not known. Pass 'holm' or 'benjamini-yekutieli'.")
    if ((values < 0) | (values > 1)).any():
        raise SampleError(f"p-values lie in [0, 1], found {np.nanmin(values):g} to {np.nanmax(values):g}.")
    known = ~np.isnan(values)
    family = values[known]
    order = np.argsort(family, kind="stable")
    rank, m = np.arange(1, family.size + 1), family.size
    if method == "holm":
        ordered = np.maximum.accumulate((m - rank + 1) * family[order])
    else:
        scaled = np.sum(1 / rank) * m / rank * family[order]
        ordered = np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.full(values.shape, np.nan)
    family[order] = np.minimum(ordered, 1.0)
    adjusted[known] = family
    return adjusted


def adjust(
    result: AnyResult, method: Adjustment = "holm", *, over: str | Sequence[str] | None = None
) -> AnyResult:
    """Result with p-values adjusted for the number of its tests.

    Every cell with a p-value is a test. Only tests of one result can be counted: what was tried and not
    kept is not in it. Intervals are left as they are, pointwise; outcomes of `equivalence` are read off the
    adjusted p-values.

    Parameters
    ----------
    result : ComparisonResult or EquivalenceResult
        Or any labelled result with ``p_value``.
    method : {"holm", "benjamini-yekutieli"}
        As in `adjust_p_values`.
    over : str or sequence of str, optional
        Labels along which tests are counted together, among ``variable`` (the metrics) and the dimensions
        of the cells; by default all, one family. ``over="step"`` makes one family of every metric.

    Returns
    -------
    Same class as result
        With ``p_adjusted`` beside ``p_value``, and the adjustment in method, table and sentence.

    Raises
    ------
    SampleError
        If the result has no p-values, or adjusted ones already, or a label is not known.

    Examples
    --------
    >>> import xarray as xr
    >>> from geostat.statistics.means.comparison import compare
    >>> srank = xr.DataArray(
    ...     [[20.0, 31.0], [22.0, 33.0], [24.0, 32.0], [11.0, 30.0], [12.0, 33.0], [13.0, 32.0]],
    ...     dims=("run", "step"),
    ...     coords={"recipe": ("run", ["opd"] * 3 + ["rlvr"] * 3), "step": [10, 20]},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> found = adjust(compare(srank, "opd", "rlvr", dim=None))
    >>> found.quantity("p_adjusted").values.round(2).tolist()
    [0.01, 0.77]
    >>> found.sentence().endswith("p-values adjusted by Holm over 2 tests).")
    True
    """
    if not any("p_value" in cells for cells in result.cells.values()):
        raise SampleError(
            f"{type(result).__name__} holds no p-values to adjust. Pass what compare or equivalence gave."
        )
    if result.settings.get("adjusted"):
        raise SampleError("the p-values are adjusted already. Adjust the result as it was first given.")
    families = _families(result, over)
    cells = {name: own.copy() for name, own in result.cells.items()}
    for quantity, name in _ADJUSTED.items():
        if all(quantity in own for own in cells.values()):
            cells = _with_adjusted(cells, quantity, name, families, method)
    if any("p_different" in own for own in cells.values()):
        cells = {name: judged(own, result.level or 0.0) for name, own in cells.items()}
    chosen = None if over is None else [over] if isinstance(over, str) else list(over)
    counts = _counts(result, families)
    settings = {**result.settings, "adjusted": {"method": method, "over": chosen, "n_tests": counts}}
    told = adjustment_words(settings)
    return replace(
        result,
        cells=cells,
        method=f"{result.method}; {told}",
        assumptions=tuple(_reworded(text, told) for text in result.assumptions),
        settings=settings,
    )


def _families(result: LabelledResult, over: str | Sequence[str] | None) -> list[npt.NDArray[np.intp]]:
    """Positions among the result's rows of the tests that are counted together."""
    dims = list(dict.fromkeys(str(dim) for cells in result.cells.values() for dim in cells.dims))
    labels = ["variable", *dims]
    counted = labels if over is None else [over] if isinstance(over, str) else list(over)
    if unknown := [label for label in counted if label not in labels]:
        raise SampleError(f"over={unknown[0]!r} is no label of these cells. They are told apart by {labels}.")
    rows = result.rows()
    apart: dict[tuple[Any, ...], list[int]] = {}
    for position, row in enumerate(rows):
        key = tuple(row.get(label) for label in labels if label not in counted)
        apart.setdefault(key, []).append(position)
    return [np.array(positions) for positions in apart.values()]


def _with_adjusted(
    cells: Mapping[str, xr.Dataset],
    quantity: str,
    name: str,
    families: Sequence[npt.NDArray[np.intp]],
    method: Adjustment,
) -> dict[str, xr.Dataset]:
    whole = np.concatenate([own[quantity].values.ravel() for own in cells.values()])
    adjusted = np.full(whole.shape, np.nan)
    for family in families:
        adjusted[family] = adjust_p_values(whole[family], method)
    made, start = {}, 0
    for metric, own in cells.items():
        size = own[quantity].size
        part = adjusted[start : start + size].reshape(own[quantity].shape)
        made[metric] = own.assign({name: own[quantity].copy(data=part)})
        start += size
    return made


def _counts(result: LabelledResult, families: Sequence[npt.NDArray[np.intp]]) -> list[int]:
    whole = np.concatenate([own["p_value"].values.ravel() for own in result.cells.values()])
    return [int(np.isfinite(whole[family]).sum()) for family in families]


def _reworded(assumption: str, told: str) -> str:
    return f"intervals are pointwise; {told}" if assumption == POINTWISE else assumption
