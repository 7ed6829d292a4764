"""Whether a comparison of recipes depends on how it was measured."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.nulls.sensitivities.axes import MATRICES, MEASURED_AXES, STORAGE, Axes, axes_of
from geostat.nulls.sensitivities.orders import same_figures, with_orders
from geostat.nulls.sensitivities.result import SensitivityResult
from geostat.nulls.sensitivities.values import Labelled, Means, Part, curves_of, of_calls, of_labelled
from geostat.protocols import Protocol, protocol as find_protocol
from geostat.statistics.runs.arguments import Weighting
from geostat.statistics.words.notices import Notice, give

__all__ = ["SensitivityResult", "sensitivity"]


def sensitivity(
    measurement: Labelled | Callable[..., Labelled] | Mapping[tuple[str, int], tuple[Any, Any]],
    over: Mapping[str, Iterable[Any]],
    *,
    metrics: Sequence[str] | None = None,
    order: Sequence[str] | None = None,
    step: int | None = None,
    protocol: str | Protocol = "shen2026",
    level: float = 0.95,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    weighting: Weighting | None = None,
    device: str = "auto",
    progress: bool = True,
    **reading: Any,
) -> SensitivityResult:
    r"""Sensitivity of a comparison to how it was measured.

    Every combination of the settings in `over` is one analysis. Each is carried out, and the recipes are put
    in order by their means. The result says at which settings that order is the one of the reference setting
    (the protocol's own values where they are among those varied, otherwise the first ones).

    It is no test. Settings are chosen, not drawn, and analyses of the same runs are not independent: the share of
    settings at which an order holds is no probability. Orders compare estimates; whether seeds could turn them is
    told by ``separated`` and by `geostat.compare`.

    Parameters
    ----------
    measurement : mapping, Dataset, DataArray or callable
        ``{(recipe, seed): (base, checkpoints)}`` is measured under every setting, each W_0 being factored
        once; of a dataset with swept dims the named values are taken; a callable is called as
        ``measurement(k=128, alpha=0.3)`` for each combination and returns labelled data.
    over : mapping of str to iterable
        Values by axis. For checkpoints: ``eta``, ``k``, ``r``, ``alpha``, ``K``, ``energy_k``, ``hill_k`` (fields of
        `Protocol`); ``storage``: ``"bf16"`` (weights rounded first) and ``"raw"`` (as in the files, which
        have to be unrounded); ``matrices``: sets such as ``"attention"``, ``"mlp"``, ``"linear"``,
        ``"all"``, a module (``"q_proj"``) or a glob, or tuples of them. For a dataset: its dims, and ``matrices``.
    metrics : sequence of str, optional
        Identifiers; by default all of one checkpoint that depend on an axis.
    order : sequence of str, optional
        Recipes from the largest to the smallest value, as it was claimed, in place of the reference setting's.
    step : int, optional
        Checkpoint; by default the last one of each recipe that has a value.
    protocol : str or Protocol
        Everything that is not varied, for checkpoints.
    level, dim, sample_dim, weighting
        As in `geostat.mean_ci`.
    device, progress
        As in `geostat.measure`, for checkpoints.
    **reading
        ``matrices``, ``naming``, ``strict`` and ``trust`` as in `geostat.measure`, for checkpoints.

    Returns
    -------
    SensitivityResult
        One row per combination: settings, value by recipe, order, whether it holds. Nothing is journalled: a
        measurement that is stopped starts again.

    Raises
    ------
    ProtocolError
        If an axis is not known or has no values, if a metric depends on none, or if rounded files are to be
        compared with unrounded ones that are not there.
    SampleError
        If data lack what is asked for.

    Warns
    -----
    GeostatWarning
        If neighbouring settings give the same figures, so that they are one analysis: tolerances below 1/256
        on bf16 weights, or numbers of directions beyond the cap.

    References
    ----------
    :cite:t:`steegen2016` for the table of all analyses, :cite:t:`simonsohn2020` for the picture.

    Examples
    --------
    >>> import xarray as xr
    >>> overlap = xr.DataArray(
    ...     [[0.32, 0.52], [0.54, 0.51]],
    ...     dims=("run", "alpha"),
    ...     coords={"recipe": ("run", ["sft", "rlvr"]), "alpha": [0.3, 0.5]},
    ...     attrs={"units": "1", "long_name": "Overlap"},
    ...     name="overlap",
    ... )
    >>> found = sensitivity(overlap, {"alpha": (0.3, 0.5)}, dim=None)
    >>> found.holds_everywhere
    False
    >>> print(found.table().to_text())  # doctest: +ELLIPSIS
    alpha    sft   rlvr       order  holds
    -----  -----  -----  ----------  -----
      0.3  0.320  0.540  rlvr > sft    yes
      0.5  0.520  0.510  sft > rlvr     no
    ...
    """
    convention = find_protocol(protocol)
    parts, axes = _parts(measurement, over, convention, metrics, step, device, progress, reading)
    curves = curves_of(parts, axes, Means(level, dim, sample_dim, weighting, step))
    reference = {name: _reference(name, values, convention) for name, values in axes.items()}
    cells = {name: _judged(each, reference, order) for name, each in curves.cells.items()}
    notices = [*curves.notices, *(n for name, each in cells.items() for n in _vacuous(name, each, axes))]
    return SensitivityResult(
        cells=cells,
        variables=curves.variables,
        single=len(cells) == 1,
        title=f"Sensitivity to {', '.join(axes)}",
        estimand=f"{curves.estimand.removesuffix('.')}, under every combination of {', '.join(axes)}",
        method=curves.method,
        scope="descriptive",
        level=level,
        warnings=give(dict.fromkeys(notices)),
        settings={
            "over": {name: list(values) for name, values in axes.items()},
            "reference": {name: axes[name][place] for name, place in reference.items()},
            "order": "declared" if order is not None else "of the reference setting",
        },
        **curves.counts,
    )


def _parts(
    measurement: Any,
    over: Mapping[str, Iterable[Any]],
    convention: Protocol,
    metrics: Sequence[str] | None,
    step: int | None,
    device: str,
    progress: bool,
    reading: Mapping[str, Any],
) -> tuple[list[Part], Axes]:
    """What is to be averaged, and over which axes."""
    if isinstance(measurement, xr.DataArray | xr.Dataset):
        axes = axes_of(over, (*map(str, measurement.dims), MATRICES))
        return of_labelled(measurement, axes, metrics), axes
    if callable(measurement):
        axes = axes_of(over, None)
        return of_calls(measurement, axes, metrics), axes
    if not isinstance(measurement, Mapping) or not measurement:
        raise SampleError(
            f"measurement is a {type(measurement).__name__}. Pass {{(recipe, seed): (base, checkpoints)}}, labelled "
            "data, or a function of the settings."
        )
    from geostat.nulls.sensitivities.measuring import measured, responding

    axes = axes_of(over, MEASURED_AXES)
    names = responding(axes, convention, metrics)
    data = measured(
        measurement,
        axes,
        convention,
        names,
        every_step=step is not None,
        device=device,
        progress=progress,
        **reading,
    )
    return of_labelled(data, axes, None), axes


def _reference(name: str, values: Sequence[Any], convention: Protocol) -> int:
    """Position of the setting whose order is compared with all others."""
    usual = "bf16" if name == STORAGE else getattr(convention, name, None)
    usual = usual[0] if isinstance(usual, tuple) else usual
    return values.index(usual) if usual in values else 0


def _judged(cells: xr.Dataset, reference: Mapping[str, int], order: Sequence[str] | None) -> xr.Dataset:
    return with_orders(cells, {name: i for name, i in reference.items() if name in cells.dims}, order)


def _vacuous(name: str, cells: xr.Dataset, axes: Axes) -> list[Notice]:
    """Notices about settings that are different in name alone."""
    found = []
    for axis in axes:
        pairs = same_figures(cells["estimate"], axis) if axis in cells.dims else []
        if pairs:
            labels = cells[axis].values.tolist()
            told = ", ".join(f"{labels[i]} and {labels[j]}" for i, j in pairs)
            text = (
                f"{name}: {axis} {told} give the same figures throughout: they are one analysis, not several."
            )
            found.append(Notice(GeostatWarning, text))
    return found
