"""The procedures of geostat that can be calibrated by name, and how each is asked."""

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.statistics.calibration.procedure import Asked, Procedure

__all__ = ["PROCEDURES", "find_procedure"]

N_RESAMPLES = 999


def _function(place: str) -> Callable[..., Any]:
    """Import a function of the statistics when it is first asked for."""
    module, name = place.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"geostat.statistics.{module}"), name)
    return found


def _dim(data: xr.DataArray | xr.Dataset) -> str | None:
    return "matrix" if "matrix" in data.dims else None


def _mean_ci(data: xr.DataArray, asked: Asked) -> Any:
    return _function("means.mean:mean_ci")(data, dim=_dim(data), level=asked.level)


def _bootstrap_ci(data: xr.DataArray, asked: Asked) -> Any:
    return _function("bootstraps.bootstrap:bootstrap_ci")(
        data, n_resamples=N_RESAMPLES, rng=asked.rng, dim=_dim(data), level=asked.level
    )


def _compare(data: xr.DataArray, asked: Asked) -> Any:
    return _function("means.comparison:compare")(data, "a", "b", dim=_dim(data), level=asked.level)


def _banded(place: str, data: xr.DataArray, asked: Asked, **others: Any) -> Any:
    return _function(place)(data, dim=_dim(data), level=asked.level, **_band(asked), **others)


def _band(asked: Asked) -> dict[str, Any]:
    """The scenario's band and length of training."""
    return {name: asked.settings[name] for name in ("reference", "margin", "persistence", "training_steps")}


def _band_entry(data: xr.DataArray, asked: Asked) -> Any:
    found = _banded("locking.band_entry:band_entry", data, asked)
    return {"low": found.low, "high": found.high, "declared": found.high < float("inf")}


def _locked_share(data: xr.DataArray, asked: Asked) -> Any:
    found = _banded("locking.locked_share:locked_share", data, asked)
    return {"low": found.low, "high": found.high, "declared": found.low > 0.5}


def _share_of_all(data: xr.DataArray, asked: Asked) -> float:
    return float(_banded("locking.locked_share:locked_share", data, asked).estimate.mean())


def _median_onset(data: xr.DataArray, asked: Asked) -> Any:
    return _banded("locking.median_onset:median_onset", data, asked)


def _median_of_all(data: xr.DataArray, asked: Asked) -> float:
    found = _function("locking.brackets:lock_brackets")(data, dim=_dim(data), **_band(asked))
    onsets = np.where(
        np.isin(found.outcome.values, ("bracket", "left-censored")), found.first_in.values, np.inf
    )
    return float(np.quantile(onsets, 0.5, method="inverted_cdf"))


def _locking_onset(data: xr.DataArray, asked: Asked) -> Any:
    found = _banded("locking.locking_onset:locking_onset", data, asked, beside=())
    ends = {end: found.quantity(f"share_{end}") for end in ("low", "high")}
    return ends | {"declared": found.recipe_locks}


def _equivalence(data: xr.DataArray, asked: Asked) -> Any:
    found = _function("means.equivalence:equivalence")(
        data, "a", "b", margin=asked.settings["margin"], dim=_dim(data), level=asked.level
    )
    return {"declared": found.equivalent}


def _fit_onset(data: xr.DataArray, asked: Asked) -> Any:
    return _function("locking.fit_onset:fit_onset")(data, dim=_dim(data), level=asked.level)


def _onset_exists(data: xr.DataArray, asked: Asked) -> Any:
    return _function("locking.onset_exists:onset_exists")(
        data, dim=_dim(data), level=asked.level, n_null=2000
    )


def _classify_regime(data: xr.Dataset, asked: Asked) -> Any:
    found = _function("regimes.classification:classify_regime")(
        data, boundaries="published", dim=None, level=asked.level, leave_one_out=False
    )
    right = asked.settings["regime"]
    return {"declared": found.established == right if right else found.established != ""}


def _fit_changepoint(data: xr.DataArray, asked: Asked) -> Any:
    return _function("changepoints.changepoint:fit_changepoint")(data, dim=_dim(data), level=asked.level)


_ENTRIES = (
    Procedure("mean_ci", _mean_ci, "seeds", "mean", vectorised=True, says="t-interval of a mean over runs"),
    Procedure(
        "bootstrap_ci",
        _bootstrap_ci,
        "seeds",
        "mean",
        vectorised=True,
        says="bootstrap-t interval of a mean over runs",
    ),
    Procedure(
        "compare",
        _compare,
        "two recipes",
        "difference",
        "difference",
        vectorised=True,
        says="difference of two recipes' means",
    ),
    Procedure(
        "equivalence",
        _equivalence,
        "two recipes",
        claim="equivalence",
        vectorised=True,
        says="two one-sided tests; declares that two recipes differ by less than the margin",
    ),
    Procedure(
        "band_entry",
        _band_entry,
        "curves",
        "mean_onset",
        "onset",
        vectorised=True,
        units="steps",
        says="entry of the mean trajectory into a band; declares that it stays",
    ),
    Procedure(
        "locked_share",
        _locked_share,
        "curves",
        vectorised=True,
        says="share of runs that lock; declares that more than half do",
        population=_share_of_all,
        null_below=0.5,
    ),
    Procedure(
        "median_onset",
        _median_onset,
        "curves",
        vectorised=True,
        units="steps",
        says="median over runs of the step from which a run stays in a band",
        population=_median_of_all,
    ),
    Procedure(
        "locking_onset",
        _locking_onset,
        "curves",
        vectorised=True,
        says="verdict on locking; declares that the recipe locks",
        population=_share_of_all,
        null_below=0.5,
    ),
    Procedure(
        "fit_onset",
        _fit_onset,
        "curves",
        "typical_onset",
        units="steps",
        vectorised=True,
        says="model-based step by which 90% of the change is done",
    ),
    Procedure(
        "onset_exists",
        _onset_exists,
        "curves",
        claim="change",
        vectorised=True,
        says="likelihood ratio against a constant; declares a change",
    ),
    Procedure(
        "classify_regime",
        _classify_regime,
        "regimes",
        claim="regime",
        vectorised=True,
        says="published regimes; declares the right one (on a boundary: any)",
    ),
    Procedure(
        "fit_changepoint",
        _fit_changepoint,
        "curves",
        "last_before",
        "change",
        vectorised=True,
        units="steps",
        says="last checkpoint before a run's mean shifts; declares a shift by sup-F",
    ),
)

PROCEDURES: Mapping[str, Procedure] = MappingProxyType({each.name: each for each in _ENTRIES})
"""Procedures by name."""


def find_procedure(name: str) -> Procedure:
    """Look a procedure up.

    Parameters
    ----------
    name : str
        One of `PROCEDURES`.

    Returns
    -------
    Procedure
        The entry.

    Raises
    ------
    SampleError
        If there is none of that name; lists those that there are.
    """
    if name not in PROCEDURES:
        raise SampleError(
            f"procedure {name!r} is not known. There are: {', '.join(PROCEDURES)}; or pass a callable that "
            "takes a DataArray."
        )
    return PROCEDURES[name]
