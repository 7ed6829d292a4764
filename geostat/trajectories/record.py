"""The finished measurement of one matrix over all checkpoints, and its file."""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from geostat.errors import JournalError

__all__ = ["DECOMPOSED", "DEVICES", "Record", "Vectors"]

DECOMPOSED = ("initial", "updated", "update", "increment", "remaining")
"""Operands whose decompositions a record certifies."""

DEVICES = ("none", "cpu", "cuda", "other")
"""Kinds of device that a record may have been computed on."""

Array = npt.NDArray[Any]

_MAGIC = b"geostat record 2\n"
_FRAME = struct.Struct("<17sIQQ")
"""Magic, CRC-32 of what follows, lengths of head and of arrays."""


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
    computed_on : str
        Kind of device, one of `DEVICES`.
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
    computed_on: str = "cpu"

    def to_bytes(self) -> bytes:
        """Serialise: a frame with a checksum, a JSON head, and the arrays one after the other.

        Returns
        -------
        bytes
            The file's content.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in self._members().items()}
        told = {name: getattr(self, name) for name in ("matrix", "used", "initial_hash", "computed_on")}
        table = [[name, array.dtype.newbyteorder("<").str, array.shape] for name, array in arrays.items()]
        head = json.dumps({"told": told, "arrays": table}).encode()
        body = b"".join(
            array.astype(array.dtype.newbyteorder("<"), copy=False).data for array in arrays.values()
        )
        checksum = zlib.crc32(body, zlib.crc32(head))
        return _FRAME.pack(_MAGIC, checksum, len(head), len(body)) + head + body

    def _members(self) -> dict[str, Array]:
        members = {f"value:{name}": array for name, array in self.values.items()}
        members |= {f"reason:{name}": array for name, array in self.reasons.items()}
        members |= {"audit": self.audit, "methods": self.methods, "residuals": self.residuals}
        if self.vectors is not None:
            members |= {"left": self.vectors.left, "right": self.vectors.right}
        return members

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
            told, members = _unframed(content)
            plain: dict[str, Any] = {key: members[key] for key in ("audit", "methods", "residuals")}
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise JournalError(f"a record of {len(content)} bytes cannot be read: {error}.") from error
        vectors = Vectors(members["left"], members["right"]) if "left" in members else None
        return cls(
            **told,
            values=_of_kind("value:", members),
            reasons=_of_kind("reason:", members),
            vectors=vectors,
            **plain,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the figures, singular vectors not counted."""
        return sum(array.nbytes for array in self.without_vectors()._members().values())

    def without_vectors(self) -> "Record":
        """Return the record without its singular vectors, which are most of its bytes.

        Returns
        -------
        Record
            Itself where it has none; else a copy, since one that shares arrays would keep the vectors alive.
        """
        if self.vectors is None:
            return self
        copies = {
            name: array.copy() for name, array in self._members().items() if name not in ("left", "right")
        }
        return replace(
            self,
            values=_of_kind("value:", copies),
            reasons=_of_kind("reason:", copies),
            audit=copies["audit"],
            methods=copies["methods"],
            residuals=copies["residuals"],
            vectors=None,
        )


def _unframed(content: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Head and arrays of a record; the arrays share the content's memory."""
    magic, checksum, head_length, body_length = _FRAME.unpack_from(content)
    start = _FRAME.size + head_length
    if magic != _MAGIC:
        raise ValueError("it does not begin as a record does")
    if len(content) != start + body_length or zlib.crc32(memoryview(content)[_FRAME.size :]) != checksum:
        raise ValueError("it is cut short or altered")
    head = json.loads(content[_FRAME.size : start])
    members: dict[str, Array] = {}
    for name, dtype, shape in head["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        members[name] = np.frombuffer(content, dtype, count, start).reshape(shape)
        start += members[name].nbytes
    return head["told"], members


def _of_kind(prefix: str, members: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in members.items() if name.startswith(prefix)}
