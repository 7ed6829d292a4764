"""From checkpoints to a sealed, labelled store."""

import lazy_loader

# Names and their homes stand in __init__.pyi. Each is imported on first use: a worker process that measures one
# matrix after another needs neither xarray nor zarr, and starts that much sooner.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
