"""Masks and channels of several runs that share their start: agreement beyond chance and rounding."""
