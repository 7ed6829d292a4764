"""The base of every result: what was estimated, how, from what, and what it does not say."""

import html
import importlib.metadata
import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from geostat.results import serialization
from geostat.results.table import Column, Row, Table, Text, build_table, escape_latex

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["Result", "Row", "Scope", "Variable", "versions"]

Scope = Literal["population of runs", "within-run", "model-dependent", "descriptive"]

SHOWN_ROWS = 40
"""Rows that a terminal or notebook shows of a long result."""


@dataclass(frozen=True)
class Variable:
    """What a metric is called and measured in.

    Attributes
    ----------
    name : str
        Identifier.
    long_name : str
        Axis label; the identifier when there is none.
    units : str
        ``""`` when unknown, ``"1"`` for a pure number.
    symbol : str
        LaTeX, without dollar signs.
    reference : str
        Where the metric is defined.
    valid_min, valid_max : float or None
        Bounds that theory allows.
    """

    name: str
    long_name: str = ""
    units: str = ""
    symbol: str = ""
    reference: str = ""
    valid_min: float | None = None
    valid_max: float | None = None

    @property
    def label(self) -> str:
        """Long name with units: text for an axis or a table."""
        units = f" ({self.units})" if self.units not in ("", "1") else ""
        return (self.long_name or self.name) + units

    @property
    def attrs(self) -> dict[str, str]:
        """Attributes of an array in this metric's units."""
        named = {"long_name": self.long_name or self.name, "symbol": self.symbol, "reference": self.reference}
        return {"units": self.units} | {key: value for key, value in named.items() if value}

    @property
    def text(self) -> Text:
        """Identifier on a terminal, long name in a paper."""
        return Text(self.name, escape_latex(self.label))


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Result(ABC):
    """A frozen answer that carries its own meaning.

    A leaf writes `rows`, `columns` and `statement`; the printed table, HTML, frame, LaTeX and JSON
    are all made from the rows, so they cannot disagree.

    Attributes
    ----------
    title : str
        One line: quantity, method.
    estimand : str
        A sentence that says what is estimated, or stated.
    method : str
        How.
    scope : {"population of runs", "within-run", "model-dependent", "descriptive"}
        What the answer speaks about.
    level : float or None
        Confidence level; None where nothing is inferred.
    variables : mapping of str to Variable
        Names and units.
    n_runs, n_matrices, n_steps : int
        Size of the data; rows carry the numbers of each cell.
    assumptions, warnings : tuple of str
        What must hold, and what was noticed.
    settings : mapping
        Arguments of the call.
    protocol, protocol_hash : str
        Convention under which the data were measured; empty when the data do not say.
    plan_hash : str
        Hash of the `Analysis` that was declared before; empty where none was.
    exploratory : str
        Why the answer lies outside that plan; empty where it is part of it.
    seed : int or None
        Of the random numbers that the answer rests on; None where it rests on none.
    versions : mapping of str to str
        Software.
    """

    title: str
    estimand: str
    method: str
    scope: Scope
    level: float | None
    variables: Mapping[str, Variable]
    n_runs: int
    n_matrices: int
    n_steps: int
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    protocol: str = ""
    protocol_hash: str = ""
    plan_hash: str = ""
    exploratory: str = ""
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=lambda: versions())

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """One mapping per cell: labels, numbers, and a reason where there is no interval."""

    @abstractmethod
    def columns(self) -> Sequence[Column]:
        """Columns beyond the labels that a table shows."""

    @abstractmethod
    def statement(self) -> str:
        """What `sentence` says, without the plan."""

    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Keys of a row that say which cell it is."""

    @abstractmethod
    def layout(self) -> dict[str, Any]:
        """How rows fold back into arrays, for `from_json`."""

    @classmethod
    @abstractmethod
    def _from_record(cls, metadata: dict[str, Any], layout: dict[str, Any], rows: list[Row]) -> Self:
        """Rebuild the result from what JSON held."""

    @abstractmethod
    def to_xarray(self) -> "xr.Dataset":
        """Labelled arrays of estimates, interval ends, counts and reasons."""

    def table(self) -> Table:
        """Lay the rows out as a table of texts.

        Returns
        -------
        Table
            Labels that vary or say something, then the leaf's columns.
        """
        rows = self.rows()
        return build_table(rows, [*self._label_columns(rows), *self.columns()], self.remarks_below())

    def sentence(self) -> str:
        """One sentence for a paper: level, method, sampling unit, n, and the plan where there is one.

        Returns
        -------
        str
            Ends with a full stop.
        """
        told = self.statement()
        return f"{told.removesuffix('.')} ({self.planned})." if self.planned else told

    @property
    def planned(self) -> str:
        """Whether the answer was declared before, in words; empty where there is no plan."""
        if not self.plan_hash:
            return ""
        if self.exploratory:
            return f"exploratory: outside plan {self.plan_hash}, {self.exploratory}"
        return f"pre-declared: plan {self.plan_hash}"

    def remarks_below(self) -> list[str]:
        """Sentences below every table: what its columns mean, and the plan where there is one."""
        return [*self.explanations(), *self.told_plan()]

    def told_plan(self) -> list[str]:
        """Sentence below a table that names the plan; none where there is no plan."""
        return [f"Plan: {self.planned}."] if self.planned else []

    def explanations(self) -> Sequence[str]:
        """Sentences below the table on what its columns mean."""
        return ()

    def _label_columns(self, rows: Sequence[Row]) -> list[Column]:
        names = [name for name in self.labels() if name != "variable" or len(self.variables) > 1]
        told = [name for name in names if any(row[name] is not None for row in rows)]
        if "step" in told and "progress" in told:
            told.remove("progress")
        return [_label_column(name, rows, self.variables) for name in told]

    def _remarks(self) -> list[str]:
        level = f", level {percent(self.level)}" if self.level is not None else ""
        protocol = f"; protocol {self.protocol} ({self.protocol_hash})" if self.protocol else ""
        undeclared = self.level is not None and not self.planned
        return [
            f"Estimand: {self.estimand}",
            f"Method: {self.method}{level}. Scope: {self.scope}{protocol}.",
            *(["Plan: none was declared before, so the answer is exploratory."] if undeclared else []),
            *(f"Warning: {warning}" for warning in self.warnings),
        ]

    def __repr__(self) -> str:
        """Table, footnotes, scope and warnings."""
        return "\n".join([self.title, "", self.table().to_text(SHOWN_ROWS), "", *self._remarks()])

    def _repr_html_(self) -> str:
        remarks = "".join(f"<p><small>{html.escape(remark)}</small></p>" for remark in self._remarks())
        return f"<p><b>{html.escape(self.title)}</b></p>{self.table().to_html(SHOWN_ROWS)}{remarks}"

    def to_frame(self) -> "pd.DataFrame":
        """One line per cell.

        Returns
        -------
        pandas.DataFrame
            What `rows` gives, with unrounded numbers.
        """
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_latex(self, *, caption: str | None = None, label: str = "", standalone: bool = False) -> str:
        r"""Table for a paper, in booktabs style.

        Parameters
        ----------
        caption : str, optional
            Plain text; by default the estimand and the method.
        label : str
            For ``\ref``.
        standalone : bool
            Whether to wrap it in a document that compiles by itself.

        Returns
        -------
        str
            A ``table`` environment; the preamble needs ``\usepackage{booktabs}``.
        """
        inferred = f" Intervals: {percent(self.level)} {self.method}." if self.level is not None else ""
        text = self.estimand + inferred if caption is None else caption
        return self.table().to_latex(caption=text, label=label, standalone=standalone)

    def drawn(self) -> str:
        """Say below a picture what its intervals are."""
        return f"{percent(self.level or 0)} {self.method}"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Picture for a paper: estimates with their intervals, and why some have none.

        Over steps, doses or numbers of runs a line for each recipe, with error bars at few checkpoints and
        a band at many (more than 12); otherwise a row for each answer. Onsets of single runs are brackets from
        the last checkpoint outside to the first one inside. A cell without interval is a hollow point with
        the reason beside it.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes, whose figure pyplot does not know.

        Returns
        -------
        matplotlib.axes.Axes
            Save with ``result.plot().figure.savefig(path)``.

        Raises
        ------
        SampleError
            If several metrics would share an axis (select one with ``result[name]``), or the result holds
            no estimates with intervals.
        """
        from geostat.results.drawing import draw

        return draw(self, ax)

    def to_json(self) -> str:
        """Everything as JSON, NaN as null.

        Returns
        -------
        str
            Text that `from_json` reads back.
        """
        return serialization.dump(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON of a result of this class.

        Returns
        -------
        Result
            The same result.

        Raises
        ------
        SampleError
            If the text holds no result, or one of another class.
        """
        metadata, layout, rows = serialization.load(text, cls.__name__)
        metadata["variables"] = {name: Variable(**entry) for name, entry in metadata["variables"].items()}
        return cls._from_record(metadata, layout, rows)


def percent(level: float) -> str:
    """Write a level as a percentage.

    Parameters
    ----------
    level : float
        In (0, 1).

    Returns
    -------
    str
        ``"95%"``.
    """
    return f"{100 * level:.6g}%"


def versions() -> dict[str, str]:
    """Versions of the software that a result rests on.

    Returns
    -------
    dict
        Package name -> version.
    """
    found = {"python": platform.python_version()}
    for package in ("geostat-training", "numpy", "scipy", "xarray"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a distribution"
    return found


def _label_column(name: str, rows: Sequence[Row], variables: Mapping[str, Variable]) -> Column:
    number = all(isinstance(row.get(name), int | float | None) for row in rows)
    return Column(name, lambda row: _label_text(name, row.get(name), variables), number=number)


def _label_text(name: str, value: Any, variables: Mapping[str, Variable]) -> Text:
    if value is None:
        return Text("")
    if name == "variable" and value in variables:
        return variables[value].text
    return Text(f"{value:.3g}" if isinstance(value, float) else str(value))
