"""From checkpoints to a sealed, labelled store."""

from geostat.trajectories.combine import combine
from geostat.trajectories.cost import Cost, estimate, estimate_seconds
from geostat.trajectories.cost_table import CostTable, cost_table, richest_within
from geostat.trajectories.engines import ENGINES, Engine
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.measure import measure, run_plan
from geostat.trajectories.plan import Plan
from geostat.trajectories.planning import plan
from geostat.trajectories.sealing import seal
from geostat.trajectories.store import open_trajectory, vectors
from geostat.trajectories.validate import to_csv, validate
from geostat.trajectories.watching.watch import watch

__all__ = [
    "ENGINES",
    "Cost",
    "CostTable",
    "Engine",
    "Journal",
    "Plan",
    "combine",
    "cost_table",
    "estimate",
    "estimate_seconds",
    "journal_path",
    "measure",
    "open_trajectory",
    "plan",
    "richest_within",
    "run_plan",
    "seal",
    "to_csv",
    "validate",
    "vectors",
    "watch",
]
