"""Decompositions that outlive their weights: kept on disk, and used again as if nothing had happened."""

import json
from collections.abc import Callable
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from geostat.errors import JournalError
from geostat.linalg import Certificate, Factored, Method
from geostat.linalg.entries import Entries
from geostat.linalg.spectra import Leading, Spectrum

__all__ = ["EntriesGone", "Kept"]

_COLUMNS = "column-major"


class EntriesGone(Exception):  # noqa: N818 - it ends in an undefined cell, not in a message
    """The entries of a matrix are asked for, whose checkpoint is there no more."""


class Kept(Factored):
    """A matrix whose decomposition can be written down and taken up again, with its entries or without.

    Parameters
    ----------
    values : torch.Tensor
        Shape (m, n).
    less : torch.Tensor, optional
        Shape (m, n), see `Factored`.
    wanted : int
        Leading directions that will be asked for.
    whole : bool
        Whether all singular values will be asked for.
    """

    def __init__(
        self, values: Tensor, *, less: Tensor | None = None, wanted: int = 0, whole: bool = False
    ) -> None:
        super().__init__(values, less=less, wanted=wanted, whole=whole)
        self._fetch: Callable[[], Entries] | None = None

    @classmethod
    def without_entries(
        cls, shape: tuple[int, int], device: torch.device, content: bytes, fetch: Callable[[], Entries]
    ) -> "Kept":
        """Take up what was written down of a matrix; its entries are fetched when they are asked for.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns.
        device : torch.device
            Where to put it.
        content : bytes
            What `written` returned.
        fetch : callable
            Returns the entries, or raises `EntriesGone`.

        Returns
        -------
        Kept
            The matrix.
        """
        found = cls(torch.zeros((), dtype=torch.float64, device=device).expand(shape))
        found._fetch = fetch
        found.take_up(content)
        return found

    @property
    def stored(self) -> Tensor:
        """The entries as they were given; of a difference, in float64."""
        self._require_entries()
        return super().stored

    @property
    def values(self) -> Tensor:
        """The entries in float64."""
        self._require_entries()
        return super().values

    def _require_entries(self) -> None:
        if self._fetch is not None:
            self.entries, self._fetch = self._fetch(), None

    def written(self) -> bytes:
        """Write down singular values, leading directions, and norm, as far as they are known.

        Returns
        -------
        bytes
            A safetensors file.
        """
        told: dict[str, Any] = {"norm": self.frobenius_norm, "zero": self.is_zero}
        tensors: dict[str, Tensor] = {}
        if self._spectrum is not None:
            tensors |= {"values": self._spectrum.values, "errors": self._spectrum.errors}
            told["spectrum"] = [int(self._spectrum.method), self._spectrum.floor]
        if self._directions is not None:
            known = self._directions
            tensors |= {"leading": known.values, "left": known.left, "right": known.right}
            certificate = known.certificate
            told["leading"] = [int(certificate.method), certificate.residual, certificate.bound]
        columns = [name for name, each in tensors.items() if each.ndim == 2 and each.stride(0) == 1]
        told[_COLUMNS] = columns
        plain = {n: (t.mT if n in columns else t).cpu().contiguous().clone() for n, t in tensors.items()}
        return save(plain or {"nothing": torch.zeros(1)}, {"told": json.dumps(told)})

    def take_up(self, content: bytes) -> None:
        """Know again what was written down.

        Parameters
        ----------
        content : bytes
            What `written` returned.

        Raises
        ------
        JournalError
            If it is none.
        """
        try:
            told, tensors = _read(content)
            device = self.entries.given.device
            tensors = {n: (t.mT if n in told[_COLUMNS] else t).to(device) for n, t in tensors.items()}
            self.__dict__ |= {"frobenius_norm": told["norm"], "is_zero": told["zero"]}
            if "spectrum" in told:
                method, floor = told["spectrum"]
                self._spectrum = Spectrum(tensors["values"], tensors["errors"], Method(method), floor)
            if "leading" in told:
                method, residual, bound = told["leading"]
                certificate = Certificate(Method(method), residual, bound)
                vectors = (tensors["leading"], tensors["left"], tensors["right"])
                self._directions = Leading(*vectors, certificate)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise JournalError(
                f"a kept decomposition of {len(content)} bytes cannot be read: {error}."
            ) from error


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    length = int.from_bytes(content[:8], "little")
    told: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["told"])
    return told, load(content)
