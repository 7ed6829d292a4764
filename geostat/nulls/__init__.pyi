# The public names of geostat.nulls: `__init__.py` imports each on first use.
from .across_runs.agreement import subspace_agreement as subspace_agreement
from .across_runs.jaccard import jaccard_test as jaccard_test
from .floors.floor import noise_floor as noise_floor
from .floors.result import NoiseFloor as NoiseFloor
from .gates.gate import gate_null as gate_null
from .latents.result import LatentUpdate as LatentUpdate
from .latents.update import latent_update as latent_update
from .null_result import NullResult as NullResult
from .published.comparison import published_null as published_null
from .sensitivities.analysis import sensitivity as sensitivity
from .sensitivities.result import SensitivityResult as SensitivityResult
from .walks.ceiling import (
    capture_above_diffusion as capture_above_diffusion,
    capture_ceiling as capture_ceiling,
)
from .walks.diffusion import diffusion_null as diffusion_null
from .walks.drift import drift_diffusion as drift_diffusion
from .walks.drift_result import DriftDiffusionResult as DriftDiffusionResult
from .walks.envelope import random_walk_envelope as random_walk_envelope
from .walks.path import increment_norms as increment_norms, path_geometry as path_geometry
from .whole_runs.loop import run_nulls as run_nulls
from .whole_runs.table import run_nulls_table as run_nulls_table
