# The one list of public names: `geostat/__init__.py` imports each on first use.
from . import (
    errors as errors,
    lab as lab,
    nulls as nulls,
    report as report,
    results as results,
    statistics as statistics,
    testing as testing,
)
from .checkpoints import (
    discover_run as discover_run,
    list_matrices as list_matrices,
    open_checkpoint as open_checkpoint,
)
from .diagnostics import (
    DIAGNOSTICS as DIAGNOSTICS,
    effective_rank as effective_rank,
    forward_capture as forward_capture,
    future_capture as future_capture,
    gap_limited as gap_limited,
    hill_tail_exponent as hill_tail_exponent,
    lagged_similarity as lagged_similarity,
    low_magnitude_mask_overlap as low_magnitude_mask_overlap,
    max_principal_angle as max_principal_angle,
    mean_principal_angle as mean_principal_angle,
    mean_principal_sine as mean_principal_sine,
    normalized_spectral_shift as normalized_spectral_shift,
    numerical_rank as numerical_rank,
    past_next_similarity as past_next_similarity,
    principal_angles as principal_angles,
    principal_gap as principal_gap,
    principal_mask_overlap as principal_mask_overlap,
    principal_subspace_energy as principal_subspace_energy,
    relative_update_norm as relative_update_norm,
    similarity_to_end as similarity_to_end,
    stable_rank as stable_rank,
    stable_rank_trend as stable_rank_trend,
    top_k_energy as top_k_energy,
    update_density as update_density,
    update_norm as update_norm,
    update_sparsity as update_sparsity,
)
from .nulls import (
    diffusion_null as diffusion_null,
    drift_diffusion as drift_diffusion,
    gate_null as gate_null,
    jaccard_test as jaccard_test,
    latent_update as latent_update,
    noise_floor as noise_floor,
    random_walk_envelope as random_walk_envelope,
    run_nulls as run_nulls,
    sensitivity as sensitivity,
    subspace_agreement as subspace_agreement,
)
from .protocols import (
    PROTOCOLS as PROTOCOLS,
    Protocol as Protocol,
)
from .spec import (
    TIERS as TIERS,
    Diagnostic as Diagnostic,
    Reason as Reason,
    Undefined as Undefined,
    diagnostic as diagnostic,
)
from .statistics import (
    Analysis as Analysis,
    FrozenAnalysis as FrozenAnalysis,
    adjust as adjust,
    at_least as at_least,
    band_entry as band_entry,
    bootstrap_ci as bootstrap_ci,
    calibrate as calibrate,
    classify_regime as classify_regime,
    compare as compare,
    displacement_matched as displacement_matched,
    dose_response as dose_response,
    equivalence as equivalence,
    fit_changepoint as fit_changepoint,
    fit_onset as fit_onset,
    lock_brackets as lock_brackets,
    locked_share as locked_share,
    locking_onset as locking_onset,
    mean_ci as mean_ci,
    median_onset as median_onset,
    onset_exists as onset_exists,
    power as power,
    published_figures as published_figures,
)
from .trajectories import (
    combine as combine,
    cost_table as cost_table,
    measure as measure,
    open_trajectory as open_trajectory,
    plan as plan,
    seal as seal,
    to_csv as to_csv,
    validate as validate,
    watch as watch,
)

__version__: str
__all__: list[str]
