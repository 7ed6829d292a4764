"""What rounding, diffusion and chance alone would give, and estimates that see through rounding."""

import lazy_loader

# Names and their homes stand in __init__.pyi: one null does not load what all others need.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
