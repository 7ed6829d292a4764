"""Nulls, floors and estimates for every matrix and checkpoint of a run."""
