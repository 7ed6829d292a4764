"""The scan for change points over many curves, beside loops over them."""

import numpy as np
import numpy.typing as npt

from geostat.bench.bars import Bar, Measured
from geostat.bench.clock import interleaved
from geostat.bench.settings import Found, Job, Settings
from geostat.statistics.changepoints.single_break import single_breaks

__all__ = ["ONSET_JOBS"]

_CURVES, _LENGTH, _SMALLEST, _SAMPLE = 10_000, 300, 45, 5
_STUDY = 144

_DYNP = Bar(
    "onset scan, 10,000 curves of 300, ruptures.Dynp", "ratio", at_least=500, goal=1000, error_bar=0.0
)
_LSTSQ = Bar("onset scan, 10,000 curves of 300, least-squares loop", "ratio", at_least=200, error_bar=0.0)
_TOTAL = Bar("onset scan, 144 x 10,000 curves of 300", "CPU-s", at_most=15)

Array = npt.NDArray[np.float64]


def _curves() -> Array:
    rng = np.random.default_rng(0)
    breaks = rng.integers(_SMALLEST, _LENGTH - _SMALLEST, _CURVES)
    return rng.standard_normal((_CURVES, _LENGTH)) + (np.arange(_LENGTH) >= breaks[:, None])


def _scan(curves: Array) -> Array:
    return single_breaks(curves, _SMALLEST).astype(float)


def _by_least_squares(curves: Array) -> Array:
    """Fit a step at every admissible place by a library's least squares, curve by curve."""
    found = []
    for curve in curves:
        best = (np.inf, 0)
        for last in range(_SMALLEST, _LENGTH - _SMALLEST + 1):
            step = np.stack([np.ones(_LENGTH), np.arange(_LENGTH) >= last], axis=1)
            best = min(best, (float(np.linalg.lstsq(step, curve, rcond=None)[1][0]), last))
        found.append(best[1])
    return np.array(found, dtype=float)


def _by_ruptures(curves: Array) -> Array:
    import ruptures  # type: ignore[import-untyped]

    search = ruptures.Dynp(model="l2", jump=1, min_size=_SMALLEST)
    return np.array([search.fit(curve).predict(1)[0] for curve in curves], dtype=float)


def _onset(settings: Settings) -> Found:
    curves = _curves()
    ours = _scan(curves)
    few = curves[:_SAMPLE]
    seconds = []
    for bar, rival in ((_DYNP, _by_ruptures), (_LSTSQ, _by_least_squares)):
        try:
            different = float((rival(few) != ours[:_SAMPLE]).sum())
        except ImportError:
            yield (
                bar,
                Measured(None, note="ruptures is not installed: pip install 'geostat-training[testing]'"),
            )
            continue
        timing = interleaved(lambda rival=rival: rival(few), lambda: _scan(curves), settings.repeats, inner=5)  # type: ignore[misc]
        scale = _CURVES / _SAMPLE
        note = f"the loop over {_SAMPLE} curves, times {scale:g}"
        seconds.append(timing.fast)
        yield bar, Measured(timing.ratio * scale, timing.naive * scale, timing.fast, different, note)
    yield _TOTAL, Measured(_STUDY * min(seconds), fast_seconds=min(seconds), note="144 times one scan")


ONSET_JOBS = (Job("onset", "change points of 10,000 curves, against loops", (_DYNP, _LSTSQ, _TOTAL), _onset),)
"""The scan."""
