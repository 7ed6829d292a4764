"""What ``import geostat`` costs."""

import json
import statistics
import subprocess
import sys

from geostat.bench.bars import Bar, Measured
from geostat.bench.settings import Found, Job, Settings

__all__ = ["IMPORT_JOBS"]

_SECONDS = Bar("import geostat", "CPU-s", at_most=0.2)
_HEAVY = Bar("heavy libraries that import geostat loads", "count", at_most=0.0)

_PROGRAM = """
import json, sys, time
start = time.process_time()
import geostat
spent = time.process_time() - start
heavy = [name for name in ("torch", "pandas", "scipy.stats", "statsmodels") if name in sys.modules]
print(json.dumps([spent, heavy]))
"""


def _imports(settings: Settings) -> Found:
    found = []
    for _ in range(settings.repeats + 1):
        command = [sys.executable, "-c", _PROGRAM]
        found.append(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
    seconds = statistics.median(spent for spent, _ in found[1:])
    yield _SECONDS, Measured(seconds, fast_seconds=seconds, note="in a fresh process")
    heavy = found[0][1]
    yield _HEAVY, Measured(float(len(heavy)), note=", ".join(heavy))


IMPORT_JOBS = (Job("import", "import geostat in a fresh process", (_SECONDS, _HEAVY), _imports),)
"""The import."""
