"""Results as tables and figures for a paper."""

from geostat.report.figures import panel, trajectory
from geostat.report.tables import summary_table

__all__ = ["panel", "summary_table", "trajectory"]
