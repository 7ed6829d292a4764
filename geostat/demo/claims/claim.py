"""A claim of the literature with what was found: figures, intervals, a verdict."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Literal

__all__ = ["Claim", "Figure", "Role", "Verdict", "all_hold", "read_claims", "write_claims"]

Verdict = Literal["supported", "contradicted", "undetermined"]
Role = Literal["claim", "control", "beside"]


@dataclass(frozen=True)
class Figure:
    """One estimate.

    Attributes
    ----------
    what : str
        In words.
    estimate, low, high : float
        With a 95% interval over seeds, or of the level that `what` names; NaN where there is none.
    n : int
        Seeds.
    role : {"claim", "control", "beside"}
        Whether the verdict rests on it, whether it says if the claim survives its control, or neither.
    holds : bool or None
        Whether the interval says so (True), says the opposite (False), or neither; None too where nothing is asked.
    published : str
        The source's figure, where it gives one.
    """

    what: str
    estimate: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    role: Role = "beside"
    holds: bool | None = None
    published: str = ""


@dataclass(frozen=True)
class Claim:
    """What was claimed, and what the laboratory's runs say.

    Attributes
    ----------
    key : str
        Short name.
    statement : str
        The claim.
    source : str
        Where it stands.
    because : str
        What it is about, and what to keep in mind.
    figures : sequence of Figure
        Those that the verdict rests on first.
    """

    key: str
    statement: str
    source: str
    because: str
    figures: Sequence[Figure]

    @property
    def verdict(self) -> Verdict:
        """Supported where each interval that it rests on says so, contradicted where one says the opposite."""
        return all_hold(figure for figure in self.figures if figure.role == "claim")

    @property
    def control(self) -> Verdict | None:
        """The same of its controls: whether they leave anything to the claim. None where there is none."""
        found = [figure for figure in self.figures if figure.role == "control"]
        return all_hold(found) if found else None


def all_hold(figures: Iterable[Figure]) -> Verdict:
    """Verdict of a claim that needs all of its figures: intersection-union, so that no level has to be adjusted.

    Parameters
    ----------
    figures : iterable of Figure
        Those that count.

    Returns
    -------
    str
        Verdict.

    Examples
    --------
    >>> all_hold([Figure("a", 1.0, holds=True), Figure("b", 0.1, holds=None)])
    'undetermined'
    """
    told = [figure.holds for figure in figures]
    if any(each is False for each in told):
        return "contradicted"
    return "supported" if told and all(told) else "undetermined"


_OF_CLAIM = ("key", "statement", "source", "because")
_OF_FIGURE = tuple(field.name for field in fields(Figure))


def write_claims(claims: Iterable[Claim], path: str | Path) -> None:
    """Write one line for each figure.

    Parameters
    ----------
    claims : iterable of Claim
        What.
    path : path
        CSV file; one that is there is replaced.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*_OF_CLAIM, *_OF_FIGURE], lineterminator="\n")
        writer.writeheader()
        for claim in claims:
            for figure in claim.figures:
                told = {name: getattr(claim, name) for name in _OF_CLAIM} | asdict(figure)
                writer.writerow(told | {name: f"{told[name]:.6g}" for name in ("estimate", "low", "high")})


def read_claims(path: str | Path) -> list[Claim]:
    """Read what `write_claims` wrote.

    Parameters
    ----------
    path : path
        CSV file.

    Returns
    -------
    list of Claim
        In their order.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = []
    for _, each in groupby(rows, key=lambda row: row["key"]):
        group = list(each)
        figures = [_figure({name: row[name] for name in _OF_FIGURE}) for row in group]
        found.append(Claim(**{name: group[0][name] for name in _OF_CLAIM}, figures=figures))
    return found


def _figure(row: dict[str, str]) -> Figure:
    holds = {"True": True, "False": False}.get(row.pop("holds"))
    numbers = {name: float(row.pop(name)) for name in ("estimate", "low", "high")}
    return Figure(n=int(row.pop("n")), holds=holds, **numbers, **row)  # type: ignore[arg-type]
