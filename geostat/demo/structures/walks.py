"""Stable rank and similarity to the end, beside random walks that take steps of the run's size."""

from collections.abc import Sequence

import xarray as xr

from geostat.checkpoints import MatrixRef
from geostat.demo.structures.figures import CHANNEL, SIDES, Figures, Row, similarity_name
from geostat.demo.structures.weights import halfway
from geostat.lab import Branch
from geostat.nulls.null_result import NullResult
from geostat.nulls.walks.diffusion import diffusion_null

__all__ = ["walk_figures"]

_WALKS = 59


def walk_figures(branch: Branch, refs: Sequence[MatrixRef], *, rng: int) -> dict[str, Figures]:
    """Figures of each matrix: stored beside walks through rounding, masters beside unrounded walks.

    Parameters
    ----------
    branch : Branch
        A run with both storages.
    refs : sequence of MatrixRef
        Which matrices.
    rng : int
        Seed.

    Returns
    -------
    dict
        By matrix, then by figure.
    """
    names = [ref.name for ref in refs]
    stored, trained = (_null(branch, names, dtype, rng) for dtype in ("bf16", "fp32"))
    end, middle = branch.saved_steps[-1], halfway([step for step in branch.saved_steps if step > 0])
    found: dict[str, Figures] = {}
    for name in names:
        found[name] = {"stable_rank": _told(stored, trained, "stable_rank", matrix=name, step=end)}
        if middle is None:
            continue
        for side in SIDES:
            place: Row = {"matrix": name, "side": side, "step": middle}
            found[name][similarity_name(side)] = _told(stored, trained, "similarity_to_end", **place)
    return found


def _null(branch: Branch, names: list[str], dtype: str, rng: int) -> NullResult:
    return diffusion_null(
        branch.base(dtype),
        list(branch.checkpoints(dtype)),
        statistics=["stable_rank", "similarity_to_end"],
        matrices=names,
        dim=None,
        K=CHANNEL,
        n=_WALKS,
        rng=rng,
    )


def _told(stored: NullResult, trained: NullResult, figure: str, **place: str | int) -> Row:
    def cell(null: NullResult) -> xr.Dataset:
        return null.cells[figure].sel(place)

    return {
        "observed": float(cell(stored)["observed"]),
        "null": float(cell(stored)["null_mean"]),
        "p_value": float(cell(stored)["p_value"]),
        "true": float(cell(trained)["observed"]),
        "true_excess": float(cell(trained)["excess"]),
    }
