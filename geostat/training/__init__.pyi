# The public names of geostat.training: `__init__.py` imports each on first use.
from .advantages import mixed_advantages as mixed_advantages, reverse_kl as reverse_kl
from .callback import subspace_callback as subspace_callback
from .channels import Channel as Channel
from .constraint import SubspaceConstraint as SubspaceConstraint
from .distillation import distillation_loss as distillation_loss, token_weights as token_weights
from .given import stored_channels as stored_channels
