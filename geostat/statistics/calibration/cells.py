"""One cell of a calibration: simulate, ask, score."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import GeostatWarning, SampleError
from geostat.statistics.calibration.answers import Answers, Scores, score, together
from geostat.statistics.calibration.figures import figures
from geostat.statistics.calibration.grid import cell_generators
from geostat.statistics.calibration.procedure import Asked, Procedure
from geostat.statistics.calibration.scenario import Scenario, Simulated, Truth

__all__ = ["Study", "calibrate_cell"]

NUMBERS = 2_000_000
"""Values that one batch of replicates holds at most, where the cell tells its sizes."""
POPULATION = (100, 20)
"""Replicates and runs in each that together stand for all runs."""


@dataclass(frozen=True)
class Study:
    """Everything about a calibration but the grid.

    Attributes
    ----------
    procedure : Procedure
        What is asked.
    scenario : Scenario
        What is simulated.
    n_rep : int
        Replicates.
    seed : int
        Of all random numbers.
    level : float
        Confidence level.
    """

    procedure: Procedure
    scenario: Scenario
    n_rep: int
    seed: int
    level: float


def calibrate_cell(
    study: Study, cell: Mapping[str, Any], step: Callable[[int], object] = lambda _: None
) -> dict[str, float]:
    """Figures of one cell.

    Parameters
    ----------
    study : Study
        What is done.
    cell : mapping
        Settings of the scenario.
    step : callable
        Told how many replicates were finished.

    Returns
    -------
    dict
        As `figures` gives; with ``seed_sd``.
    """
    data_rng, own_rng, population_rng = cell_generators(study.seed, study.scenario.name, cell)
    batches: list[Scores] = []
    left, size = study.n_rep, _batch(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)  # notices about simulated data help nobody
        whole = _of_all_runs(study, cell, population_rng)
        while left:
            n = min(left, size)
            simulated = _checked(study.scenario, data_rng, n, cell)
            asked = Asked(study.level, own_rng, simulated.settings)
            answers = _complete(study.procedure, study.procedure.answers(simulated, asked, step))
            truth = _truth(study.procedure, simulated, answers) if whole is None else whole
            batches.append(score(answers, truth, n))
            left -= n
    null = None if answers.declared is None else study.procedure.is_null(simulated, whole)
    return figures(together(batches), null) | {"seed_sd": simulated.seed_sd}


def _batch(cell: Mapping[str, Any]) -> int:
    """Replicates of a batch: told by the cell alone, so that it draws the same numbers everywhere."""
    sizes: list[int] = [cell[name] for name in ("S", "T", "L") if isinstance(cell.get(name), int)]
    return max(1, min(250, NUMBERS // max(1, math.prod(sizes))))


def _checked(scenario: Scenario, rng: np.random.Generator, n: int, cell: Mapping[str, Any]) -> Simulated:
    made = scenario.simulate(rng, n, **cell)
    data = getattr(made, "data", None)
    if not isinstance(made, Simulated) or not isinstance(data, xr.DataArray | xr.Dataset):
        raise SampleError(
            f"scenario {scenario.name!r} returned a {type(made).__name__}. "
            "Return Simulated(data, truth, null), data being labelled."
        )
    if made.data.sizes.get("replicate") != n:
        raise SampleError(
            f"scenario {scenario.name!r} was asked for {n} replicates and returned data with the dims "
            f"{dict(made.data.sizes)}. Give them a dim `replicate` of length n_rep."
        )
    return made


def _complete(procedure: Procedure, answers: Answers) -> Answers:
    if not answers.per_replicate:
        raise SampleError(
            f"procedure {procedure.name!r} is said to keep the dim `replicate`, but its answer has none. "
            "Leave out vectorised=True: it is then asked about one replicate at a time."
        )
    return answers


def _truth(procedure: Procedure, simulated: Simulated, answers: Answers) -> Truth:
    return math.nan if answers.low is None else simulated.truth_of(procedure.estimand)


def _of_all_runs(study: Study, cell: Mapping[str, Any], rng: np.random.Generator) -> float | None:
    """Truth of an estimand that is a figure of all runs; None for any other."""
    if study.procedure.population is None:
        return None
    n_rep, runs = POPULATION
    made = _checked(study.scenario, rng, n_rep, dict(cell) | {"S": runs})
    return study.procedure.population(made.data, Asked(study.level, rng, made.settings))
