"""From bytes to named tensors: formats, names, pairs of matrices, runs. No mathematics."""

from geostat.checkpoints.base import Checkpoint
from geostat.checkpoints.mapped import IO, Advice
from geostat.checkpoints.matrices import list_matrices
from geostat.checkpoints.matrix_ref import MatrixRef
from geostat.checkpoints.naming import Naming, TensorName, is_weight, parse_name, strip_wrappers
from geostat.checkpoints.opening import FORMATS, Format, open_checkpoint
from geostat.checkpoints.pairing import Pairing, pair_matrices, read_matrix
from geostat.checkpoints.prefetch import prefetch
from geostat.checkpoints.run import RunPaths, discover_run, run_storage
from geostat.checkpoints.selection import Selection
from geostat.checkpoints.steps import step_of

__all__ = [
    "FORMATS",
    "IO",
    "Advice",
    "Checkpoint",
    "Format",
    "MatrixRef",
    "Naming",
    "Pairing",
    "RunPaths",
    "Selection",
    "TensorName",
    "discover_run",
    "is_weight",
    "list_matrices",
    "open_checkpoint",
    "pair_matrices",
    "parse_name",
    "prefetch",
    "read_matrix",
    "run_storage",
    "step_of",
    "strip_wrappers",
]
