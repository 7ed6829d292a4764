"""The finished measurement of one matrix over all checkpoints, and its file."""

import io
import json
import zipfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from geostat.errors import JournalError

__all__ = ["DECOMPOSED", "Record", "Vectors"]

DECOMPOSED = ("initial", "updated", "update", "increment", "remaining")
"""Operands whose decompositions a record certifies."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Vectors:
    """Leading singular vectors of the update of one matrix.

    Attributes
    ----------
    left : numpy.ndarray
        Shape (step, rows, component), float32; NaN beyond the numerical rank.
    right : numpy.ndarray
        Shape (step, cols, component), float32.
    """

    left: Array
    right: Array


@dataclass(frozen=True)
class Record:
    """Everything measured on one matrix.

    Attributes
    ----------
    matrix : str
        Its name.
    values : dict of str to numpy.ndarray
        Diagnostic -> shape (step, swept settings, own dims), float64.
    reasons : dict of str to numpy.ndarray
        Diagnostic -> shape (step,), int8 codes of `geostat.Reason`.
    audit : numpy.ndarray
        Shape (step,), int8: bit i is set where inequality i of `AUDITS` is violated.
    used : dict of str to int or list of int
        Directions actually used under the caps of the protocol: k, r, hill_k.
    initial_hash : str
        Fingerprint of W_0 as stored: tells whether two runs started from the same weights.
    methods : numpy.ndarray
        Shape (step, operand), int8 codes of `geostat.linalg.Method`, operands as in `DECOMPOSED`.
    residuals : numpy.ndarray
        Shape (step, operand), float32: worst residual of each decomposition over its largest singular value.
    vectors : Vectors or None
        Leading singular vectors, where the byte budget allows them.
    """

    matrix: str
    values: dict[str, Array]
    reasons: dict[str, Array]
    audit: Array
    used: dict[str, int | list[int]]
    initial_hash: str
    methods: Array
    residuals: Array
    vectors: Vectors | None = None

    def to_bytes(self) -> bytes:
        """Serialise to an npz archive without pickles; every member carries a checksum.

        Returns
        -------
        bytes
            The file's content.
        """
        members = {f"value:{name}": array for name, array in self.values.items()}
        members |= {f"reason:{name}": array for name, array in self.reasons.items()}
        members |= {"audit": self.audit, "methods": self.methods, "residuals": self.residuals}
        if self.vectors is not None:
            members |= {"left": self.vectors.left, "right": self.vectors.right}
        head = json.dumps({"matrix": self.matrix, "used": self.used, "initial_hash": self.initial_hash})
        members["head"] = np.frombuffer(head.encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **members)
        return buffer.getvalue()

    def without_vectors(self) -> "Record":
        """Return the record without its singular vectors, which are most of its bytes.

        Returns
        -------
        Record
            A copy that shares the other arrays.
        """
        return replace(self, vectors=None)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Record":
        """Read back what `to_bytes` wrote.

        Parameters
        ----------
        content : bytes
            The file's content.

        Returns
        -------
        Record
            The record.

        Raises
        ------
        JournalError
            If the content is cut short or altered.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                members = {key: archive[key] for key in archive.files}
            head = json.loads(members["head"].tobytes())
            plain = {key: members[key] for key in ("audit", "methods", "residuals")}
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError) as error:
            raise JournalError(f"a record of {len(content)} bytes cannot be read: {error}.") from error
        vectors = Vectors(members["left"], members["right"]) if "left" in members else None
        pick = {
            kind: {
                key.split(":", 1)[1]: array for key, array in members.items() if key.startswith(kind + ":")
            }
            for kind in ("value", "reason")
        }
        return cls(**head, values=pick["value"], reasons=pick["reason"], vectors=vectors, **plain)
