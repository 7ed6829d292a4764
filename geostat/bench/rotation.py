"""The angles tier beside two decompositions: on the CPU it is measured, and not used."""

from functools import partial

import numpy as np
import torch

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import interleaved
from geostat.bench.pairs import Kind, updated_weight
from geostat.bench.rotated import rotated_angles
from geostat.bench.settings import Found, Job, Settings
from geostat.linalg import Factored, principal_angles
from geostat.linalg.factored import Side
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["ROTATION_JOBS", "direct_angles"]

_SIDES: tuple[Side, Side] = ("left", "right")
_KINDS: tuple[Kind, ...] = ("RLVR", "OPD", "SFT")


def direct_angles(initial: Factored, updated: Factored, k: int) -> list[torch.Tensor]:
    """Angles of both sides from the leading subspaces of either matrix, in radians.

    Parameters
    ----------
    initial, updated : Factored
        Shape (m, n).
    k : int
        Dimension of the subspaces.

    Returns
    -------
    list of torch.Tensor
        Left and right, shape (k,) each.
    """
    return [principal_angles(initial.vectors(k, side), updated.vectors(k, side)) for side in _SIDES]


def _bar(size: int, k: int, kind: Kind) -> Bar:
    return Bar(f"angles followed from W_0, {size} x {size}, k = {k}, like {kind}, CPU", "ratio")


def _compare(size: int, k: int, settings: Settings) -> Found:
    before = heavy_tailed_weight(size, size, np.random.default_rng(0))
    initial = Factored(before, wanted=k)
    for kind in _KINDS:
        after = updated_weight(before, kind, np.random.default_rng(1))
        found = rotated_angles(initial, Factored(after), k)
        timing = interleaved(
            lambda after=after: direct_angles(initial, Factored(after, wanted=k), k),  # type: ignore[misc]
            lambda after=after: rotated_angles(initial, Factored(after), k),  # type: ignore[misc]
            settings.repeats,
        )
        if found is None:
            note = "beyond the gate: these seconds come on top of the two decompositions"
            yield _bar(size, k, kind), Measured(timing.ratio, timing.naive, timing.fast, note=note)
            continue
        exact = direct_angles(initial, Factored(after, wanted=k), k)
        error = max(float((a - b).abs().max()) for a, b in zip(found[:2], exact, strict=True))
        note = "largest difference of an angle, in degrees, gap-limited or not"
        yield (
            _bar(size, k, kind),
            Measured(timing.ratio, timing.naive, timing.fast, float(np.degrees(error)), note),
        )


def _job(size: int, k: int, *, nightly: bool) -> Job:
    bars = tuple(_bar(size, k, kind) for kind in _KINDS)
    says = "rotation of W_0's basis against decomposing W_t; ratio above 1 where it wins"
    return Job(f"rotation-{size}", says, bars, partial(_compare, size, k), nightly)


ROTATION_JOBS = (_job(1024, 512, nightly=False), _job(4096, 512, nightly=True))
"""The angles tier on the CPU."""
