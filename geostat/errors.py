"""Every error and warning of geostat: what was asked, what was found, where, what to do."""

__all__ = [
    "AuditWarning",
    "CheckpointError",
    "DuplicateStepError",
    "EmptyCheckpointError",
    "EngineError",
    "GeostatError",
    "GeostatWarning",
    "InsufficientMemoryError",
    "JournalError",
    "MissingTensorError",
    "MissingTensorWarning",
    "NamingError",
    "NamingWarning",
    "NonFiniteError",
    "NumericalWarning",
    "ProtocolError",
    "QuantizedTensorError",
    "SampleError",
    "ShapeError",
    "SmallSampleWarning",
    "StepError",
    "StoreError",
    "TruncatedFileError",
    "UndefinedWarning",
]


class GeostatError(Exception):
    """Base of every error that geostat raises on purpose."""


class CheckpointError(GeostatError, ValueError):
    """A checkpoint cannot be read as weights."""


class EmptyCheckpointError(CheckpointError):
    """A path holds no weights."""


class TruncatedFileError(CheckpointError):
    """A weights file ends before its header says so."""


class NamingError(CheckpointError):
    """A tensor name, or a fused layout, cannot be resolved."""


class MissingTensorError(CheckpointError):
    """A matrix of the base has no partner in a checkpoint, or the other way round."""


class ShapeError(CheckpointError):
    """Two matrices that belong together differ in shape."""


class NonFiniteError(CheckpointError):
    """A weight holds NaN or infinity."""


class QuantizedTensorError(CheckpointError):
    """A weight is stored as integers, so differences of entries mean nothing."""


class StepError(CheckpointError):
    """The steps of a run cannot be read from its paths."""


class DuplicateStepError(StepError):
    """Two checkpoints claim the same step."""


class ProtocolError(GeostatError, ValueError):
    """A convention is invalid, or data of two conventions meet."""


class StoreError(GeostatError, OSError):
    """A store cannot be written, read or trusted."""


class JournalError(StoreError):
    """A journal belongs to another measurement, or cannot be read."""


class EngineError(GeostatError, RuntimeError):
    """A worker that computes units of work was lost."""


class InsufficientMemoryError(GeostatError, MemoryError):
    """A matrix is too large to be decomposed in the memory that is free."""


class SampleError(GeostatError, ValueError):
    """The data do not hold the sample that a statistic needs."""


class GeostatWarning(UserWarning):
    """Base of every warning that geostat gives."""


class NumericalWarning(GeostatWarning):
    """A figure is less certain than its digits."""


class AuditWarning(NumericalWarning):
    """A stored row violates an inequality that holds for all matrices."""


class MissingTensorWarning(GeostatWarning):
    """Matrices were left out because a partner is missing (``strict=False``)."""


class NamingWarning(GeostatWarning):
    """Weights whose names are not known were left out of a matrix set."""


class SmallSampleWarning(GeostatWarning):
    """The sample is too small for the question."""


class UndefinedWarning(GeostatWarning):
    """Cells without a value were left out of an aggregate."""
