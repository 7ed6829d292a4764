"""Labelled arrays in, frozen results out: the sampling unit is the run, never the matrix."""

from geostat.statistics.locking.brackets import LockResult, at_least, lock_brackets
from geostat.statistics.means.comparison import ComparisonResult, compare
from geostat.statistics.means.mean import MeanResult, mean_ci

__all__ = [
    "ComparisonResult",
    "LockResult",
    "MeanResult",
    "at_least",
    "compare",
    "lock_brackets",
    "mean_ci",
]
