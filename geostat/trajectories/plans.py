"""What is going to be measured, decided and checked before any arithmetic is done."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from geostat.checkpoints import (
    Checkpoint,
    MatrixRef,
    open_checkpoint,
)
from geostat.diagnostics.settings import capped_rank, order_statistics
from geostat.linalg import Policy, current_policy
from geostat.protocols import Protocol
from geostat.spec import DIAGNOSTICS, Diagnostic, Reason, Tier
from geostat.trajectories.inputs import InputFile

__all__ = ["SCHEMA_VERSION", "Plan"]

SCHEMA_VERSION = 1


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
    tier : str
        One of `geostat.spec.TIERS`: how angles and spectra are computed.
    policy : Policy
        How matrices are decomposed; the one in force where the plan is made.
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
    tier: Tier = "exact"
    policy: Policy = field(default_factory=current_policy)

    @property
    def audited(self) -> bool:
        """Whether every row is checked against Weyl, Mirsky and Ky Fan: where all spectra are there anyway."""
        return {"angles", "exact"} <= {spec.tier for spec in self.specs}

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
            "tier": self.tier,
            "spectra": self.policy.spectra,
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
        differing = [k for k, value in self.fingerprints().items() if fingerprints.get(k) != value]
        hint = "inputs (the files changed, or were copied without their times)"
        return ", ".join(hint if key == "inputs" else key for key in differing)

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
