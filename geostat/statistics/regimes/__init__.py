"""Which regime a recipe belongs to: full-space, relaxed or sparse."""
