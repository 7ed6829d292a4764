"""Cells of single recipes put side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from geostat.statistics.regimes.conventions import one_alpha
from geostat.statistics.regimes.groups_of_runs import Asked
from geostat.statistics.regimes.questions import at_end
from geostat.statistics.runs.aggregation import aggregate
from geostat.statistics.runs.arguments import Sample, gather

__all__ = ["joined", "mean_excess"]

EXCESS = "_excess"
"""Ending of variables that hold a metric minus what its null predicts; whoever computes the null adds them."""


def joined(told: Mapping[str, Mapping[str, xr.Dataset]]) -> dict[str, xr.Dataset]:
    """One dataset per metric, over recipes.

    Parameters
    ----------
    told : mapping of str to mapping
        Recipe -> metric -> cells.

    Returns
    -------
    dict
        Metric -> cells with dim ``recipe``, where the data name recipes.
    """
    labels = list(told)
    names = list(told[labels[0]])
    if labels == [""]:
        return dict(told[""])
    index = xr.Variable("recipe", np.array(labels, np.dtypes.StringDType()))
    return {
        name: xr.concat(
            [told[label][name] for label in labels],
            dim="recipe",
            data_vars="all",
            coords="minimal",
            compat="override",
            join="exact",
        ).assign_coords(recipe=index)
        for name in names
    }


def mean_excess(
    dataset: xr.Dataset,
    metrics: Sequence[str],
    groups: Sequence[Asked],
    dim: str | None,
    sample_dim: str,
    judged: Mapping[str, Sample],
) -> dict[str, dict[str, float]]:
    """Mean over runs of each metric's excess over its null, where the data hold variables ``<metric>_excess``.

    Parameters
    ----------
    dataset : xarray.Dataset
        All variables.
    metrics : sequence of str
        The declared set.
    groups : sequence of Asked
        Runs by recipe.
    dim, sample_dim : str
        Matrices and runs.
    judged : mapping of str to Sample
        The metrics as they are judged: of several masks the one whose boundary is read.

    Returns
    -------
    dict
        Metric -> recipe -> excess at the end of the runs; empty where nothing was computed.
    """
    names = [name + EXCESS for name in metrics if name + EXCESS in dataset]
    if not names:
        return {}
    gathered = gather(dataset[names], dim=dim, sample_dim=sample_dim)
    samples = [
        _as_judged(sample, judged.get(sample.name.removesuffix(EXCESS))) for sample in gathered.samples
    ]
    return {
        sample.name.removesuffix(EXCESS): {
            each.label: float(at_end(aggregate(sample, each.group.positions).values).mean())
            for each in groups
        }
        for sample in samples
    }


def _as_judged(sample: Sample, judged: Sample | None) -> Sample:
    alpha = None if judged is None else judged.values.coords.get("alpha")
    return sample if alpha is None or alpha.ndim else one_alpha(sample, float(alpha))
