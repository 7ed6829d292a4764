"""The nulls of a whole run: every matrix at every checkpoint, beside the measurement."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import xarray as xr
from tqdm import tqdm

from geostat.checkpoints import Checkpoint, MatrixRef, Naming, read_matrix
from geostat.linalg import Factored, own_arithmetic
from geostat.nulls.gates.request import GateMethod
from geostat.nulls.whole_runs.dataset import labelled_nulls
from geostat.nulls.whole_runs.journal import NullsJournal, digest
from geostat.nulls.whole_runs.matrix import Numbers, matrix_nulls
from geostat.nulls.whole_runs.output import finished, require_nulls, write_dataset
from geostat.nulls.whole_runs.request import Request, request
from geostat.nulls.whole_runs.weights import Measured, check_fingerprint, check_updated, measured_run, planned
from geostat.protocols import Protocol, protocol as find_protocol
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.trajectories.inputs import fingerprint
from geostat.trajectories.plans import Plan

__all__ = ["run_nulls"]


def run_nulls(
    base: Any = None,
    checkpoints: Any = None,
    *,
    store: Any = None,
    statistics: str | Iterable[str] | None = None,
    method: GateMethod = "law-free",
    floors: bool | Iterable[str] | None = None,
    latent: bool = False,
    matrices: Any = None,
    steps: Iterable[int] | None = None,
    protocol: str | Protocol | None = None,
    n: int = 999,
    level: float = 0.95,
    rng: Randomness = 0,
    naming: Naming | None = None,
    strict: bool = True,
    trust: bool = False,
    output: Any = None,
    resume: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    r"""Nulls of a run: what rounding alone would show, for every matrix at every checkpoint.

    Asks `gate_null` of every statistic, matrix and step, and `noise_floor` of every W_0 (the floor of "one end":
    training started from the stored W_0). The variables stand beside those of the measurement, with its labels, so
    that ``run.assign(nulls.data_vars)`` joins them; what knows them takes them up: `geostat.classify_regime`
    reports ``<metric>_excess``, summary tables and figures mark values that ``<metric>_floor`` covers.

    It is not one test of the run. A p-value speaks of its own matrix and step: matrices are no random sample, and
    steps repeat each other. Average the excess over a run's matrices, and compare runs.

    Parameters
    ----------
    base, checkpoints : optional
        Weights, as in `geostat.measure`. Needed where `store` is not given, or does not say where they lie now.
    store : path or xarray.Dataset, optional
        A measured run: gives convention, matrices and steps, and where its weights lie. Its fingerprints
        must be those of the weights.
    statistics : str or iterable of str, optional
        Of `gate_null`; by default sparsity and both overlaps, for ``method="strata"`` what it can answer. An
        empty list asks for floors alone.
    method : {"law-free", "law", "permutation", "strata"}
        Of `gate_null`; under ``"law"`` the range over laws.
    floors : bool or iterable of str, optional
        Diagnostics whose `noise_floor` is computed: angles, spectral shift, relative norm and ranks under True, and
        by default too where checkpoints are stored in 16 bits. It costs about ten decompositions of each W_0.
    latent : bool
        Whether to estimate figures of the update before rounding (`latent_update`), which takes minutes for
        each matrix and step.
    matrices : str, list of str or callable, optional
        As in `geostat.measure`; by default those of the store, or of the protocol.
    steps : iterable of int, optional
        By default those of the store, or all.
    protocol : str or Protocol, optional
        By default that of the store, or "shen2026".
    n, level, rng
        As in `gate_null`. A matrix has the same random numbers whatever else is computed.
    naming, strict, trust
        As in `geostat.measure`.
    output : path, optional
        Where the dataset is written, as a zarr store that xarray opens. Finished matrices are kept beside it
        until it is whole: the same call goes on where it was stopped, and takes up what is whole.
    resume : bool
        Whether to go on from there; otherwise nulls that stand there are replaced.
    progress : bool
        Whether to show a bar on standard error.

    Returns
    -------
    xarray.Dataset
        Dims `step`, `matrix`, and those of swept settings. For each metric ``<metric>_null``, ``_excess``,
        ``_floor`` and ``_latent``, with attributes ``conditions_on`` and ``cannot_see``; and, without units, so
        that no procedure averages them, ``_observed``, ``_null_sd``, ``_p_value`` and ends of intervals.
        ``null_reason`` says why a cell is NaN.

    Raises
    ------
    CheckpointError
        If weights are missing, unreadable, or not those of the store: W_0 by its fingerprint, bf16 checkpoints by
        their sparsity where it is asked for.
    ProtocolError
        If a method cannot answer for a statistic, or storage does not suit it (fp32 weights have no gate).
    SampleError
        If there is neither a store nor weights, or the store holds several runs.
    StoreError
        If the store does not say where the weights lie, or the dataset cannot be written, or at `output` stands
        something else, or the answer to another question.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> name = "blocks.0.attention.query.weight"
    >>> start = torch.randn(256, 256, generator=generator).bfloat16()
    >>> end = (start + 2e-3 * torch.randn(256, 256, generator=generator)).bfloat16()
    >>> nulls = run_nulls({name: start}, {10: {name: end}}, floors=False, progress=False)
    >>> overlap = nulls.low_magnitude_mask_overlap_observed.sel(alpha=0.3)
    >>> excess = nulls.low_magnitude_mask_overlap_excess.sel(alpha=0.3)
    >>> bool(overlap > 0.5), bool(abs(excess) < 0.05)
    (True, True)
    """
    measured = None if store is None else measured_run(store)
    convention = find_protocol(protocol) if protocol is not None else _convention(measured)
    _, seed = seeded(rng)
    plan = planned(
        base,
        checkpoints,
        measured,
        matrices=matrices,
        steps=steps,
        protocol=convention,
        naming=naming,
        strict=strict,
        trust=trust,
    )
    asked = request(
        statistics,
        method,
        convention,
        n=n,
        level=level,
        seed=seed,
        floors=floors,
        latent=latent,
        storage=plan.storage,
    )
    if output is None:
        return labelled_nulls(plan, asked, dict(_followed(plan, asked, measured, None, show=progress)))
    return _written(plan, asked, measured, output, resume=resume, show=progress)


def _written(
    plan: Plan, asked: Request, measured: Measured | None, output: Any, *, resume: bool, show: bool
) -> xr.Dataset:
    question = _question(plan, asked)
    if not resume:
        require_nulls(output)
    elif (standing := finished(output, digest(question))) is not None:
        return standing
    journal = NullsJournal(output, question, resume=resume)
    dataset = labelled_nulls(plan, asked, dict(_followed(plan, asked, measured, journal, show=show)))
    write_dataset(dataset, output, digest(question))
    journal.drop()
    return dataset


def _convention(measured: Measured | None) -> Protocol:
    return find_protocol("shen2026") if measured is None else measured.protocol


def _question(plan: Plan, asked: Request) -> dict[str, Any]:
    inputs = [entry.identity() for entry in plan.inputs if entry.step in (0, *plan.steps)]
    return {"asked": json.dumps(asked.settings()), "inputs": inputs, "steps": list(plan.steps)}


def _followed(
    plan: Plan, asked: Request, measured: Measured | None, journal: NullsJournal | None, *, show: bool
) -> Iterator[tuple[str, Numbers]]:
    """Numbers of each matrix, from the journal where it has them, with a bar that counts entries."""
    opened = plan.open()
    total = sum(ref.rows * ref.cols for ref in plan.refs) * len(plan.steps)
    bar = tqdm(
        total=total,
        unit="entry",
        unit_scale=True,
        desc="nulls",
        disable=not show,
        file=sys.stderr,
        dynamic_ncols=True,
    )
    with bar, own_arithmetic():
        for ref in plan.refs:
            found = None if journal is None else journal.read(ref.name)
            if found is None:
                found = _matrix(plan, ref, opened, asked, measured)
                if journal is not None:
                    journal.write(ref.name, found)
            yield ref.name, found
            bar.update(ref.rows * ref.cols * len(plan.steps))
    for checkpoint in opened:
        checkpoint.close()


def _matrix(
    plan: Plan, ref: MatrixRef, opened: list[Checkpoint], asked: Request, measured: Measured | None
) -> Numbers:
    base, *others = opened
    initial = Factored(read_matrix(base, ref))
    check_fingerprint(measured, ref, fingerprint(initial.stored))
    updated = [Factored(read_matrix(each, ref)) for each in others]
    found = matrix_nulls(ref.name, initial, updated, plan.steps, asked)
    check_updated(measured, plan, ref, found)
    return found
