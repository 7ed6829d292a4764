"""The gate null: what an update that ignores W_0 shows after rounding."""
