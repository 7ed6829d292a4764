"""The procedures of a plan under their own names."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geostat.statistics.doses.dose_response import DoseResponseResult
    from geostat.statistics.locking.brackets import LockResult
    from geostat.statistics.locking.locked_share import ShareResult
    from geostat.statistics.locking.locking_onset import LockingResult
    from geostat.statistics.locking.median_onset import MedianOnsetResult
    from geostat.statistics.means.comparison import ComparisonResult
    from geostat.statistics.means.equivalence import EquivalenceResult
    from geostat.statistics.means.mean import MeanResult
    from geostat.statistics.regimes.regime_result import RegimeResult

__all__ = ["PlannedMethods"]


class PlannedMethods(ABC):
    """Thin methods over `run`: each takes the arguments of the procedure of its name."""

    @abstractmethod
    def run(self, procedure: Any, data: Any, /, *args: Any, **arguments: Any) -> Any:
        """Run a procedure as declared."""

    def mean_ci(self, data: Any, **arguments: Any) -> "MeanResult":
        """Mean over runs, as declared."""
        result: MeanResult = self.run("mean_ci", data, **arguments)
        return result

    def compare(self, data: Any, a: str, b: str, **arguments: Any) -> "ComparisonResult":
        """Difference of two recipes, as declared."""
        result: ComparisonResult = self.run("compare", data, a, b, **arguments)
        return result

    def equivalence(self, data: Any, *args: Any, **arguments: Any) -> "EquivalenceResult":
        """Equivalence within the declared margins."""
        result: EquivalenceResult = self.run("equivalence", data, *args, **arguments)
        return result

    def dose_response(self, data: Any, *args: Any, **arguments: Any) -> "DoseResponseResult":
        """Response to a dose within the declared margins."""
        result: DoseResponseResult = self.run("dose_response", data, *args, **arguments)
        return result

    def lock_brackets(self, data: Any, **arguments: Any) -> "LockResult":
        """Onset of every run in the declared band."""
        result: LockResult = self.run("lock_brackets", data, **arguments)
        return result

    def locked_share(self, data: Any, **arguments: Any) -> "ShareResult":
        """Share of runs that lock in the declared band."""
        result: ShareResult = self.run("locked_share", data, **arguments)
        return result

    def median_onset(self, data: Any, **arguments: Any) -> "MedianOnsetResult":
        """Median onset over runs in the declared band."""
        result: MedianOnsetResult = self.run("median_onset", data, **arguments)
        return result

    def locking_onset(self, data: Any, **arguments: Any) -> "LockingResult":
        """Verdict on locking, as declared."""
        result: LockingResult = self.run("locking_onset", data, **arguments)
        return result

    def classify_regime(self, data: Any, **arguments: Any) -> "RegimeResult":
        """Regime of every recipe against the declared references."""
        result: RegimeResult = self.run("classify_regime", data, **arguments)
        return result
