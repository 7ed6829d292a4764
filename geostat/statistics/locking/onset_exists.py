"""Whether a metric changes over training at all, against a constant in autocorrelated noise."""

from typing import Any

import numpy as np
import xarray as xr

from geostat.errors import SampleError, UndefinedWarning
from geostat.statistics.locking.critical import NULL_RHOS
from geostat.statistics.locking.model_sample import LEFT_OUT, Curves, curves_of_recipes, model_reasons
from geostat.statistics.locking.onset_exists_result import ExistenceResult
from geostat.statistics.locking.onset_exists_tests import ExistenceTests, existence_tests
from geostat.statistics.locking.recipes import RecipeCurves, average_in_words, gathered_curves, joined
from geostat.statistics.runs.arguments import Weighting, check_level, gather
from geostat.statistics.runs.randomness import Randomness, seeded
from geostat.statistics.words.notices import Notice, give
from geostat.statistics.words.reasons import text_array

__all__ = ["ExistenceResult", "onset_exists"]

BEYOND = 10
"""Null statistics that must lie beyond the critical value for it to be known."""

ASSUMPTIONS = (
    "under the null each run is a constant in Gaussian Ornstein-Uhlenbeck noise with autocorrelation of at "
    f"most {NULL_RHOS[-1]:g} at the mean gap; a random walk is beyond that, and may be taken for a change",
    "runs are independent",
    "a change is looked for at one time in all runs, in either direction in each of them; that something "
    "changes does not mean that it settles or stays",
)


def onset_exists(
    data: xr.DataArray | xr.Dataset,
    *,
    dim: str | None = "matrix",
    sample_dim: str = "run",
    level: float = 0.95,
    n_null: int = 10_000,
    weighting: Weighting | None = None,
    rng: Randomness = 0,
) -> ExistenceResult:
    r"""Evidence that a metric changes over training, against a constant in autocorrelated noise.

    The statistic is the supremum over settling curves f (hinge, exponential, step) and their times
    :math:`\tau`, common to the S runs of a recipe, of the log likelihood ratio against a constant:

    .. math:: \Lambda = \sup_{f, \tau} \sum_s \Bigl\{
              \max_\rho \bigl[-\tfrac12 \log|R| - \tfrac{T}{2} \log \mathrm{RSS}_s(f, \tau, \rho)\bigr]
              - \max_\rho \bigl[-\tfrac12 \log|R| - \tfrac{T}{2} \log \mathrm{RSS}_s(\rho)\bigr] \Bigr\}

    Level, amplitude, scale and the autocorrelation of Ornstein-Uhlenbeck noise are each run's own. Its
    null distribution depends on the checkpoints and on the autocorrelation, so it is simulated on the
    checkpoints at hand for autocorrelations 0, .5, .8, .9, .95 and .97 at the mean gap, and the worst of
    them counts: for the p-value the largest, for the critical value the largest.

    It does not say when the change is (`fit_onset`), nor that a metric locks (`locked_share`); a metric that
    drifts throughout changes too. A large p-value does not show that nothing changes.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        One metric or several, with dim ``step``; 5 checkpoints or more of a run.
    dim, sample_dim : str
        Matrices and runs, as in `mean_ci`; ``dim`` may be None.
    level : float
        One minus the size of the test, in (0, 1).
    n_null : int
        Null statistics per autocorrelation; at least 10 / (1 - level).
    weighting : {"matrix", "parameters"}, optional
        As in `mean_ci`.
    rng : int, numpy.random.Generator or None
        Seed of the null. The table is kept in memory for each set of checkpoints and seed, so that with
        a fixed seed only the first call pays for it.

    Returns
    -------
    ExistenceResult
        ``statistic``, ``p_value``, ``critical``, ``worst_rho`` and ``verdict`` over recipe and what else is left;
        NaN with a reason where there are too few checkpoints or every run is constant.

    Raises
    ------
    SampleError
        If an argument does not fit the data.

    Warns
    -----
    UndefinedWarning
        If runs are left out because they are constant or have fewer than 5 checkpoints.

    References
    ----------
    Andrews (1993), Econometrica 61, 821-856 (suprema of likelihood ratios over an unknown time); Davies
    (1987), Biometrika 74, 33-43 (a parameter that exists only under the alternative).

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> steps = np.arange(0, 1001, 50)
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (3, steps.size))
    >>> runs = xr.DataArray(
    ...     np.exp(-steps / 150) + noise,
    ...     dims=("run", "step"),
    ...     coords={"step": steps},
    ...     attrs={"units": "1"},
    ...     name="angle",
    ... )
    >>> onset_exists(runs, dim=None, n_null=1000).rows()[0]["verdict"]
    'change'
    """
    check_level(level)
    _check_null(n_null, level)
    _, seed = seeded(rng)
    gathered = gather(data, dim=dim, sample_dim=sample_dim, weighting=weighting)
    curves, notices = gathered_curves(gathered, None)
    cells = {name: _cells(found, level, n_null, seed, notices) for name, found in curves.items()}
    return ExistenceResult(
        **gathered.common(),
        cells=cells,
        title=f"Existence of a change: {', '.join(cells)}",
        estimand=f"Whether the runs of a recipe change over training; {average_in_words(gathered)}.",
        method="supremum of likelihood ratios against a constant in Ornstein-Uhlenbeck noise, null simulated on "
        "these checkpoints under the worst autocorrelation",
        scope="model-dependent",
        level=level,
        assumptions=ASSUMPTIONS,
        warnings=give(dict.fromkeys(notices)),
        seed=seed,
        settings={
            "n_null": n_null,
            "null_autocorrelations": list(NULL_RHOS),
            "dim": dim,
            "sample_dim": sample_dim,
            "weighting": {sample.name: sample.weighting for sample in gathered.samples},
            "left_out": list(gathered.left_out),
        },
    )


def _check_null(n_null: int, level: float) -> None:
    needed = int(np.ceil(BEYOND / (1 - level)))
    if not isinstance(n_null, int | np.integer) or isinstance(n_null, bool) or n_null < needed:
        raise SampleError(
            f"n_null={n_null!r} null statistics do not tell the critical value at level {level:g}: pass a whole "
            f"number from {needed} on, 10000 by default."
        )


def _cells(found: RecipeCurves, level: float, n_null: int, seed: int, notices: list[Notice]) -> xr.Dataset:
    parts = []
    for curves in curves_of_recipes(found):
        tested = existence_tests(curves.finite, curves.steps, level=level, n_null=n_null, seed=seed)
        parts.append(_labelled(curves, tested))
        fewer = (tested.n_runs > 0) & (tested.n_runs < curves.n_with_value)
        if fewer.any():
            notices.append(Notice(UndefinedWarning, f"{curves.whose_in(fewer)}{LEFT_OUT}"))
    return joined(parts, found.groups)


def _labelled(curves: Curves, tested: ExistenceTests) -> xr.Dataset:
    numbers: dict[str, Any] = {
        "statistic": tested.statistic,
        "p_value": tested.p_value,
        "critical": tested.critical,
        "worst_rho": tested.worst_rho,
        "verdict": np.array(_verdicts(tested), dtype=np.dtypes.StringDType()),
        "n_runs": tested.n_runs,
        "n_checkpoints": curves.n_checkpoints,
    }
    whole = {name: curves.labelled(values) for name, values in numbers.items()}
    reason = text_array(whole["statistic"], model_reasons(curves, whole["p_value"].isnull()))
    return xr.Dataset(whole | {"n_matrices": curves.n_matrices, "reason": reason})


def _verdicts(tested: ExistenceTests) -> list[str]:
    undefined = np.isnan(tested.statistic)
    verdicts = np.where(tested.statistic > tested.critical, "change", "not distinguishable from noise")
    told: list[str] = np.where(undefined, "undefined", verdicts).tolist()
    return told
