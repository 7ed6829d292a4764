"""Interventions on training: what a run can still do when its weights may move in some directions only."""

import lazy_loader

# Names and their homes stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
