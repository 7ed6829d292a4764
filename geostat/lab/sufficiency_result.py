"""What twins say of a channel: intervals over seeds, equivalence, doses, and recipes against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import xarray as xr

from geostat.errors import SampleError
from geostat.lab.sufficiency_table import ARM, labelled, read_rows, write_rows
from geostat.statistics import compare, dose_response, equivalence, mean_ci
from geostat.statistics.doses.dose_response_result import DoseResponseResult
from geostat.statistics.means.comparison_result import ComparisonResult
from geostat.statistics.means.equivalence_result import EquivalenceResult
from geostat.statistics.means.mean_result import MeanResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Sufficiency"]


@dataclass(frozen=True, eq=False)
class Sufficiency:
    """Accuracies of twins, from `geostat.lab.functional_sufficiency`.

    Attributes
    ----------
    data : xarray.Dataset
        Dims run and arm, with recipe, seed, kind, K, side and project as coordinates. ``accuracy``,
        ``greedy_accuracy``, ``gain`` since the twins parted, ``difference`` from the free twin, ``retained`` share
        of its gain (NaN where it gained nothing), ``kept``, ``leak``, ``activation_overlap``. Coordinates
        ``parted_at`` and ``ended_at`` of a run are steps, ``width`` that of the model.
    """

    data: xr.Dataset

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read twins from a file of `write`.

        Parameters
        ----------
        path : path
            CSV file.

        Returns
        -------
        Sufficiency
            As it was written, to the last digit.

        Raises
        ------
        SampleError
            If the file holds something else.
        """
        return cls(labelled(read_rows(path)))

    def write(self, path: str | Path) -> None:
        """Write one line for each run and arm.

        Parameters
        ----------
        path : path
            CSV file; one that is there is replaced.
        """
        write_rows(self.data, path)

    def retained(self, *, level: float = 0.95) -> MeanResult:
        """Mean over seeds of the share of the free twin's gain, for every recipe and arm.

        Parameters
        ----------
        level : float
            Confidence level.

        Returns
        -------
        MeanResult
            A t-interval where a recipe has two runs or more. A share of a small gain is noisy: see `differences`.
        """
        return mean_ci(self._arms("retained"), dim=None, level=level, scale="identity")

    def differences(self, *, level: float = 0.95) -> MeanResult:
        """Mean over seeds of a twin's accuracy less that of its free twin: paired, because they share all else.

        Parameters
        ----------
        level : float
            Confidence level.

        Returns
        -------
        MeanResult
            Over recipe and arm.
        """
        return mean_ci(self._arms("difference"), dim=None, level=level, scale="identity")

    def plot(self, *, share: bool = True, level: float = 0.95, ax: "Axes | None" = None) -> "Axes":
        """Picture of all arms and recipes: share of the free twin's gain, or difference in accuracy from it.

        Parameters
        ----------
        share : bool
            `retained`; False for `differences`, which a small gain does not make noisy.
        level : float
            Confidence level.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new axes, whose figure pyplot does not know.

        Returns
        -------
        matplotlib.axes.Axes
            A row for each arm; the line is the free twin.
        """
        from geostat.lab.sufficiency_drawing import draw_twins

        if share:
            return draw_twins(self.retained(level=level).rows(), "share of the free twin's gain", 1.0, ax)
        words = "accuracy less that of the free twin"
        return draw_twins(self.differences(level=level).rows(), words, 0.0, ax)

    def equivalent(self, arm: str, *, margin: float, level: float = 0.95) -> dict[str, EquivalenceResult]:
        """Whether an arm ends within a margin of the free twin, for each recipe.

        Parameters
        ----------
        arm : str
            Label, such as ``"channel-16"``.
        margin : float
            Largest difference in expected accuracy that does not matter, declared before.
        level : float
            Of each one-sided test.

        Returns
        -------
        dict of str to EquivalenceResult
            By recipe; two one-sided t-tests on differences of twins, paired by seed.

        Raises
        ------
        SampleError
            If there is no such arm.
        """
        self._of("gain", arm)
        recipes = dict.fromkeys(map(str, self.data["recipe"].values))
        return {
            recipe: equivalence(
                self.by_arm("gain", recipe, [arm]),
                arm,
                "free",
                margin=margin,
                dim=None,
                paired=True,
                level=level,
            )
            for recipe in recipes
        }

    def between(self, arm: str, a: str, b: str, *, level: float = 0.95) -> ComparisonResult:
        """Share that an arm retains in one recipe less that in another, paired by seed.

        Parameters
        ----------
        arm : str
            Label.
        a, b : str
            Recipes.
        level : float
            Confidence level.

        Returns
        -------
        ComparisonResult
            Seeds share base and anchor.

        Raises
        ------
        SampleError
            If there is no such arm or recipe.
        """
        return compare(self._of("retained", arm), a, b, dim=None, paired=True, level=level)

    def by_arm(self, variable: str, recipe: str, arms: Sequence[str] | None = None) -> xr.DataArray:
        """Twins of one recipe as runs, with their arm in place of a recipe: what `geostat.compare` takes.

        Parameters
        ----------
        variable : str
            One of `data`.
        recipe : str
            Which.
        arms : sequence of str, optional
            Of these, and of the free twin; all by default.

        Returns
        -------
        xarray.DataArray
            Dim run, with recipe (the arm) and seed.

        Raises
        ------
        SampleError
            If there is no such recipe or arm.
        """
        for arm in arms or ():
            self._of(variable, arm)
        values = self.data[variable]
        chosen = values if arms is None else values.sel(arm=["free", *arms])
        found = chosen.isel(run=np.flatnonzero(values["recipe"].values == recipe))
        if not found.sizes["run"]:
            raise SampleError(
                f"there is no recipe {recipe!r}. There are {sorted(set(map(str, values['recipe'].values)))}."
            )
        return _by_arm(found)

    def doses(self, recipe: str, *, margin: float, level: float = 0.95, rng: int = 0) -> DoseResponseResult:
        """Gain over the size of the channel, and the size below which it is not the free twin's any more.

        The free twin stands at the width of the model. Twins of one seed share all but their directions, which is
        not used: intervals are wider for it.

        Parameters
        ----------
        recipe : str
            Which.
        margin : float
            Largest difference in expected accuracy that does not matter, declared before.
        level : float
            As in `geostat.dose_response`.
        rng : int
            Seed of its permutations.

        Returns
        -------
        DoseResponseResult
            Over K.

        Raises
        ------
        SampleError
            If there is no such recipe, or but one size.
        """
        arms = self.data[list(ARM)].drop_vars(["run"], errors="ignore")
        usual = (arms["side"] == "right") & (arms["project"] == "gradient") & (arms["kind"] == "channel")
        flat = self.by_arm("gain", recipe, [str(each) for each in self.data["arm"].values[usual.values]])
        width = int(flat["width"].values.max())
        doses = np.where(flat["kind"].values == "free", width, flat["K"].values).astype(float)
        flat = flat.drop_vars("K").assign_coords(K=("run", doses))
        return dose_response(
            flat,
            "K",
            reference=float(width),
            margin=margin,
            direction="increasing",
            dim=None,
            level=level,
            rng=rng,
        )

    def _arms(self, variable: str) -> xr.DataArray:
        """All arms but the free twin, which is what they are compared with."""
        values = self.data[variable]
        return values.isel(arm=np.flatnonzero(values["kind"].values != "free")).drop_vars(ARM)

    def _of(self, variable: str, arm: str) -> xr.DataArray:
        arms = [str(each) for each in self.data["arm"].values]
        if arm not in arms:
            raise SampleError(f"there is no arm {arm!r}. There are {', '.join(arms)}.")
        return self.data[variable].isel(arm=arms.index(arm)).drop_vars(["arm", *ARM])


def _by_arm(values: xr.DataArray) -> xr.DataArray:
    """One row a twin, with its arm in place of a recipe."""
    flat = (
        values.stack(twin=("run", "arm")).reset_index("twin").drop_vars(["run", "recipe"]).rename(twin="run")
    )
    return flat.assign_coords(recipe=("run", flat["arm"].values)).drop_vars("arm")
