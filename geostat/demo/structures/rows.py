"""Rows of "Structure or rounding?" and the file that they are kept in."""

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from geostat.errors import SampleError

__all__ = ["RunKey", "StructureRow", "append_rows", "runs_in", "start_file"]

RunKey = tuple[str, float, int]
"""Recipe, learning rate and seed."""


@dataclass(frozen=True)
class StructureRow:
    """One figure of one matrix of one run.

    Attributes
    ----------
    recipe, learning_rate, seed, step, matrix : str, float or int
        Where.
    figure : str
        Identifier.
    rng : int
        Seed of the nulls and estimates.
    observed : float or None
        Of the bf16 files.
    null, p_value : float or None
        What the figure's null gives through rounding, and how likely it is to come as far out.
    latent, low, high : float or None
        Estimate from the bf16 files of what it was before rounding, with its 95% interval.
    reason : str
        Why there is no estimate.
    true : float or None
        Of the fp32 masters.
    true_excess : float or None
        Excess of the masters over the same null without rounding.
    """

    recipe: str
    learning_rate: float
    seed: int
    step: int
    matrix: str
    figure: str
    rng: int
    observed: float | None = None
    null: float | None = None
    p_value: float | None = None
    latent: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    true: float | None = None
    true_excess: float | None = None

    @property
    def run(self) -> RunKey:
        """The run that it belongs to."""
        return self.recipe, self.learning_rate, self.seed


_COLUMNS = [each.name for each in fields(StructureRow)]


def start_file(path: str | os.PathLike[str]) -> None:
    """Write a file that holds no row yet; one that is there is replaced.

    Parameters
    ----------
    path : path
        CSV file.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, _COLUMNS).writeheader()


def append_rows(path: str | os.PathLike[str], rows: Sequence[StructureRow]) -> None:
    """Add the rows of a whole run in one write, so that a file holds finished runs alone.

    Parameters
    ----------
    path : path
        CSV file of `start_file`.
    rows : sequence of StructureRow
        In order.
    """
    with Path(path).open("a", newline="", encoding="utf-8", buffering=1 << 24) as file:
        csv.DictWriter(file, _COLUMNS).writerows(asdict(row) for row in rows)


def runs_in(path: str | os.PathLike[str]) -> frozenset[RunKey]:
    """Runs that a file holds.

    Parameters
    ----------
    path : path
        CSV file of `start_file`.

    Returns
    -------
    frozenset of tuple
        Recipe, learning rate and seed of each.

    Raises
    ------
    SampleError
        If the file has other columns.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        records = csv.DictReader(file)
        if list(records.fieldnames or []) != _COLUMNS:
            raise SampleError(
                f"{path} holds the columns {', '.join(records.fieldnames or [])}, not those of this table: it cannot "
                "be continued. Leave --resume out, which replaces it, or name another file."
            )
        return frozenset(_key(record) for record in records)


def _key(record: dict[str, Any]) -> RunKey:
    return record["recipe"], float(record["learning_rate"]), int(record["seed"])
