"""What a procedure answered about simulated studies, and whether that was right."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import SampleError

__all__ = ["Answers", "Scores", "joined", "read_answers", "score", "together"]

Array = npt.NDArray[np.float64]
Numbers = xr.DataArray | None


@dataclass(frozen=True)
class Answers:
    """Interval ends and declarations; None where a procedure gives none.

    Attributes
    ----------
    low, high : xarray.DataArray or None
        NaN where there is no interval.
    declared : xarray.DataArray or None
        Whether the claim was made: 1 or 0.
    """

    low: Numbers
    high: Numbers
    declared: Numbers

    @property
    def per_replicate(self) -> bool:
        """Whether every part has a value for each replicate."""
        return all("replicate" in part.dims for part in self.parts())

    def parts(self) -> list[xr.DataArray]:
        """The parts that there are."""
        return [part for part in (self.low, self.high, self.declared) if part is not None]


@dataclass(frozen=True)
class Scores:
    """One number per replicate; several cells of one answer, such as steps, are averaged.

    Attributes
    ----------
    covered, width : ndarray
        Over the intervals that there are; NaN where there is none.
    answered, declared : ndarray
        Shares; `declared` is NaN for a procedure that declares nothing.
    """

    covered: Array
    width: Array
    answered: Array
    declared: Array


def read_answers(result: Any, level: float) -> Answers:
    """Read what a procedure returned.

    Parameters
    ----------
    result : object
        A pair (low, high), or anything with ``low`` and ``high``, ``p_value`` or ``declared``, as
        attributes or keys.
    level : float
        A p-value up to 1 - level declares.

    Returns
    -------
    Answers
        Labelled.

    Raises
    ------
    SampleError
        If there is neither an interval nor a declaration.
    """
    if isinstance(result, tuple) and len(result) == 2:
        return Answers(_labelled(result[0]), _labelled(result[1]), None)
    low, high = (_labelled(_part(result, name)) for name in ("low", "high"))
    declared = _labelled(_part(result, "declared"))
    p = _labelled(_part(result, "p_value"))
    if declared is None and p is not None:
        declared = (p <= 1 - level).astype(np.float64)
    if declared is None and (low is None or high is None):
        raise SampleError(
            f"the procedure returned a {type(result).__name__} without low and high, p_value or declared. "
            "Return a pair (low, high), or a result that has them."
        )
    return Answers(low, high, declared)


def _part(result: Any, name: str) -> Any:
    if isinstance(result, Mapping | xr.Dataset):
        return result.get(name)
    return getattr(result, name, None)


def _labelled(value: Any) -> Numbers:
    if value is None:
        return None
    array = xr.DataArray(value)
    return array.reset_coords(drop=True).astype(np.float64).rename(None)


def joined(answers: list[Answers]) -> Answers:
    """Put answers about single replicates side by side.

    Parameters
    ----------
    answers : list of Answers
        One per replicate.

    Returns
    -------
    Answers
        With dim replicate.
    """
    columns: list[Numbers] = []
    for name in ("low", "high", "declared"):
        parts = [part for answer in answers if (part := getattr(answer, name)) is not None]
        told = len(parts) == len(answers)
        columns.append(xr.concat(parts, dim="replicate", join="override") if told else None)
    return Answers(*columns)


def together(batches: list[Scores]) -> Scores:
    """Scores of all batches of replicates.

    Parameters
    ----------
    batches : list of Scores
        In order.

    Returns
    -------
    Scores
        Of all.
    """
    names = [field.name for field in fields(Scores)]
    return Scores(*(np.concatenate([getattr(batch, name) for batch in batches]) for name in names))


def score(answers: Answers, truth: float | xr.DataArray, n_rep: int) -> Scores:
    """Compare answers with the truth.

    Parameters
    ----------
    answers : Answers
        With dim replicate.
    truth : float or xarray.DataArray
        NaN where there is none.
    n_rep : int
        Replicates.

    Returns
    -------
    Scores
        Per replicate.
    """
    nothing = np.full(n_rep, np.nan)
    declared = nothing if answers.declared is None else _means(answers.declared)
    if answers.low is None or answers.high is None:
        return Scores(nothing, nothing, nothing, declared)
    known = answers.low.notnull() & answers.high.notnull()
    true = xr.DataArray(truth)
    inside = ((answers.low <= true) & (true <= answers.high)).astype(np.float64)
    width = _width(answers.low, answers.high).where(answers.low != answers.high, 0.0)
    return Scores(
        _means(inside.where(known & true.notnull())),
        _means(width.where(known)),
        _means(known.astype(np.float64)),
        declared,
    )


def _width(low: xr.DataArray, high: xr.DataArray) -> xr.DataArray:
    with np.errstate(invalid="ignore"):
        return high - low


def _means(array: xr.DataArray) -> Array:
    """Mean over everything but replicates, of what has a value."""
    table = array.transpose("replicate", ...).values.reshape(array.sizes["replicate"], -1)
    known = ~np.isnan(table)
    total, count = np.where(known, table, 0.0).sum(axis=1), known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
