"""Whether two runs change the same entries more often than rounding alone makes them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from geostat.checkpoints import Selection
from geostat.errors import ProtocolError, SampleError
from geostat.nulls.across_runs.agreement_runs import Runs, SharedStart, Weights, shared_starts
from geostat.nulls.across_runs.jaccard_overlap import Overlap, overlap_within
from geostat.nulls.across_runs.jaccard_strata import Strata, check_strata, strata_labels
from geostat.nulls.building import null_result
from geostat.nulls.null_result import NullResult
from geostat.results.base import Variable

__all__ = ["jaccard_test"]

TOGETHER = "all matrices together"
"""Name of the row in which the counts of all matrices are added up."""
_VARIABLE = Variable(
    "mask_jaccard",
    long_name="Jaccard index of the changed entries of two runs",
    units="1",
    symbol=r"|M_1 \cap M_2| / |M_1 \cup M_2|",
    reference="zhu2025, Jaccard of masks across runs",
    valid_min=0.0,
    valid_max=1.0,
)
_ALL_ALIKE = Strata()

Cell = Callable[[Overlap], float]


def jaccard_test(
    runs: Runs,
    *,
    initial: Weights | None = None,
    matrices: Selection = "attention",
    strata: str | Sequence[str] = "magnitude",
    level: float = 0.95,
) -> NullResult:
    r"""Jaccard index of changed entries across runs, against rounding alone.

    .. math:: J = |M_1 \cap M_2| \,/\, |M_1 \cup M_2|

    where M_r holds the entries whose stored 16-bit number differs from that of W_0 (every relative tolerance below
    1/256 means the same). Two baselines stand beside each observed index.

    *Independent entries*: every entry changes with the run's density p_r, which gives
    :math:`p_1 p_2 / (p_1 + p_2 - p_1 p_2)`. It is the usual baseline, and wrong for stored weights: rounding
    hides steps on large weights in *both* runs, so that independent updates exceed it.

    *Given strata* (of W_0's magnitude): every entry of a stratum b changes with that stratum's density
    :math:`p_r(b)`. The expected intersection is :math:`\sum_b n_b p_1(b) p_2(b)`, exact in histograms, whatever
    the law of the updates.

    Conditioning on strata of magnitude is right here, because no claim is made about a preference for small
    weights: such a preference, shared by both runs, is removed. Sparsity and low-magnitude overlap must not
    be tested like this.

    Parameters
    ----------
    runs : mapping or sequence
        Two or more runs, by name or in order: what each ended with (array, tensor, path, checkpoint), or a pair
        (initial, updated) for each.
    initial : array, tensor, path or checkpoint, optional
        W_0 of all runs; left out where `runs` holds pairs.
    matrices : str, sequence of str or callable
        Which matrices of checkpoints, as in `geostat.measure`; ignored for arrays.
    strata : str or sequence of str
        What is held fixed: ``"magnitude"`` (each 16-bit number), ``"binade"`` (powers of two: coarser, for small
        matrices), and with either of these or alone ``"row"`` or ``"column"``. With rows or columns, agreement
        through rows or columns that are active in both runs is removed too.
    level : float
        Share of the null between `low` and `high`.

    Returns
    -------
    NullResult
        Dims pair, baseline and, for checkpoints, matrix; of several matrices also all together. Its p-values
        are two-sided and speak of a pair of runs.

    Raises
    ------
    SampleError
        If there are fewer than two runs, they start from different weights, or a run changed no entry or
        every entry.
    ProtocolError
        If the weights are stored in several types, or not rounded to 16 bits: then no gate is shared.
    ShapeError
        If shapes differ.

    References
    ----------
    :cite:t:`zhu2025` for the index across runs; :cite:t:`cameron2011` for the variance.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> rng = np.random.default_rng(0)
    >>> start = torch.from_numpy(rng.standard_normal((128, 128))).to(torch.bfloat16)
    >>> def run():
    ...     step = torch.from_numpy(3e-3 * rng.standard_normal((128, 128)))
    ...     return (start.double() + step).to(torch.bfloat16)
    >>> found = jaccard_test({"a": run(), "b": run()}, initial=start)
    >>> [bool(p > 0.05) for p in found.p_value.squeeze()]  # independent updates, judged by either baseline
    [False, True]
    """
    chosen = check_strata(strata)
    if not 0 < level < 1:
        raise ProtocolError(f"level={level!r} means nothing. Pass a share in (0, 1).")
    found: dict[str, dict[tuple[str, Strata], Overlap]] = {}
    names: list[str] = []
    for start in shared_starts(runs, initial=initial, matrices=matrices, asked="jaccard_test"):
        found[start.matrix] = _overlaps(start, chosen)
        names = list(start.updated)
    n_matrices = len(found)
    if n_matrices > 1:
        found[TOGETHER] = _summed(list(found.values()))
    return null_result(
        {_VARIABLE.name: _cells(found, level)},
        variables={_VARIABLE.name: _VARIABLE},
        title="Jaccard index of changed entries across runs, against rounding alone",
        estimand="Jaccard index of the entries that two runs changed, as stored.",
        method=f"hypergeometric overlap within strata ({', '.join(chosen)}), two-way clustered variance",
        conditions_on=f"W_0, each run's number of changed entries, and {chosen.words}.",
        cannot_see="a preference of both runs for entries of the same strata, such as small weights.",
        level=level,
        n_runs=len(names),
        n_matrices=n_matrices,
        assumptions=(
            "The two runs are independent of each other given the strata.",
            "Within a run, entries may depend on each other along rows and along columns.",
            *(
                ("All together: entries of different matrices do not depend on each other.",)
                if n_matrices > 1
                else ()
            ),
        ),
        settings={"strata": tuple(chosen), "matrices": str(matrices), "runs": names},
    )


def _overlaps(start: SharedStart, strata: Strata) -> dict[tuple[str, Strata], Overlap]:
    """Every pair of runs, against both baselines."""
    before = start.patterns() if start.rounded else None
    if before is None:
        raise ProtocolError(_no_gate(start))
    masks = {name: start.patterns(name) != before for name in start.updated}
    _require_freedom(masks, start)
    mantissa_bits = 7 if start.told_storage == "bf16" else 10
    found = {}
    for baseline in (_ALL_ALIKE, strata):
        labels = strata_labels(before, baseline, mantissa_bits=mantissa_bits)
        for a, b in start.pairs:
            alike = overlap_within(masks[a], masks[b], labels, entrywise=not baseline)
            found[f"{a} & {b}", baseline] = alike
    return found


def _no_gate(start: SharedStart) -> str:
    return (
        f"jaccard_test: the weights are stored in {start.told_storage} and hold more digits than 16 bits: no gate is "
        "shared, and nearly every entry changed. Pass the bf16 checkpoints of the runs."
    )


def _require_freedom(masks: Mapping[str, npt.NDArray[np.bool_]], start: SharedStart) -> None:
    where = f" of matrix {start.matrix!r}" if start.matrix else ""
    for name, mask in masks.items():
        count = int(np.count_nonzero(mask))
        if count in (0, mask.size):
            told = "no entry" if count == 0 else "every entry"
            raise SampleError(
                f"jaccard_test: run {name!r} changed {told}{where}, so its mask cannot agree with another one more "
                "or less. Leave the run out, or take a checkpoint at another step."
            )


def _summed(all_overlaps: list[dict[tuple[str, Strata], Overlap]]) -> dict[tuple[str, Strata], Overlap]:
    total = dict(all_overlaps[0])
    for overlaps in all_overlaps[1:]:
        total = {key: total[key] + overlaps[key] for key in total}
    return total


def _cells(found: Mapping[str, Mapping[tuple[str, Strata], Overlap]], level: float) -> xr.Dataset:
    keys = list(next(iter(found.values())))
    pairs, baselines = (list(dict.fromkeys(each)) for each in zip(*keys, strict=True))

    def array(value: Cell) -> xr.DataArray:
        values = [[[value(o[p, s]) for s in baselines] for p in pairs] for o in found.values()]
        return xr.DataArray(
            np.array(values, dtype=np.float64),
            dims=("matrix", "pair", "baseline"),
            coords={
                "matrix": np.array(list(found), dtype=np.dtypes.StringDType()),
                "pair": np.array(pairs, dtype=np.dtypes.StringDType()),
                "baseline": np.array([s.label for s in baselines], dtype=np.dtypes.StringDType()),
            },
        )

    cells = xr.Dataset(
        {
            "observed": array(lambda o: o.observed),
            "null_mean": array(lambda o: o.null_mean),
            "null_sd": array(lambda o: o.null_sd),
            "low": array(lambda o: o.interval(level)[0]),
            "high": array(lambda o: o.interval(level)[1]),
            "p_value": array(lambda o: o.p_value),
        }
    )
    return cells if any(found) else cells.isel(matrix=0, drop=True)
