"""The gate null: the law-free test over large matrices, and all figures of a model's worth of them."""

import numpy as np

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import interleaved
from geostat.bench.pairs import updated_weight
from geostat.bench.settings import Found, Job, Settings
from geostat.linalg import Factored
from geostat.nulls.gates.counts import gate_counts
from geostat.nulls.gates.gate import gate_null
from geostat.nulls.gates.interlacing import interlacing_test
from geostat.nulls.published.weights import heavy_tailed_weight

__all__ = ["GATE_JOBS"]

_LARGE, _SMALL, _MATRICES = 4096, 1024, 144

_SPEED = Bar(f"gate null, law-free test, {_LARGE} x {_LARGE}, speed", "GB/s a core", at_least=1)
_STUDY = Bar(
    f"gate null, law-free and under laws, {_MATRICES} matrices of {_SMALL} x {_SMALL}", "CPU-min", at_most=10
)


def _gate(settings: Settings) -> Found:
    before = heavy_tailed_weight(_LARGE, _LARGE, np.random.default_rng(0))
    initial, updated = Factored(before), Factored(updated_weight(before, "OPD", np.random.default_rng(1)))

    def test() -> float:
        counts = gate_counts(initial, updated)
        return interlacing_test(counts, n=999, generator=np.random.default_rng(0)).p_value

    timing = interleaved(test, lambda: gate_counts(initial, updated), settings.repeats)
    read = 2 * before.numel() * before.element_size()
    note = f"W_0's magnitudes counted before; counting the pair {read / timing.fast / 1e9:.2g} GB/s"
    yield _SPEED, Measured(read / timing.naive / 1e9, fast_seconds=timing.naive, note=note)

    before = heavy_tailed_weight(_SMALL, _SMALL, np.random.default_rng(0))
    after = updated_weight(before, "OPD", np.random.default_rng(1))

    def law_free() -> None:
        gate_null(before, after, statistic="low_magnitude_mask_overlap")

    def laws() -> None:
        gate_null(before, after, statistic="low_magnitude_mask_overlap", method="law")

    timing = interleaved(law_free, laws, settings.repeats)
    note = (
        f"law-free {timing.naive:.2g} s, laws {timing.fast:.2g} s a matrix, with intervals of both overlaps"
    )
    total = _MATRICES * (timing.naive + timing.fast) / 60
    yield _STUDY, Measured(total, timing.naive, timing.fast, note=note)


GATE_JOBS = (
    Job(
        "gate",
        "the gate null: one pass over a pair, and 144 matrices with intervals",
        (_SPEED, _STUDY),
        _gate,
    ),
)
"""The gate null."""
