"""What a plan fixes without saying so: the methods that stand behind the names of procedures."""

from collections.abc import Mapping
from typing import Any

from geostat.statistics.plans.canonical import digest, plain
from geostat.statistics.regimes.boundaries import load_boundaries
from geostat.statistics.regimes.data_files import Source

__all__ = ["CHOICES", "boundaries_record", "choices"]

CHOICES: Mapping[str, Any] = {
    "version": 1,
    "sampling unit": "run",
    "mean": "t-interval over runs",
    "contrast": "Welch, or paired by seed",
    "equivalence": "two one-sided tests",
    "share of runs": "Clopper-Pearson",
    "median onset": "order statistics",
    "regime": "intersection-union over metrics, Banerjee's one-sided test at each boundary",
    "several metrics or steps": "unadjusted",
}
"""Raise the version when a method behind a name changes: plans frozen before then say so."""


def choices(boundaries: Source | None) -> dict[str, Any]:
    """Everything that a plan rests on besides its own fields.

    Parameters
    ----------
    boundaries : "published", path or mapping, optional
        Of the plan.

    Returns
    -------
    dict
        Texts and numbers.
    """
    fixed: dict[str, Any] = plain(CHOICES, "choices")
    return fixed | {"boundaries": boundaries_record(boundaries)}


def boundaries_record(boundaries: Source | None) -> dict[str, str]:
    """Version and content of the boundaries, whatever their file is called.

    Parameters
    ----------
    boundaries : "published", path or mapping, optional
        None for the packaged file, whose scales and directions own references use too.

    Returns
    -------
    dict
        Version and a hash of all values.
    """
    file = load_boundaries("published" if boundaries is None else boundaries)
    cuts = {
        name: {
            "cuts": metric.cuts,
            "tolerance": metric.tolerance,
            "scale": metric.scale,
            "sign": metric.direction,
        }
        for name, metric in file.metrics.items()
    }
    content = {"regimes": file.regimes, "convention": file.convention, "metrics": cuts}
    return {"version": file.version, "content": digest(plain(content, "boundaries"))}
