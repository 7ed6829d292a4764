"""Deciding what a measurement will do, from headers alone."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from geostat.checkpoints import (
    Checkpoint,
    MatrixRef,
    Naming,
    discover_run,
    list_matrices,
    open_checkpoint,
    pair_matrices,
    run_storage,
    strip_wrappers,
)
from geostat.errors import GeostatWarning, MissingTensorError, MissingTensorWarning, ProtocolError
from geostat.protocols import Protocol, protocol as find_protocol
from geostat.spec import DIAGNOSTICS, TIERS, Tier
from geostat.trajectories.inputs import inputs_of
from geostat.trajectories.plans import Plan

__all__ = ["AUTO_VECTOR_BYTES", "at_tier", "plan", "within_budget"]

AUTO_VECTOR_BYTES = 2**30
"""Budget for stored singular vectors under ``vectors="auto"``: 1 GiB."""


def plan(
    base: Any,
    checkpoints: Any,
    *,
    matrices: Any = None,
    protocol: str | Protocol = "shen2026",
    diagnostics: Iterable[str] | None = None,
    vectors: bool | int | str = "auto",
    training_steps: int | None = None,
    naming: Naming | None = None,
    strict: bool = True,
    trust: bool = False,
    tier: Tier = "exact",
) -> Plan:
    """Decide what a measurement will do, and refuse it now if it cannot be done.

    Reads headers only: names, shapes and dtypes of every checkpoint. Entries are read where weights lie
    in memory, to tell them apart later, and of tied weights, to see whether they still are.

    Parameters
    ----------
    base : path, state dict or module
        The weights at the run's start, W_0.
    checkpoints : path, glob, list or mapping of step to path
        The run's checkpoints, see `geostat.discover_run`.
    matrices : str, list of str or callable, optional
        "attention", "linear", "all", a glob, several, or a predicate; the protocol's choice by default.
    protocol : str or Protocol
        Name of a preset, or a convention of your own.
    diagnostics : iterable of str, optional
        Names; by default every registered one but those marked as on request.
    vectors : "auto", bool or int
        Leading singular vectors: up to 1 GiB, all, none, or a budget in bytes.
    training_steps : int, optional
        Length of training; the last step by default.
    naming : callable or mapping, optional
        Layer, module and expert of tensors whose names are not known, see `geostat.list_matrices`.
    strict : bool
        Whether a matrix without partner is an error; otherwise it is left out and reported.
    trust : bool
        Whether formats that need unpickling may be opened.
    tier : {"exact", "angles", "top", "elementwise"}
        What it may cost, see `geostat.TIERS`: which diagnostics are measured when none are named.

    Returns
    -------
    Plan
        What `measure` will do.

    Raises
    ------
    CheckpointError
        If checkpoints are missing, unreadable or do not fit together.
    ProtocolError
        If a diagnostic, protocol or tier is not known, or a diagnostic lies beyond the tier.
    """
    convention = find_protocol(protocol)
    run = discover_run(base, checkpoints)
    opened = [open_checkpoint(source, trust=trust) for source in (run.base, *run.steps.values())]
    chosen = matrices if matrices is not None else convention.matrices
    refs, missing = _paired(opened, chosen, naming, strict)
    steps = tuple(run.steps)
    made = Plan(
        checkpoints=(run.base, *run.steps.values()),
        steps=steps,
        refs=refs,
        protocol=convention,
        diagnostics=_chosen(diagnostics, tier),
        vectors=within_budget(refs, len(steps), convention.K, vectors if tier != "elementwise" else False),
        training_steps=_length(steps, training_steps),
        storage=run_storage(opened[0], dict(zip(steps, opened[1:], strict=True))),
        missing=missing,
        inputs=inputs_of((0, *steps), opened, refs),
        trust=trust,
        tier=tier,
    )
    for checkpoint in opened:
        checkpoint.close()
    return made


def at_tier(given: Plan, tier: Tier) -> Plan:
    """Return the same measurement under another tier.

    Parameters
    ----------
    given : Plan
        A measurement.
    tier : str
        One of `geostat.TIERS`, not dearer than the plan's.

    Returns
    -------
    Plan
        With those of its diagnostics that the tier gives.
    """
    kept = tuple(name for name in given.diagnostics if DIAGNOSTICS[name].within(tier))
    return replace(given, tier=tier, diagnostics=kept, vectors=given.vectors if tier != "elementwise" else ())


def _paired(
    opened: list[Checkpoint], matrices: Any, naming: Naming | None, strict: bool
) -> tuple[tuple[MatrixRef, ...], tuple[str, ...]]:
    base, *others = opened
    refs = list_matrices(base, matrices, naming=naming, strict=strict)
    known = {strip_wrappers(ref.tensor) for ref in refs}
    missing: list[str] = []
    for checkpoint in others:
        report = pair_matrices(base, checkpoint, refs, strict=strict)
        refs = report.paired
        missing += [*report.missing_in_checkpoint, *report.missing_in_base]
        missing += _only_in(checkpoint, base, known, matrices, naming, strict)
    return refs, tuple(dict.fromkeys(missing))


def _only_in(
    checkpoint: Checkpoint,
    base: Checkpoint,
    known: set[str],
    matrices: Any,
    naming: Naming | None,
    strict: bool,
) -> list[str]:
    """Matrices that the same choice finds in a checkpoint and not in the base: an untied head, say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeostatWarning)  # said already, of the base
        refs = list_matrices(checkpoint, matrices, naming=naming, strict=strict)
    extra = [ref.name for ref in refs if strip_wrappers(ref.tensor) not in known]
    if not extra:
        return []
    found = (
        f"{checkpoint.path} holds {', '.join(extra[:5])}, which {base.path} lacks or ties to another weight"
    )
    if strict:
        raise MissingTensorError(
            f"{found}. Give the true base, choose matrices that both hold, or leave them out with strict=False."
        )
    warnings.warn(f"{found}: left out.", MissingTensorWarning, stacklevel=4)
    return extra


def _chosen(diagnostics: Iterable[str] | None, tier: Tier) -> tuple[str, ...]:
    if tier not in TIERS:
        raise ProtocolError(f"tier {tier!r} is not known. Choose one of {', '.join(TIERS)}.")
    if diagnostics is None:
        return tuple(name for name, spec in DIAGNOSTICS.items() if spec.default and spec.within(tier))
    names = tuple(dict.fromkeys([diagnostics] if isinstance(diagnostics, str) else diagnostics))
    unknown = [name for name in names if name not in DIAGNOSTICS]
    if unknown or not names:
        raise ProtocolError(
            f"diagnostics {unknown or 'none'} asked for. Known: {', '.join(sorted(DIAGNOSTICS))}. "
            "Register your own with geostat.diagnostic."
        )
    beyond = [name for name in names if not DIAGNOSTICS[name].within(tier)]
    if beyond:
        needed = max((DIAGNOSTICS[name].tier for name in beyond), key=list(TIERS).index)
        raise ProtocolError(
            f"{', '.join(beyond)} cannot be had with tier={tier!r}. Ask for tier={needed!r}, or leave them out."
        )
    return names


def within_budget(
    refs: tuple[MatrixRef, ...], n_steps: int, K: int, vectors: bool | int | str
) -> tuple[str, ...]:
    """Matrices whose leading singular vectors fit a budget.

    Parameters
    ----------
    refs : tuple of MatrixRef
        The matrices.
    n_steps, K : int
        Checkpoints, and vectors of each side at each.
    vectors : "auto", bool or int
        The budget, see `plan`.

    Returns
    -------
    tuple of str
        Names of the first that do, in order.
    """
    budget = _budget(vectors)
    chosen: list[str] = []
    for ref in refs:
        budget -= 4 * n_steps * K * (ref.rows + ref.cols)
        if budget < 0:
            break
        chosen.append(ref.name)
    return tuple(chosen)


def _budget(vectors: bool | int | str) -> float:
    words = {"auto": float(AUTO_VECTOR_BYTES), True: math.inf, False: 0.0}
    if isinstance(vectors, int) and not isinstance(vectors, bool) and vectors >= 0:
        return float(vectors)
    if vectors not in words:
        raise ProtocolError(f"vectors={vectors!r}. Pass 'auto', True, False or a number of bytes.")
    return words[vectors]


def _length(steps: tuple[int, ...], declared: int | None) -> int:
    if declared is not None and declared < steps[-1]:
        raise ProtocolError(
            f"training_steps={declared}, but a checkpoint stands at step {steps[-1]}. "
            "Pass the length of the whole training."
        )
    return declared if declared is not None else max(1, steps[-1])
