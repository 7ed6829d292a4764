"""Simulated coverage, width, size and power in studies of the user's own size."""

import json
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import EngineError, SampleError
from geostat.results.base import versions
from geostat.statistics.calibration.catalogue import SCENARIOS, find_scenario
from geostat.statistics.calibration.cells import Study, calibrate_cell
from geostat.statistics.calibration.figures import QUANTITIES
from geostat.statistics.calibration.grid import Grid, as_grid
from geostat.statistics.calibration.procedure import Procedure, as_procedure
from geostat.statistics.calibration.procedures import find_procedure
from geostat.statistics.calibration.scenario import Scenario, Simulated, as_scenario
from geostat.statistics.runs.arguments import check_level
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["calibrate"]

Figures = dict[str, float]


def calibrate(
    procedure: str | Procedure | Callable[..., Any],
    scenario: str | Scenario | Callable[..., Simulated],
    grid: Mapping[str, Any],
    *,
    n_rep: int = 1000,
    rng: Randomness = None,
    level: float = 0.95,
    workers: int = 1,
    progress: bool = True,
) -> xr.Dataset:
    r"""Coverage, width, size and power of a procedure, by simulation.

    Studies with a known truth are simulated and handed to the procedure; what is counted is how often its
    interval contains the truth, and how often it declares what is false (size) or true (power). It says how
    the procedure behaves *in that scenario*, not that the user's runs are like it.

    Each figure has a Monte Carlo standard error: :math:`\sqrt{p (1 - p) / n}` for a share (at least that
    of half a hit), half the distance of the order statistics :math:`\sqrt n / 2` ranks apart from the middle
    for a median. Where an answer has several cells, such as steps, they are averaged: coverage is pointwise.

    Parameters
    ----------
    procedure : str, callable or Procedure
        A name such as ``"mean_ci"``; or a function of a DataArray (and, if it has such parameters, ``level``
        and ``rng``) that returns a pair (low, high), or a result with ``low`` and ``high``, ``p_value`` or
        ``declared``.
    scenario : str, callable or Scenario
        A name such as ``"fixed_layers"``; or a function ``(rng, n_rep, **cell)`` that returns a `Simulated`,
        whose data have a dim ``replicate``.
    grid : mapping of str to object
        Settings of the scenario. A list becomes a dimension, and every combination a cell; anything else is
        the same in all cells. ``steps`` may be one list of the user's own checkpoints.
    n_rep : int
        Studies simulated in each cell.
    rng : int, numpy.random.Generator or None
        Randomness. A cell's figures depend on the seed, the scenario and the cell's settings alone.
    level : float
        Confidence level in (0, 1); a p-value up to 1 - level declares.
    workers : int
        Processes; figures are the same for any number.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        Over the dimensions of the grid: ``coverage`` (of the intervals given), ``width_median``,
        ``width_mean``, ``answered`` (share of questions that got an interval), ``declared``, and as its name
        where the scenario has nothing to declare ``size``, otherwise ``power``; each with ``<name>_error``.
        NaN where a quantity does not apply. ``seed_sd`` is the scenario's standard deviation between runs.
        Attributes say procedure, scenario, settings, level, n_rep, seed and versions.

    Raises
    ------
    SampleError
        If a name or a setting is unknown (the message lists those that there are), or the procedure does
        not fit the scenario.
    EngineError
        If a worker died.

    Examples
    --------
    >>> found = calibrate("mean_ci", "fixed_layers", {"S": [2, 5]}, n_rep=400, rng=1, progress=False)
    >>> found.sizes["S"], found.attrs["n_rep"]
    (2, 400)
    >>> bool(abs(found.coverage - 0.95).max() < 0.04)
    True
    """
    asked = find_procedure(procedure) if isinstance(procedure, str) else as_procedure(procedure)
    made = find_scenario(scenario) if isinstance(scenario, str) else as_scenario(scenario)
    _check(asked, made, grid, n_rep, level, workers)
    _, seed = seeded(rng)
    study, laid = Study(asked, made, int(n_rep), seed, level), as_grid(grid)
    cells = list(laid.cells())
    found: list[Figures] = [{} for _ in cells]
    for i, figures in _measured(study, cells, workers, progress):
        found[i] = figures
    return _dataset(study, laid, found)


def _check(
    procedure: Procedure, scenario: Scenario, grid: Mapping[str, Any], n_rep: int, level: float, workers: int
) -> None:
    check_level(level)
    for name, count in (("n_rep", n_rep), ("workers", workers)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise SampleError(f"{name}={count!r}: pass a whole number from 1 on.")
    if not isinstance(grid, Mapping):
        raise SampleError(
            f"grid={grid!r} is no mapping. Pass settings of the scenario, as {{'S': [2, 3, 5]}}."
        )
    if not procedure.fits(scenario):
        fitting = [name for name, each in SCENARIOS.items() if procedure.fits(each)]
        raise SampleError(
            f"{procedure.name} takes {procedure.kind}, but scenario {scenario.name!r} makes {scenario.kind}. "
            f"Choose among: {', '.join(fitting)}."
        )
    scenario.check(grid)


def _measured(
    study: Study, cells: list[dict[str, Any]], workers: int, progress: bool
) -> Iterator[tuple[int, Figures]]:
    from tqdm import tqdm

    with tqdm(
        total=study.n_rep * len(cells), desc=study.procedure.name, unit=" studies", disable=not progress
    ) as bar:
        if workers == 1 or len(cells) == 1:
            yield from ((i, calibrate_cell(study, cell, bar.update)) for i, cell in enumerate(cells))
            return
        for i, figures in _in_processes(study, cells, workers):
            bar.update(study.n_rep)
            yield i, figures


def _in_processes(study: Study, cells: list[dict[str, Any]], workers: int) -> Iterator[tuple[int, Figures]]:
    _check_sendable(study)
    pool = ProcessPoolExecutor(
        min(workers, len(cells)), multiprocessing.get_context("spawn"), _leave_interrupts_to_the_parent
    )
    try:
        futures = {pool.submit(calibrate_cell, study, cell): i for i, cell in enumerate(cells)}
        for done in as_completed(futures):
            yield futures[done], done.result()
    except BrokenProcessPool as error:
        raise EngineError(
            f"one of {workers} workers died. Either the system killed it (memory: use fewer workers), or this call "
            "stands in a script outside `if __name__ == '__main__':`, which workers import."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _check_sendable(study: Study) -> None:
    try:
        pickle.dumps((study.procedure, study.scenario))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SampleError(
            f"procedure or scenario cannot be sent to other processes ({error}). Define them at the top level of a "
            "module, or pass workers=1."
        ) from error


def _dataset(study: Study, grid: Grid, found: list[Figures]) -> xr.Dataset:
    names = [name for quantity in QUANTITIES for name in (quantity, f"{quantity}_error")]
    variables = {
        name: (
            tuple(grid.axes),
            np.array([cell[name] for cell in found]).reshape(grid.shape),
            _attrs(name, study),
        )
        for name in [*names, "seed_sd"]
    }
    return xr.Dataset(variables, grid.coordinates()).assign_attrs(
        procedure=study.procedure.name,
        scenario=study.scenario.name,
        settings=json.dumps(dict(grid.fixed), default=repr),
        level=study.level,
        n_rep=study.n_rep,
        seed=study.seed,
        versions=json.dumps(dict(versions())),
    )


def _attrs(name: str, study: Study) -> dict[str, str]:
    if name == "seed_sd":
        return {"long_name": "Standard deviation between runs"}
    quantity = name.removesuffix("_error")
    told = QUANTITIES[quantity]
    long_name = told if quantity == name else f"Monte Carlo standard error: {told[0].lower()}{told[1:]}"
    return {"long_name": long_name, "units": study.procedure.units if "width" in name else "1"}
