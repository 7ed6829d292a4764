"""Where each run locks: exact facts about stored curves, bracketed by their checkpoints."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.locking.bands import AtLeast, Band, Onset, at_least, find_onset, is_number
from geostat.statistics.locking.bracket_result import LockResult
from geostat.statistics.locking.curves import RunCurves, infinite_values, run_curves
from geostat.statistics.runs.aggregation import cell_array
from geostat.statistics.runs.arguments import Sample, Weighting, gather
from geostat.statistics.words.notices import Notice, give

__all__ = [
    "AtLeast",
    "LockResult",
    "at_least",
    "brackets_of",
    "check_persistence",
    "declared_band",
    "lock_brackets",
    "self_reference",
]

ASSUMPTIONS = (
    "nothing is inferred: each run's outcome is a fact about its stored checkpoints",
    "between two checkpoints the curve is unknown, so the onset is a bracket and no point",
    "cumulative metrics settle under a decaying learning rate whether or not a channel has formed",
)

_SELF_REFERENCE = {
    "similarity_to_end": "a checkpoint is compared with the run's end, whose band a random walk enters too",
    "forward_capture": "a capture that is 0 throughout would enter the band of its own end",
    "future_capture": "a capture that is 0 throughout would enter the band of its own end",
}


def lock_brackets(
    data: xr.DataArray | xr.Dataset,
    *,
    reference: float | AtLeast | Literal["final"],
    margin: float | None = None,
    persistence: float = 0.25,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    training_steps: float | None = None,
    weighting: Weighting | None = None,
) -> LockResult:
    r"""Checkpoints between which each run's metric enters a band and stays there.

    A run :math:`m` is in the band from step t on when :math:`|m(u) - \mathrm{ref}| \le \mathrm{margin}`
    at every later checkpoint u, and these span at least ``persistence`` of training. The onset is
    known only up to the checkpoints: (last one outside, first one inside]. A run is averaged over the
    matrices that have a value at all of its checkpoints; steps without any value are no checkpoints of it.

    Nothing is inferred: these are exact facts about the runs at hand. They say nothing about other seeds.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``.
    reference : float, at_least(x) or "final"
        Centre of the band; a one-sided threshold; or the mean over the last 10% of training, whose
        checkpoints are then not tested.
    margin : float
        Half-width in the metric's units; left out with `at_least`.
    persistence : float
        Share of training in (0, 1) for which the run must stay.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    training_steps : float, optional
        Declared length of training. By default from the data's ``progress``, otherwise each run's
        last checkpoint.
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.

    Returns
    -------
    LockResult
        Per run an ``outcome``: ``bracket``, ``left-censored`` (inside at the first checkpoint with a
        value, so the onset is at most that step), ``never`` (outside at the end), ``too short to tell`` (inside
        at the end, but for less than the persistence; or outside, with training left to enter in time), or
        ``undefined`` (no value); with ``last_out`` and ``first_in`` in steps.

    Raises
    ------
    SampleError
        If there is no step, or the band is not declared.

    Examples
    --------
    >>> import xarray as xr
    >>> curve = xr.DataArray(
    ...     [9.0, 6.0, 5.1, 5.0, 4.9],
    ...     dims="step",
    ...     coords={"step": [63, 127, 191, 255, 299]},
    ...     attrs={"units": "1"},
    ...     name="stable_rank",
    ... )
    >>> lock_brackets(curve, reference=5.0, margin=0.5, dim=None).rows()[0]["onset"]
    '(127, 191]'
    """
    band = declared_band(reference, margin)
    check_persistence(persistence)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    notices = list(gathered.notices)
    cells = {s.name: _cells(s, band, persistence, training_steps, notices) for s in gathered.samples}
    return LockResult(
        **gathered.common(),
        cells=cells,
        title=f"Locking of each run: {', '.join(cells)}",
        estimand=f"First step from which a run's metric stays {band.words} for at least "
        f"{persistence:.0%} of training; {'; '.join(f'{s.name}: {s.average}' for s in gathered.samples)}.",
        method="exact, from each run's checkpoints",
        scope="descriptive",
        level=None,
        assumptions=ASSUMPTIONS,
        warnings=give(notices),
        settings={
            "reference": str(reference),
            "margin": margin,
            "persistence": persistence,
            "dim": dim,
            "sample_dim": sample_dim,
            "training_steps": training_steps,
            "weighting": {s.name: s.weighting for s in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def declared_band(reference: float | AtLeast | str, margin: float | None) -> Band:
    """Band that a caller declared.

    Parameters
    ----------
    reference : float, AtLeast or "final"
        Centre, threshold, or the curve's own end.
    margin : float or None
        Half-width in the metric's units.

    Returns
    -------
    Band
        Where the metric has to stay.

    Raises
    ------
    SampleError
        If that is no band.
    """
    if isinstance(reference, AtLeast):
        if margin:
            raise SampleError(
                f"margin={margin!r} beside {reference}: a one-sided threshold has no margin. Leave it out."
            )
        return Band(reference, 0.0)
    if isinstance(reference, str) and reference != "final":
        raise SampleError(f"reference={reference!r} is not known. Pass a number, at_least(x) or 'final'.")
    if not (is_number(margin) and margin > 0):  # type: ignore[operator]
        raise SampleError(
            f"margin={margin!r} declares no band. Pass its half-width in the metric's units, above 0."
        )
    if not isinstance(reference, str) and not is_number(reference):
        raise SampleError(
            f"reference={reference!r} is no number, or not finite. Pass a number, at_least(x) or 'final'."
        )
    return Band(reference, margin)  # type: ignore[arg-type]


def check_persistence(persistence: float) -> None:
    """Refuse a persistence that is no share of training.

    Parameters
    ----------
    persistence : float
        Must lie strictly between 0 and 1.

    Raises
    ------
    SampleError
        Otherwise.
    """
    if not (is_number(persistence) and 0 < persistence < 1):
        raise SampleError(
            f"persistence={persistence!r} is no share of training: it lies strictly between 0 and 1."
        )


def brackets_of(curves: RunCurves, band: Band, persistence: float) -> xr.Dataset:
    """Exact onset of every curve.

    Parameters
    ----------
    curves : RunCurves
        One curve per run and cell.
    band : Band
        Where they have to stay.
    persistence : float
        Share of training for which they have to stay.

    Returns
    -------
    xarray.Dataset
        The quantities of `Onset` over runs and what else is left, and ``n_matrices``.
    """
    steps = np.asarray(curves.values["step"].values, dtype=np.float64)
    values, horizon = curves.values.values, curves.training_steps
    places = np.ndindex(values.shape[:-1])
    found = [find_onset(steps, values[place], band, persistence, horizon[place[0]]) for place in places]
    cell = curves.values.isel(step=0, drop=True)
    onsets = xr.Dataset({name: _array(cell, found, name) for name in Onset.QUANTITIES})
    return onsets.assign(n_matrices=cell_array(curves.n_matrices, onsets["first_in"]))


def self_reference(sample: Sample, band: Band) -> list[Notice]:
    """Notices about a metric that is compared with its own end.

    Parameters
    ----------
    sample : Sample
        One metric.
    band : Band
        The declared band.

    Returns
    -------
    list of Notice
        Empty where metric and band look nowhere ahead.
    """
    identifier = str(sample.values.attrs.get("diagnostic", sample.name))
    if identifier == "similarity_to_end" or (identifier in _SELF_REFERENCE and band.reference == "final"):
        text = f"{sample.name}: {_SELF_REFERENCE[identifier]}. Read the outcome as description, not locking."
        return [Notice(GeostatWarning, text)]
    return []


def _cells(
    sample: Sample, band: Band, persistence: float, training_steps: float | None, notices: list[Notice]
) -> xr.Dataset:
    curves, noticed = run_curves(sample, training_steps)
    notices += [*self_reference(sample, band), *noticed, *infinite_values(sample.name, curves)]
    return brackets_of(curves, band, persistence)


def _array(cell: xr.DataArray, found: Sequence[Onset], name: str) -> xr.DataArray:
    values = [getattr(onset, name) for onset in found]
    kind: Any = np.dtypes.StringDType() if isinstance(values[0], str) else None
    array: npt.NDArray[Any] = np.array(values, dtype=kind).reshape(cell.shape)
    return cell_array(cell.copy(data=array), cell)
