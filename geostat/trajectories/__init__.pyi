# The public names of geostat.trajectories: `__init__.py` imports each on first use.
from .combining import combine as combine
from .cost import Cost as Cost, estimate as estimate, estimate_seconds as estimate_seconds
from .cost_table import CostTable as CostTable, cost_table as cost_table, richest_within as richest_within
from .engines import ENGINES as ENGINES, Engine as Engine
from .journal import Journal as Journal, journal_path as journal_path
from .measuring import measure as measure, run_plan as run_plan
from .planning import plan as plan
from .plans import Plan as Plan
from .sealing import seal as seal
from .store import open_trajectory as open_trajectory, vectors as vectors
from .validating import to_csv as to_csv, validate as validate
from .watching.watch import watch as watch
