"""The procedures that a plan can run, and which of their arguments it decides."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from geostat.errors import SampleError

__all__ = ["PROCEDURES", "Planned", "find_procedure"]

COMMON = ("level", "dim", "sample_dim", "weighting")


@dataclass(frozen=True)
class Planned:
    """A procedure as a plan sees it.

    Attributes
    ----------
    name : str
        Under which plans name it.
    place : str
        ``"module:function"`` below geostat.statistics; imported when it is first run.
    governed : mapping of str to str
        Argument -> field of the plan that decides it.
    contrast : bool
        Whether it compares two recipes, named as its first arguments.
    whole : bool
        Whether it chooses metrics from the data itself, and needs others beside them.
    """

    name: str
    place: str
    governed: Mapping[str, str]
    contrast: bool = False
    whole: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        module, name = self.place.split(":")
        found: Callable[..., Any] = getattr(importlib.import_module(f"geostat.statistics.{module}"), name)
        return found


_SCALED = {"scale": "scale"}
_MARGINS = {"margin": "margins"}
_BAND = {"reference": "lock_reference", "margin": "lock_margin", "persistence": "persistence"}
_REGIMES = {name: name for name in ("references", "boundaries", "metrics")}


def _planned(
    place: str,
    governed: Mapping[str, str] | None = None,
    *,
    common: tuple[str, ...] = COMMON,
    contrast: bool = False,
    whole: bool = False,
) -> Planned:
    decided = {name: name for name in common} | dict(governed or {})
    return Planned(place.split(":")[1], place, MappingProxyType(decided), contrast, whole)


PROCEDURES: Mapping[str, Planned] = MappingProxyType(
    {
        each.name: each
        for each in (
            _planned("means.mean:mean_ci", _SCALED),
            _planned("bootstraps.bootstrap:bootstrap_ci"),
            _planned("means.comparison:compare", _SCALED, contrast=True),
            _planned("means.equivalence:equivalence", _MARGINS | _SCALED, contrast=True),
            _planned("doses.dose_response:dose_response", _MARGINS | _SCALED),
            _planned("locking.brackets:lock_brackets", _BAND, common=COMMON[1:]),
            _planned("locking.locked_share:locked_share", _BAND),
            _planned("locking.median_onset:median_onset", _BAND),
            _planned("locking.band_entry:band_entry", _BAND),
            _planned("locking.locking_onset:locking_onset", _BAND, whole=True),
            _planned("locking.fit_onset:fit_onset"),
            _planned("locking.onset_exists:onset_exists"),
            _planned("changepoints.changepoint:fit_changepoint"),
            _planned("regimes.classification:classify_regime", _REGIMES, whole=True),
        )
    }
)
"""By name."""


def find_procedure(procedure: str | Callable[..., Any]) -> Planned:
    """Look up a procedure by its name, or by itself.

    Parameters
    ----------
    procedure : str or callable
        ``"compare"`` or the function.

    Returns
    -------
    Planned
        What a plan decides about it.

    Raises
    ------
    SampleError
        If a plan cannot run it.
    """
    name = procedure if isinstance(procedure, str) else getattr(procedure, "__name__", repr(procedure))
    if name not in PROCEDURES:
        raise SampleError(f"{name!r} is no procedure that a plan runs. Procedures: {', '.join(PROCEDURES)}.")
    return PROCEDURES[name]
