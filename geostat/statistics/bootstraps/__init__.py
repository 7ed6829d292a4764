"""Intervals from resampled runs, and where they are refused."""
