"""Every job of the benchmark, in the order of the table."""

from geostat.bench.accelerator import ACCELERATOR_JOBS
from geostat.bench.accuracy import ACCURACY_JOBS
from geostat.bench.entries import ENTRY_JOBS
from geostat.bench.gate import GATE_JOBS
from geostat.bench.imports import IMPORT_JOBS
from geostat.bench.onset import ONSET_JOBS
from geostat.bench.refinement import REFINEMENT_JOBS
from geostat.bench.rotation import ROTATION_JOBS
from geostat.bench.scaling import SCALING_JOBS
from geostat.bench.settings import Job
from geostat.bench.suite import SUITE_JOBS

__all__ = ["JOBS"]

JOBS: tuple[Job, ...] = (
    *SUITE_JOBS,
    *ENTRY_JOBS,
    *ACCURACY_JOBS,
    *GATE_JOBS,
    *SCALING_JOBS,
    *ONSET_JOBS,
    *IMPORT_JOBS,
    *ROTATION_JOBS,
    *REFINEMENT_JOBS,
    *ACCELERATOR_JOBS,
)
"""The table."""
