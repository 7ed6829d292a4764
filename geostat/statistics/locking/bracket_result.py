"""The result of `lock_brackets`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import xarray as xr

from geostat.results import Column, LabelledResult, Row
from geostat.results.numbers import onset_text
from geostat.results.table import Text

__all__ = ["LockResult", "onset_of"]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class LockResult(LabelledResult):
    """Outcome and bracket of every run: exact, without interval.

    A row holds labels, ``last_out``, ``first_in`` (steps), ``outcome``, ``onset`` (the bracket as text),
    ``centre`` of the band, ``training_steps``, ``n_checkpoints``, ``n_undefined_before`` (steps before the
    first checkpoint with a value, of which nothing is known) and ``reason``.
    """

    @property
    def outcome(self) -> xr.DataArray | xr.Dataset:
        """What each run shows."""
        return self.quantity("outcome")

    @property
    def last_out(self) -> xr.DataArray | xr.Dataset:
        """Last checkpoint outside the band, also of runs that never lock."""
        return self.quantity("last_out")

    @property
    def first_in(self) -> xr.DataArray | xr.Dataset:
        """First checkpoint inside the band."""
        return self.quantity("first_in")

    def columns(self) -> Sequence[Column]:
        """Onset and number of checkpoints."""
        return [
            Column("onset (step)", onset_of),
            Column("checkpoints", lambda row: Text(str(row["n_checkpoints"]))),
        ]

    def statement(self) -> str:
        """One sentence for a paper: what each run shows, and that nothing is inferred from it."""
        told = [f"{self.variables[name].label}: {self._told(name)}" for name in self.cells]
        return f"Onset of locking per run (exact, by checkpoints, in steps; no inference): {'; '.join(told)}."

    def _told(self, name: str) -> str:
        counts: dict[str, dict[tuple[str, str], int]] = {}
        for row in self._rows_of(name, self.cells[name], self.labels()):
            outcomes = counts.setdefault(self._whose(row), {})
            told = row["onset"], _unknown_before(row)
            outcomes[told] = outcomes.get(told, 0) + 1
        recipes = [
            f"{recipe} {', '.join(_counted(*told, n) for told, n in found.items())}"
            for recipe, found in counts.items()
        ]
        return ", ".join(recipes)

    def _whose(self, row: Row) -> str:
        """Recipe and setting: the sides of one run are no two runs."""
        settings = [label for label in self.labels() if label not in _NO_SETTINGS]
        told = (f"{label} {row[label]}" for label in settings if row.get(label) is not None)
        return " ".join([str(row.get("recipe") or "all"), *told])


_NO_SETTINGS = ("variable", "recipe", "run", "seed", "step", "progress")
"""Labels of a row that say which run it is, and not under which setting it was measured."""


def onset_of(row: Row) -> Text:
    """Onset of one run as text.

    Parameters
    ----------
    row : mapping
        A row of a `LockResult`.

    Returns
    -------
    Text
        The bracket, or the outcome with its reason as a note; so too an onset before which the run has
        steps without a value.
    """
    text = onset_text(row["outcome"], row["last_out"], row["first_in"], row["reason"])
    return replace(text, note=row["reason"]) if _unknown_before(row) else text


def _unknown_before(row: Row) -> str:
    """What a left-censored onset does not say: that there was a checkpoint before."""
    censored = row["outcome"] == "left-censored" and row["n_undefined_before"] > 0
    return f"; no value before step {row['first_in']:g}" if censored else ""


def _counted(onset: str, unknown: str, count: int) -> str:
    return f"{onset} ({count} run{'s' if count != 1 else ''}{unknown})"
