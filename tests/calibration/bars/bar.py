"""A claim, the cells in which it is measured, and the bound that it has to keep."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """How often something happened in so many replicates."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n

    @property
    def error(self) -> float:
        """Monte Carlo standard error; that of half a hit where none or all hit."""
        p = min(max(self.value, 0.5 / self.n), 1 - 0.5 / self.n)
        return math.sqrt(p * (1 - p) / self.n)


@dataclass(frozen=True)
class Number:
    """A mean over replicates, such as a width, with its Monte Carlo standard error."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Bar:
    """A claim about a procedure.

    `measure(n_rep=, rng=, **cell)` simulates one cell and gives a `Share` or a `Number`. The claim holds in a
    cell when the value is neither below `at_least` nor above `at_most`. `control` marks a procedure that is
    known to be wrong: its bound says how it has to fail. A bar without bounds is reported only.
    """

    name: str
    section: str
    measure: Callable[..., Share | Number]
    cells: Sequence[Cell]
    smoke: Sequence[Cell]
    n_rep: int
    at_least: float | None = None
    at_most: float | None = None
    control: bool = False
    quantity: str = "coverage"

    def generator(self, cell: Cell) -> np.random.Generator:
        """Random numbers of one cell: the same in every run, others in every cell."""
        text = f"{self.name}|{sorted(cell.items())}"
        return np.random.default_rng(list(text.encode()))

    def holds(self, measured: Share | Number, slack: float = 0.0) -> bool:
        """Whether the value keeps the bound, up to `slack` Monte Carlo standard errors."""
        room = slack * measured.error
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low - room <= measured.value <= high + room
