"""How intervals and tests behave in studies of the user's own size, found by simulation."""
