"""What rounding, diffusion and chance alone would give, and estimates that see through rounding."""

import importlib
from typing import Any

_HOMES = {
    "DriftDiffusionResult": "geostat.nulls.walks.drift_result",
    "LatentUpdate": "geostat.nulls.latents.result",
    "NoiseFloor": "geostat.nulls.floors.result",
    "NullResult": "geostat.nulls.null_result",
    "SensitivityResult": "geostat.nulls.sensitivities.result",
    "capture_above_diffusion": "geostat.nulls.walks.ceiling",
    "capture_ceiling": "geostat.nulls.walks.ceiling",
    "diffusion_null": "geostat.nulls.walks.diffusion",
    "drift_diffusion": "geostat.nulls.walks.drift",
    "gate_null": "geostat.nulls.gates.gate",
    "increment_norms": "geostat.nulls.walks.path",
    "jaccard_test": "geostat.nulls.across_runs.jaccard",
    "latent_update": "geostat.nulls.latents.update",
    "noise_floor": "geostat.nulls.floors.floor",
    "path_geometry": "geostat.nulls.walks.path",
    "published_null": "geostat.nulls.published.comparison",
    "random_walk_envelope": "geostat.nulls.walks.envelope",
    "run_nulls": "geostat.nulls.whole_runs.loop",
    "run_nulls_table": "geostat.nulls.whole_runs.table",
    "sensitivity": "geostat.nulls.sensitivities.analysis",
    "subspace_agreement": "geostat.nulls.across_runs.agreement",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use, so that one null does not load what all others need."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'geostat.nulls' has no attribute {name!r}. It offers: {', '.join(__all__)}."
        )
    return getattr(importlib.import_module(_HOMES[name]), name)
