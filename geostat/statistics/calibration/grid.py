"""The cells of a grid, and the random numbers of each."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geostat.errors import SampleError

__all__ = ["Grid", "as_grid", "cell_generators"]


@dataclass(frozen=True)
class Grid:
    """What varies, and what is the same in every cell.

    Attributes
    ----------
    axes : mapping of str to tuple
        Values of each dimension.
    fixed : mapping of str to object
        Settings given as single values.
    """

    axes: Mapping[str, tuple[Any, ...]]
    fixed: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each dimension."""
        return tuple(len(values) for values in self.axes.values())

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yield settings of every cell, the last dimension fastest."""
        for values in itertools.product(*self.axes.values()):
            yield dict(self.fixed) | dict(zip(self.axes, values, strict=True))

    def coordinates(self) -> dict[str, Any]:
        """Labels of the dimensions: numbers where they are numbers, otherwise text."""
        return {name: _labels(values) for name, values in self.axes.items()}


def as_grid(given: Mapping[str, Any]) -> Grid:
    """Read a grid.

    Parameters
    ----------
    given : mapping of str to object
        A list (tuple, array) is a dimension, anything else a fixed setting. One list of numbers under
        ``steps`` is one study's checkpoints and no dimension; a list of such lists is one.

    Returns
    -------
    Grid
        Plain Python values.

    Raises
    ------
    SampleError
        If a dimension has no value or one twice.
    """
    axes: dict[str, tuple[Any, ...]] = {}
    fixed: dict[str, Any] = {}
    for name, value in given.items():
        several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
        values = tuple(_plain(each) for each in value) if several else ()
        if not several or (name == "steps" and values and not isinstance(values[0], tuple)):
            fixed[str(name)] = _plain(value)
            continue
        if not values or len({repr(each) for each in values}) < len(values):
            raise SampleError(f"grid[{name!r}] = {list(values)}: pass one value or more, each once.")
        axes[str(name)] = values
    return Grid(axes, fixed)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(_plain(each) for each in value) if isinstance(value, list | tuple) else value


def _labels(values: tuple[Any, ...]) -> Any:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return list(values)
    told = [", ".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values]
    return np.array(told, dtype=np.dtypes.StringDType())


def cell_generators(
    seed: int, scenario: str, cell: Mapping[str, Any]
) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
    """Random numbers of one cell: for its data, its procedure, and its population.

    They depend on the seed, the scenario and the cell alone: neither on the rest of the grid nor on the
    order of work, and two procedures meet the same data.

    Parameters
    ----------
    seed : int
        Of the whole calibration.
    scenario : str
        Its name.
    cell : mapping
        Its settings.

    Returns
    -------
    tuple of numpy.random.Generator
        Three independent ones.
    """
    text = json.dumps([scenario, dict(cell)], sort_keys=True, default=repr)
    streams = np.random.SeedSequence([seed, *text.encode()]).spawn(3)
    data, procedure, population = (np.random.default_rng(stream) for stream in streams)
    return data, procedure, population
