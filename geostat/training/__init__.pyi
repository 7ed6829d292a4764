# The public names of geostat.training: `__init__.py` imports each on first use.
from .callback import subspace_callback as subspace_callback
from .channels import Channel as Channel, stored_channels as stored_channels
from .constraint import SubspaceConstraint as SubspaceConstraint
