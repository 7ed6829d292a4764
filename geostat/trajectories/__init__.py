"""From checkpoints to a sealed, labelled store."""

from geostat.trajectories.combine import combine
from geostat.trajectories.cost import Cost, estimate, estimate_seconds
from geostat.trajectories.engines import ENGINES, Engine
from geostat.trajectories.journal import Journal, journal_path
from geostat.trajectories.measure import measure, run_plan
from geostat.trajectories.plan import Plan
from geostat.trajectories.planning import plan
from geostat.trajectories.store import open_trajectory, seal, vectors
from geostat.trajectories.validate import to_csv, validate

__all__ = [
    "ENGINES",
    "Cost",
    "Engine",
    "Journal",
    "Plan",
    "combine",
    "estimate",
    "estimate_seconds",
    "journal_path",
    "measure",
    "open_trajectory",
    "plan",
    "run_plan",
    "seal",
    "to_csv",
    "validate",
    "vectors",
]
