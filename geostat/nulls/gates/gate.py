"""The gate null: which figures an update that ignores W_0 gives once rounding has hidden its small steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from geostat.diagnostics.settings import capped_rank
from geostat.errors import SampleError
from geostat.linalg import Factored, MatrixLike, factored
from geostat.linalg.elementwise_masks import Ranking, rank_by_magnitude, rank_by_reconstruction
from geostat.nulls.building import null_result, variable_of
from geostat.nulls.gates.counts import GateCounts, gate_counts
from geostat.nulls.gates.figures import Figure, density, overlap, sparsity
from geostat.nulls.gates.interlacing import interlacing_test
from geostat.nulls.gates.law import ANY_LAW, expected_under_laws
from geostat.nulls.gates.law_free import Expected, half_width, law_free_expected, observed
from geostat.nulls.gates.permutation import permuted_figures
from geostat.nulls.gates.request import GateMethod, GateRequest, GateStatistic, gate_request
from geostat.nulls.gates.storage import sixteen_bit_pair, storage_of, unrounded_pair
from geostat.nulls.gates.strata import dispersion_within_strata, overlap_within_strata
from geostat.nulls.gates.words import ASSUMPTIONS, CANNOT_SEE, CONDITIONS_ON, ESTIMAND, METHODS
from geostat.nulls.null_result import NullResult
from geostat.protocols import Protocol
from geostat.statistics.runs.randomness import Randomness, seeded

__all__ = ["gate_null"]

Floats = npt.NDArray[np.float64]
_FIGURES = {"update_sparsity": sparsity, "update_density": density}
_UNKNOWN = {
    name: variable_of(name, long_name=f"{name.split('_')[0]} dispersion of the visible update")
    for name in ("row_dispersion", "column_dispersion")
}


def gate_null(
    initial: MatrixLike,
    updated: MatrixLike,
    *,
    statistic: GateStatistic,
    method: GateMethod = "law-free",
    protocol: str | Protocol = "shen2026",
    alpha: float | Sequence[float] | None = None,
    r: int | float | None = None,
    n: int = 999,
    level: float = 0.95,
    rng: Randomness = 0,
) -> NullResult:
    r"""Gate null: what an update that ignores W_0 shows after rounding.

    A stored update is the true one seen through a gate: a step below half an ulp vanishes, and the ulp grows with
    the weight. So small weights change more often even if training ignores W_0, and sparsity, overlaps with
    masks and dispersions have other baselines than chance. The null hypothesis is that the absolute update of an
    entry does not depend on the magnitude of W_0 there; storage then rounds.

    - ``"law-free"``: in a binade with ulp u the share of entries that moved by j ulps or more is the survival
      function of the absolute update at (j - 1/2) u, the same function in all binades. The p-value is that of the
      hypothesis, the same for all figures: halves of a binade must agree, binades must interlace. The mean reads
      the visible share of every binade off the monotone curve nearest to all readings. It measures by how much the
      figure breaks that rule, and is no estimate of selectivity at equal density (``"law"`` is one).
    - ``"law"``: entries are Gaussian, Laplace or Student t. The scale gives the observed density, Student's shape
      the sizes of visible steps; sparsity and density are predicted from those sizes alone. A row for
      each law and one for their range, whose mean is that of Student's law (which contains the Gaussian one), its
      p-value the largest.
    - ``"permutation"``: whole rows and columns of the update trade places, then weights are rounded to bf16. Needs
      unrounded weights of both checkpoints.
    - ``"strata"``: visible entries are drawn anew among the entries of the same magnitude.

    It is not a test of whether training matters, and says nothing of directions in which weights move.

    Parameters
    ----------
    initial, updated : array, tensor or Factored
        Shape (m, n). Stored in one 16-bit type (or wider numbers that all are such), but for
        ``method="permutation"``.
    statistic : str
        ``"update_sparsity"``, ``"update_density"``, ``"low_magnitude_mask_overlap"``,
        ``"principal_mask_overlap"``, and for permutation and strata ``"row_dispersion"`` or
        ``"column_dispersion"``: the variance of the number of visible entries over rows (columns), over that
        of independent entries.
    method : {"law-free", "law", "permutation", "strata"}
        Which null.
    protocol : str or Protocol
        Gives `alpha` and `r` where they are not named, and what counts as changed: it has to be another stored
        number.
    alpha : float or sequence of float, optional
        Shares of entries in the masks of an overlap.
    r : int or float, optional
        Rank of W_0's reconstruction in the principal mask.
    n : int
        Draws behind a p-value, where it rests on draws. The law-free test gives a tenth of its level to the
        comparison between binades, so that its smallest p-value there is 10 / (n + 1).
    level : float
        Of the interval between ``low`` and ``high``, in which the null keeps the figure.
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    NullResult
        ``observed``, ``null_mean``, ``null_sd`` (of observed less mean), ``low``, ``high``, ``p_value``; dims
        ``alpha`` where several masks are asked for, ``law`` with ``method="law"``. It speaks of this
        matrix alone: matrices of a run are no random sample.

    Raises
    ------
    ProtocolError
        If the method cannot answer for the statistic, storage does not suit the method, or a setting means nothing.
    SampleError
        If nothing changed, or everything did; if the matrix is too small.
    ShapeError
        If the shapes differ.
    NonFiniteError
        If an entry is NaN or infinite.

    References
    ----------
    :cite:t:`zhu2025`, :cite:t:`shen2026` for the figures; :cite:t:`barlow1972` for the monotone fit;
    :cite:t:`cameron2011` for the variance over rows and columns.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> start = torch.randn(256, 256, generator=generator).bfloat16()
    >>> end = (start + 5e-4 * torch.randn(256, 256, generator=generator)).bfloat16()
    >>> found = gate_null(start, end, statistic="low_magnitude_mask_overlap", alpha=0.3, rng=0)
    >>> bool(found.observed > 0.5), bool(abs(found.excess) < 0.02)  # far above .3, and explained by rounding
    (True, True)
    """
    asked = gate_request(statistic, method, protocol=protocol, alpha=alpha, r=r, n=n, level=level)
    generator, seed = seeded(rng)
    pair = factored(initial), factored(updated)
    answer = {"law-free": _law_free, "law": _law, "permutation": _permutation, "strata": _strata}[method]
    cells, told = answer(*pair, asked, generator)
    shares = method == "law" and statistic in _FIGURES
    return null_result(
        {
            statistic: cells
            if len(asked.alphas) > 1
            else cells.squeeze("alpha", drop=np.isnan(asked.alphas[0]))
        },
        variables={name: each for name, each in _UNKNOWN.items() if name == statistic},
        title=f"{variable_of(statistic).label}: {METHODS[method]}",
        estimand=ESTIMAND,
        method=METHODS[method],
        conditions_on=CONDITIONS_ON["law of shares" if shares else method],
        cannot_see=CANNOT_SEE[method],
        assumptions=ASSUMPTIONS[method],
        level=level,
        seed=None if method == "law" else seed,
        settings={"statistic": statistic, "method": method, "alpha": asked.alphas, "r": asked.r, "n": n}
        | told,
    )


def _law_free(
    initial: Factored, updated: Factored, asked: GateRequest, generator: np.random.Generator
) -> tuple[xr.Dataset, dict[str, Any]]:
    counts, figures = _counted(initial, updated, asked)
    seen = observed(counts, figures)
    test = interlacing_test(counts, n=asked.n, generator=generator)
    expected = law_free_expected(counts, figures)
    p_value = np.full(len(figures), test.p_value)
    cells = _cells(seen, expected, half_width(counts, asked.level), p_value, asked)
    if np.isnan(expected.mean).any():
        cells = cells.assign(reason=("alpha", [_TOO_SMALL] * len(figures)))
    return cells, {
        "z within binades": test.z_within,
        "z between binades": test.z_between,
        "comparisons within binades": test.n_within,
        "comparisons between binades": test.n_between,
    }


_TOO_SMALL = "no binade of W_0 holds 256 entries whose steps stay within it"


def _law(
    initial: Factored, updated: Factored, asked: GateRequest, _: np.random.Generator
) -> tuple[xr.Dataset, dict[str, Any]]:
    from scipy.special import stdtr

    counts, figures = _counted(initial, updated, asked)
    seen, width = observed(counts, figures), half_width(counts, asked.level)
    under = expected_under_laws(counts, figures)
    blocks = min(len(counts.rows), len(counts.columns))
    each = [
        _cells(seen, e, width, 2 * stdtr(max(blocks - 1, 1), -np.abs(seen - e.mean) / e.sd), asked)
        for e in under.expected
    ]
    names = [law.name for law in under.laws]
    told = {f"{law.name}: scale": law.scale for law in under.laws}
    told |= {f"{law.name}: degrees of freedom": law.shape for law in under.laws if not np.isnan(law.shape)}
    return xr.concat([*each, _range_of(each)], xr.Variable("law", [*names, ANY_LAW])), told


def _range_of(each: list[xr.Dataset]) -> xr.Dataset:
    """All laws together: the interval that holds those of each, and the p-value of the law that explains most."""
    together = xr.concat(each, "law")
    return each[-1].assign(
        low=together["low"].min("law"),
        high=together["high"].max("law"),
        p_value=together["p_value"].max("law"),
    )


def _permutation(
    initial: Factored, updated: Factored, asked: GateRequest, generator: np.random.Generator
) -> tuple[xr.Dataset, dict[str, Any]]:
    before, after = unrounded_pair(initial, updated)
    ranking = _ranking(initial, asked, space="bf16")
    seen, draws = permuted_figures(
        before, after, asked.statistic, ranking, asked.alphas, n=asked.n, generator=generator
    )
    if np.isnan(seen).any():
        raise SampleError(
            "No entry changes visibly once both weights are rounded to bf16: take a later checkpoint."
        )
    return _cells_of_draws(seen, draws, asked), {}


def _strata(
    initial: Factored, updated: Factored, asked: GateRequest, generator: np.random.Generator
) -> tuple[xr.Dataset, dict[str, Any]]:
    pair = sixteen_bit_pair(initial, updated)
    observed(*_counted(initial, updated, asked))
    ranking = _ranking(initial, asked, space="bf16")
    if ranking is None:
        found = dispersion_within_strata(pair, asked.statistic, n=asked.n, generator=generator)
        if found.draws is None:  # pragma: no cover - a dispersion always comes with draws
            raise AssertionError("no draws")
        return _cells_of_draws(np.array([found.observed]), found.draws[:, None], asked), {}
    each = [overlap_within_strata(pair, ranking, alpha) for alpha in asked.alphas]
    seen, mean, sd = (np.array([getattr(one, name) for one in each]) for name in ("observed", "mean", "sd"))
    from scipy.special import ndtr, ndtri

    p_value = 2 * ndtr(-np.abs(seen - mean) / sd)
    return _cells(seen, Expected(mean, sd), float(ndtri((1 + asked.level) / 2)), p_value, asked), {}


def _counted(initial: Factored, updated: Factored, asked: GateRequest) -> tuple[GateCounts, list[Figure]]:
    """One pass over the pair, and what is read off it."""
    space = "raw" if storage_of(initial) is torch.float16 else "bf16"
    ranking = _ranking(initial, asked, space=space)
    by_magnitude = ranking is not None and not ranking.largest
    counts = gate_counts(
        initial,
        updated,
        edges=ranking.edges() if ranking is not None and by_magnitude else (),
        mask=None if by_magnitude else ranking,
    )
    if ranking is None:
        return counts, [_FIGURES.get(asked.statistic, density)()]
    return counts, [overlap(ranking, alpha, counts.bins) for alpha in asked.alphas]


def _ranking(initial: Factored, asked: GateRequest, *, space: Any) -> Ranking | None:
    """Masks of an overlap, made once for each W_0."""
    if asked.statistic == "low_magnitude_mask_overlap":
        key = ("low magnitudes", space, asked.alphas)
        return initial.remember(key, lambda: rank_by_magnitude(initial, asked.alphas, space))
    if asked.statistic != "principal_mask_overlap":
        return None
    used = capped_rank(initial.smaller, asked.r, setting="r")
    if used == 0:
        raise SampleError("A single row or column has no principal mask: its overlap is undefined.")
    key = ("principal codes", used, asked.alphas)
    return initial.remember(key, lambda: rank_by_reconstruction(initial, used, asked.alphas))


def _cells(seen: Floats, expected: Expected, width: float, p_value: Floats, asked: GateRequest) -> xr.Dataset:
    mean, sd = expected
    values = (seen, mean, sd, mean - width * sd, mean + width * sd, p_value)
    names = ("observed", "null_mean", "null_sd", "low", "high", "p_value")
    return xr.Dataset(
        {
            name: ("alpha", np.asarray(value, dtype=np.float64))
            for name, value in zip(names, values, strict=True)
        },
        coords={"alpha": list(asked.alphas)},
    )


def _cells_of_draws(seen: Floats, draws: Floats, asked: GateRequest) -> xr.Dataset:
    mean, sd = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    centre = np.vstack([draws, seen]).mean(axis=0)  # of all, as they are exchangeable under the null
    beyond = (np.abs(draws - centre) >= np.abs(seen - centre)).sum(axis=0)
    low, high = np.quantile(draws, [(1 - asked.level) / 2, (1 + asked.level) / 2], axis=0)
    cells = _cells(seen, Expected(mean, sd), 0.0, (1 + beyond) / (1 + len(draws)), asked)
    return cells.assign(low=("alpha", low), high=("alpha", high))
