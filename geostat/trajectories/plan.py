"""What is going to be measured, decided and checked before any arithmetic is done."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
)
from geostat.diagnostics.settings import capped_rank, order_statistics
from geostat.errors import ProtocolError
from geostat.protocols import Protocol, protocol as find_protocol
from geostat.spec import DIAGNOSTICS, Diagnostic, Reason
from geostat.trajectories.inputs import InputFile, inputs_of

__all__ = ["AUTO_VECTOR_BYTES", "SCHEMA_VERSION", "Plan", "plan"]

SCHEMA_VERSION = 1
AUTO_VECTOR_BYTES = 2**30
"""Budget for stored singular vectors under ``vectors="auto"``: 1 GiB."""


@dataclass(frozen=True)
class Plan:
    """One measurement: which matrices, at which steps, under which convention.

    Attributes
    ----------
    checkpoints : tuple
        The base, then what each step is read from: paths, or objects in memory.
    steps : tuple of int
        Ascending.
    refs : tuple of MatrixRef
        The matrices.
    protocol : Protocol
        The convention.
    diagnostics : tuple of str
        Names of what is measured.
    vectors : tuple of str
        Matrices whose leading singular vectors are stored.
    training_steps : int
        Length of training; progress is step over it.
    storage : str
        How the weights are stored: "bf16", "fp32", "fp16", "fp64" or "mixed".
    missing : tuple of str
        Names of matrices left out because a partner is missing (``strict=False``).
    inputs : tuple of InputFile
        What the checkpoints were read from.
    trust : bool
        Whether formats that need unpickling may be opened.
    """

    checkpoints: tuple[Any, ...]
    steps: tuple[int, ...]
    refs: tuple[MatrixRef, ...]
    protocol: Protocol
    diagnostics: tuple[str, ...]
    vectors: tuple[str, ...]
    training_steps: int
    storage: str
    missing: tuple[str, ...]
    inputs: tuple[InputFile, ...] = field(repr=False)
    trust: bool = False

    @property
    def specs(self) -> tuple[Diagnostic, ...]:
        """Descriptions of the diagnostics."""
        return tuple(DIAGNOSTICS[name] for name in self.diagnostics)

    @cached_property
    def horizon(self) -> int | None:
        """Steps between past and next: declared, or the one gap where it is even, else None."""
        if self.protocol.horizon is not None:
            return self.protocol.horizon
        gaps = {after - before for before, after in zip(self.steps, self.steps[1:], strict=False)}
        return gaps.pop() if len(gaps) == 1 else None

    def later_index(self, index: int) -> int | Reason:
        """Position of the checkpoint one horizon later, or why there is none.

        Parameters
        ----------
        index : int
            Position of a step.

        Returns
        -------
        int or Reason
            The position or the reason.
        """
        if index == len(self.steps) - 1:
            return Reason.no_later_checkpoint
        if self.horizon is None:
            return Reason.uneven_steps
        wanted = self.steps[index] + self.horizon
        return self.steps.index(wanted) if wanted in self.steps else Reason.no_later_checkpoint

    def used(self, ref: MatrixRef) -> dict[str, int | list[int]]:
        """Directions used on one matrix, after the caps.

        Parameters
        ----------
        ref : MatrixRef
            The matrix.

        Returns
        -------
        dict
            ``k_used`` (a list where k is swept), ``r_used``, ``hill_k_used``.
        """
        smaller = min(ref.rows, ref.cols)
        k = self.protocol.k
        used = [capped_rank(smaller, each) for each in k] if isinstance(k, tuple) else capped_rank(smaller, k)
        return {
            "k_used": used,
            "r_used": capped_rank(smaller, self.protocol.r),
            "hill_k_used": order_statistics(smaller, self.protocol.hill_k),
        }

    @cached_property
    def longest_rank(self) -> int:
        """Length of the rank dim: the largest k used on any matrix."""
        used = [self.used(ref)["k_used"] for ref in self.refs]
        return max(max(each) if isinstance(each, list) else each for each in used)

    def own_shape(self, spec: Diagnostic) -> tuple[int, ...]:
        """Sizes of a diagnostic's own dims.

        Parameters
        ----------
        spec : Diagnostic
            The diagnostic.

        Returns
        -------
        tuple of int
            One size per own dim.
        """
        return tuple(self.longest_rank for _ in spec.dims)

    def manifest(self) -> dict[str, Any]:
        """Everything on which the figures depend, as plain data.

        Returns
        -------
        dict
            Serialisable; two plans with equal manifests give equal stores.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "protocol": json.loads(self.protocol.to_json()),
            "steps": list(self.steps),
            "matrices": [[ref.name, ref.layer, ref.module, ref.expert] for ref in self.refs],
            "diagnostics": list(self.diagnostics),
            "vectors": list(self.vectors),
            "training_steps": self.training_steps,
            "missing": list(self.missing),
            "inputs": [entry.identity() for entry in self.inputs],
        }

    def fingerprints(self) -> dict[str, str]:
        """Hash every part of the manifest, so that a store can say which part differs.

        Returns
        -------
        dict
            Part -> 12 hex digits.
        """
        return {key: _hash(value)[:12] for key, value in self.manifest().items()}

    def differences(self, fingerprints: Mapping[str, str]) -> str:
        """Name the parts of the manifest that differ from those of another measurement.

        Parameters
        ----------
        fingerprints : mapping
            What `fingerprints` returned then.

        Returns
        -------
        str
            Names, separated by commas.
        """
        return ", ".join(k for k, value in self.fingerprints().items() if fingerprints.get(k) != value)

    @cached_property
    def identity(self) -> str:
        """Hash of the manifest."""
        return _hash(self.manifest())

    def open(self) -> list[Checkpoint]:
        """Open the base and every checkpoint, lazily.

        Returns
        -------
        list of Checkpoint
            The base first.
        """
        return [open_checkpoint(source, trust=self.trust) for source in self.checkpoints]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


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

    Returns
    -------
    Plan
        What `measure` will do.

    Raises
    ------
    CheckpointError
        If checkpoints are missing, unreadable or do not fit together.
    ProtocolError
        If a diagnostic or protocol is not known.
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
        diagnostics=_chosen(diagnostics),
        vectors=_within_budget(refs, len(steps), convention.K, vectors),
        training_steps=_length(steps, training_steps),
        storage=run_storage(opened[0], dict(zip(steps, opened[1:], strict=True))),
        missing=missing,
        inputs=inputs_of((0, *steps), opened, refs),
        trust=trust,
    )
    for checkpoint in opened:
        checkpoint.close()
    return made


def _paired(
    opened: list[Checkpoint], matrices: Any, naming: Naming | None, strict: bool
) -> tuple[tuple[MatrixRef, ...], tuple[str, ...]]:
    base, *others = opened
    refs = list_matrices(base, matrices, naming=naming, strict=strict)
    missing: list[str] = []
    for checkpoint in others:
        report = pair_matrices(base, checkpoint, refs, strict=strict)
        refs = report.paired
        missing += [*report.missing_in_checkpoint, *report.missing_in_base]
    return refs, tuple(dict.fromkeys(missing))


def _chosen(diagnostics: Iterable[str] | None) -> tuple[str, ...]:
    if diagnostics is None:
        return tuple(name for name, spec in DIAGNOSTICS.items() if spec.default)
    names = tuple(dict.fromkeys([diagnostics] if isinstance(diagnostics, str) else diagnostics))
    unknown = [name for name in names if name not in DIAGNOSTICS]
    if unknown or not names:
        raise ProtocolError(
            f"diagnostics {unknown or 'none'} asked for. Known: {', '.join(sorted(DIAGNOSTICS))}. "
            "Register your own with geostat.diagnostic."
        )
    return names


def _within_budget(
    refs: tuple[MatrixRef, ...], n_steps: int, K: int, vectors: bool | int | str
) -> tuple[str, ...]:
    """Matrices, in order, whose vectors fit the budget."""
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
