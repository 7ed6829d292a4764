"""The law-free test of the gate: readings that must agree, and readings that must interlace."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geostat.nulls.gates.bins import HIGH, LOW
from geostat.nulls.gates.counts import GateCounts
from geostat.nulls.gates.readings import Reach, Readings, readings

__all__ = ["SHARE_WITHIN", "InterlacingTest", "interlacing_test"]

SHARE_WITHIN = 0.9
"""Share of the level that goes to equalities within binades; inequalities between binades have the rest.

Equalities use their share up under the null, inequalities with slack do not: an even split would halve the size.
"""
_FEWEST = 50
_DRAWS = 500
_LEAST_INFLATION = 0.5
"""Below this an estimated factor on binomial variances is chance: blocks are few."""

Floats = npt.NDArray[np.float64]
Contrasts = sparse.csr_array
"""One comparison a row, nearly all of two readings."""
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class InterlacingTest:
    """Whether the absolute update ignores the magnitudes of W_0, whatever its law.

    Attributes
    ----------
    p_value : float
        Of both parts, each weighted by its share of the level; NaN where there is nothing to compare.
    within, between : float
        p-values of either part; NaN where it has no readings.
    z_within, z_between : float
        Largest standardised violation.
    n_within, n_between : int
        Comparisons.
    """

    p_value: float
    within: float
    between: float
    z_within: float
    z_between: float
    n_within: int
    n_between: int


@dataclass(frozen=True, eq=False)
class _Estimates:
    """Shares with their covariance over blocks of rows and columns.

    `covariance` lets entries depend on each other along rows and along columns; `entrywise` is what it would be
    if they did not. No variance is taken smaller.
    """

    value: Floats
    covariance: Floats
    entrywise: Floats

    def standardized(self, contrasts: Contrasts) -> Floats:
        variance = np.maximum(_variances(contrasts, self.covariance), _variances(contrasts, self.entrywise))
        return np.asarray(contrasts @ self.value / np.sqrt(variance))

    def draws(
        self, contrasts: Contrasts, n: int, generator: np.random.Generator
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Standardised contrasts under the null, some draws at a time."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(values.clip(min=0.0))
        loads = contrasts @ root
        loads /= np.linalg.norm(loads, axis=1, keepdims=True).clip(min=np.finfo(float).tiny)
        single = loads.T.astype(np.float32)  # seven digits of a draw are plenty, in half the time
        for start in range(0, n, _DRAWS):
            shape = min(_DRAWS, n - start), len(values)
            yield generator.standard_normal(shape, dtype=np.float32) @ single


def interlacing_test(counts: GateCounts, *, n: int, generator: np.random.Generator) -> InterlacingTest:
    r"""Test that the absolute update ignores the magnitudes of W_0, without a law for the update.

    Under the null the share of entries that moved by j ulps or more is, in every binade, the survival function
    of the absolute update at (j - 1/2) u. Hence

    - *within* a binade the share is the same for its smaller and its larger half: two-sided comparisons for every
      binade and j, and one weighted mean over binades for j = 1;
    - *between* binades shares fall with (j - 1/2) u: each is compared with the next one of every other binade.

    Each part is the largest standardised comparison against its distribution in Gaussian draws with the estimated
    covariance. That of shares is estimated from blocks of rows and of columns (sum of both, less what entries would
    give by themselves, since both contain it), so that entries of one row or column may depend on each other;
    within binades that is one factor on the binomial variances, the mean over comparisons.
    p = min(p_within / .9, p_between / .1).

    Parameters
    ----------
    counts : GateCounts
        Steps.
    n : int
        Draws.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    InterlacingTest
        p-values and the largest violations.

    References
    ----------
    :cite:t:`cameron2011` for the covariance with two-way clusters.
    """
    z_within, within, n_within = _within(counts, n, generator)
    z_between, between, n_between = _between(readings(counts), n, generator)
    shares = [(within, SHARE_WITHIN), (between, 1 - SHARE_WITHIN)]
    known = [(p, share) for p, share in shares if not np.isnan(p)]
    total = sum(share for _, share in known)
    combined = min((p * total / share for p, share in known), default=np.nan)
    return InterlacingTest(
        float(np.minimum(combined, 1.0)), within, between, z_within, z_between, n_within, n_between
    )


def _within(counts: GateCounts, n: int, generator: np.random.Generator) -> tuple[float, float, int]:
    """Upper less lower half of every binade, two-sided.

    What rows and columns have in common falls out of a difference between halves, but for what is left of it in
    all comparisons alike: one factor on their variances, which has less error than one for each.
    """
    low, high = readings(counts, (LOW,)), readings(counts, (HIGH,))
    usable = _usable(low) & _usable(high)
    if not usable.any():
        return np.nan, np.nan, 0
    entrywise = _entrywise(low, usable) + _entrywise(high, usable)
    influences = (
        _influence(second, high, usable) - _influence(first, low, usable)
        for first, second in ((low.rows, high.rows), (low.columns, high.columns))
    )
    clustered = _two_way(influences, entrywise)
    inflation = max(_LEAST_INFLATION, float((np.diag(clustered) / np.diag(entrywise)).mean()))
    value = _shares(high)[usable] - _shares(low)[usable]
    difference = _Estimates(value, inflation * entrywise, inflation * entrywise)
    contrasts = sparse.csr_array(
        np.vstack([np.eye(len(difference.value)), *_weighted_mean(low, high, usable)])
    )
    z = float(np.abs(difference.standardized(contrasts)).max())
    beyond = sum(
        int((np.abs(draws).max(axis=1) >= z).sum()) for draws in difference.draws(contrasts, n, generator)
    )
    return z, (1 + beyond) / (1 + n), contrasts.shape[0]


def _between(found: Readings, n: int, generator: np.random.Generator) -> tuple[float, float, int]:
    """Every reading and the next one of every other binade: the one at the larger threshold must not be larger.

    Later readings of that binade say less: within a binade shares fall by construction.
    """
    usable = _usable(found)
    binade, _ = np.nonzero(usable)
    threshold = found.threshold[usable]
    if not len(threshold):
        return np.nan, np.nan, 0
    earlier, later = _neighbours(threshold, binade)
    if not len(earlier):
        return np.nan, np.nan, 0
    entrywise = _entrywise(found, usable)
    influences = (_influence(side, found, usable) for side in (found.rows, found.columns))
    shares = _Estimates(_shares(found)[usable], _two_way(influences, entrywise), entrywise)
    signs, rows = np.repeat([1.0, -1.0], len(earlier)), np.tile(np.arange(len(earlier)), 2)
    contrasts = sparse.csr_array(
        (signs, (rows, np.concatenate([later, earlier]))), shape=(len(earlier), len(threshold))
    )
    z = float(shares.standardized(contrasts).max())
    beyond = sum(int((draws.max(axis=1) >= z).sum()) for draws in shares.draws(contrasts, n, generator))
    return z, (1 + beyond) / (1 + n), contrasts.shape[0]


def _neighbours(threshold: Floats, binade: Indices) -> tuple[Indices, Indices]:
    """Positions of readings, and of the next one in every other binade that has one."""
    earlier, later = [], []
    for other in np.unique(binade):
        there = np.flatnonzero(binade == other)  # ascending in the threshold
        following = np.searchsorted(threshold[there], threshold)
        found = np.flatnonzero((following < len(there)) & (binade != other))
        earlier.append(found)
        later.append(there[following[found]])
    return np.concatenate(earlier), np.concatenate(later)


def _usable(found: Readings) -> Flags:
    """Readings for which a Gaussian approximation holds: 50 entries or more on either side."""
    return np.asarray((found.hits >= _FEWEST) & (found.entries[:, None] - found.hits >= _FEWEST))


def _shares(found: Readings) -> Floats:
    return np.asarray(found.hits / np.maximum(found.entries, 1)[:, None])


def _entrywise(found: Readings, usable: Flags) -> Floats:
    """Covariance of the shares if entries were independent: readings of one binade are nested."""
    share = _shares(found)
    binade, step = np.nonzero(usable)
    joint = share[binade[:, None], np.maximum(step[:, None], step)]
    product = share[usable][:, None] * share[usable]
    return np.where(binade[:, None] == binade, (joint - product) / found.entries[binade], 0.0)


def _two_way(influences: Iterable[Floats], entrywise: Floats) -> Floats:
    """Covariance over blocks of rows plus that over blocks of columns, less what is in both."""
    total = -entrywise
    for influence in influences:
        groups = len(influence)
        total = total + influence.T @ influence * (groups / max(groups - 1, 1))
    return np.asarray(total)


def _influence(side: Reach, found: Readings, usable: Flags) -> Floats:
    """What every block adds to the errors of the shares, shape (groups, readings)."""
    expected = _shares(found) * side.entries[..., None]
    return np.asarray(((side.hits - expected) / np.maximum(found.entries, 1)[:, None])[:, usable])


def _weighted_mean(low: Readings, high: Readings, usable: Flags) -> list[Floats]:
    """Weights of one mean over binades of the first visible step."""
    binade, step = np.nonzero(usable)
    weight = np.where(step == 0, 1 / (1 / low.entries[binade] + 1 / high.entries[binade]), 0.0)
    return [weight / weight.sum()] if np.count_nonzero(weight) > 1 else []


def _variances(contrasts: Contrasts, covariance: Floats) -> Floats:
    return np.asarray(contrasts.multiply(contrasts @ covariance).sum(axis=1))
