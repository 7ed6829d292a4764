"""One matrix of a checkpoint: what it is called, and how to read it."""

from dataclasses import dataclass, field

import torch

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.layouts import Layout
from geostat.checkpoints.mapped import Advice
from geostat.errors import CheckpointError, MissingTensorError


@dataclass(frozen=True)
class MatrixRef:
    """One matrix of a checkpoint: what it is called, and how to read it.

    Attributes
    ----------
    name : str
        Unique and readable: "model.layers.3.self_attn.q_proj"; a part of a fused tensor is
        "transformer.h.0.attn.c_attn[q_proj]", an expert of a 3-D tensor
        "model.layers.0.mlp.experts.down_proj[7]".
    tensor : str
        Name of the tensor that holds it, without wrapper prefixes.
    layer, expert : int
        -1 where there is none.
    module : str
        Canonical short name, as in `parse_name`.
    rows, cols : int
        Outputs and inputs: the matrix acts as ``matrix @ x``.
    layout : Layout
        Where the matrix lies in the tensor.
    known : bool
        False if the tensor's name is not one that geostat knows; `module` is then a part of the name.
    repeats : tuple of MatrixRef
        Second names of the same parameter (a tied output head), which `list_matrices` left out.
    """

    name: str
    tensor: str
    layer: int
    module: str
    expert: int
    rows: int
    cols: int
    layout: Layout = field(default_factory=Layout)
    known: bool = True
    repeats: tuple["MatrixRef", ...] = ()

    @property
    def n_params(self) -> int:
        """Number of entries."""
        return self.rows * self.cols

    def read(self, checkpoint: Checkpoint) -> torch.Tensor:
        """Read the matrix (rows, cols), contiguous, in its stored dtype, on the CPU.

        It may share memory with the checkpoint: do not write into it.
        """
        key = checkpoint.stored_name(self.tensor)
        if key is None:
            raise MissingTensorError(
                f"{checkpoint.path} holds no tensor '{self.tensor}', asked for as matrix '{self.name}'. "
                "Pair the checkpoints first (pair_matrices), or compare their names."
            )
        return self.layout.read(checkpoint, key)

    def advise(self, checkpoint: Checkpoint, advice: Advice) -> None:
        """Say that the matrix is needed soon, or not any more; see `Checkpoint.advise`."""
        key = checkpoint.stored_name(self.tensor)
        if key is not None:
            self.layout.advise(checkpoint, key, advice)


@dataclass(frozen=True)
class Weight:
    """A weight of a checkpoint as matrices; with an error, those that it would hold if it could be read."""

    refs: tuple[MatrixRef, ...]
    error: CheckpointError | None = None

    @property
    def tensor(self) -> str:
        """Name of the tensor."""
        return self.refs[0].tensor
