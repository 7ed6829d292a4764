"""Labelled arrays in, frozen results out: the sampling unit is the run, never the matrix."""

from geostat.statistics.bootstraps.bootstrap import BootstrapResult, bootstrap_ci
from geostat.statistics.calibration.calibration import calibrate
from geostat.statistics.changepoints.changepoint import ChangepointResult, fit_changepoint
from geostat.statistics.doses.dose_response import DoseResponseResult, dose_response
from geostat.statistics.locking.band_entry import BandEntryResult, band_entry
from geostat.statistics.locking.brackets import LockResult, at_least, lock_brackets
from geostat.statistics.locking.fit_onset import FitOnsetResult, fit_onset
from geostat.statistics.locking.locked_share import ShareResult, locked_share
from geostat.statistics.locking.locking_onset import LockingResult, locking_onset
from geostat.statistics.locking.median_onset import MedianOnsetResult, median_onset
from geostat.statistics.locking.onset_exists import ExistenceResult, onset_exists
from geostat.statistics.means.comparison import ComparisonResult, compare
from geostat.statistics.means.equivalence import EquivalenceResult, equivalence
from geostat.statistics.means.mean import MeanResult, mean_ci
from geostat.statistics.means.multiplicity import adjust, adjust_p_values
from geostat.statistics.plans.analysis import Analysis
from geostat.statistics.plans.frozen import FrozenAnalysis
from geostat.statistics.regimes.classification import RegimeResult, classify_regime
from geostat.statistics.regimes.matching import displacement_matched
from geostat.statistics.regimes.published import published_figures
from geostat.statistics.sample_size.power import PowerResult, power

__all__ = [
    "Analysis",
    "BandEntryResult",
    "BootstrapResult",
    "ChangepointResult",
    "ComparisonResult",
    "DoseResponseResult",
    "EquivalenceResult",
    "ExistenceResult",
    "FitOnsetResult",
    "FrozenAnalysis",
    "LockResult",
    "LockingResult",
    "MeanResult",
    "MedianOnsetResult",
    "PowerResult",
    "RegimeResult",
    "ShareResult",
    "adjust",
    "adjust_p_values",
    "at_least",
    "band_entry",
    "bootstrap_ci",
    "calibrate",
    "classify_regime",
    "compare",
    "displacement_matched",
    "dose_response",
    "equivalence",
    "fit_changepoint",
    "fit_onset",
    "lock_brackets",
    "locked_share",
    "locking_onset",
    "mean_ci",
    "median_onset",
    "onset_exists",
    "power",
    "published_figures",
]
