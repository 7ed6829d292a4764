"""Figures that storage rounding alone gives."""
