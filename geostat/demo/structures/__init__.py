"""Parts of "Structure or rounding?" on real runs: gates, walks, estimates, and the rows that they fill."""
