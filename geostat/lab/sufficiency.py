"""Is a channel all that the rest of training needs? Twins with and without it, and what it is compared with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from geostat.errors import ProtocolError
from geostat.lab.arms import FREE, Arm, arms_of
from geostat.lab.branches import BranchTask, read_branch
from geostat.lab.laboratory import LABORATORY
from geostat.lab.recipes import Scale
from geostat.lab.study import chosen_seeds, plan_study, refuse_nothing, study_settings, tell_lost
from geostat.lab.study_folder import claimed
from geostat.lab.sufficiency_result import Sufficiency
from geostat.lab.sufficiency_table import Row, labelled, row_of
from geostat.lab.teacher import teacher_path
from geostat.lab.twins import TwinTask, read_twin
from geostat.lab.workers import Progress, run_tasks

__all__ = ["DOSES", "arms_wanted", "functional_sufficiency"]

DOSES = (2, 4, 8, 16, 32)
CONTROLS_AT = 16


def functional_sufficiency(
    recipes: str | Sequence[str],
    K: int | Sequence[int] = DOSES,
    *,
    out: str | Path,
    at: float = 0.2,
    seeds: int | Iterable[int] = 5,
    arms: Sequence[Arm] | None = None,
    scale: Scale = LABORATORY,
    dtypes: Sequence[str] = ("bf16", "fp32"),
    workers: int = 1,
    teacher: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] = lambda event: None,
) -> Sufficiency:
    r"""Functional sufficiency of an early channel, on real training.

    Each run is halted at a share of its training. From that state, to the bit, twins go on: the same weights,
    moments, batches and random numbers. One is free; of the others each matrix may move only in the directions of
    its arm, for instance the leading K of its update so far. A channel suffices where the twin that is
    held in it gains what the free one gains, and its complement does not. What it retains is

    .. math:: \frac{a_\text{arm} - a_\text{parted}}{a_\text{free} - a_\text{parted}},

    of exact accuracies at temperature 1. The sample are runs: seeds of one base.

    Parameters
    ----------
    recipes : str or sequence of str
        Names at this scale, such as ``"opd"``; ``"continued_sft"`` is the control of the same stage and rate.
    K : int or sequence of int
        Sizes of the channel; controls are taken at 16, or at the largest below that is asked for.
    out : path
        A study's folder, as in `geostat.lab.train_runs`; what is finished is reused.
    at : float
        Share of training after which the twins part, in (0, 1).
    seeds : int or iterable of int
        How many, or which.
    arms : sequence of Arm, optional
        Instead of all; the free twin is added.
    scale : Scale
        Settings of training.
    dtypes, workers, teacher, device, progress
        As in `geostat.lab.train_runs`; fp32 masters are kept beside the bf16 checkpoints.

    Returns
    -------
    Sufficiency
        Accuracies of all twins, and the intervals over seeds.

    Raises
    ------
    ProtocolError
        If a setting means nothing, or an update has fewer than K directions.
    StoreError
        If `out` holds another study, or a record is damaged.

    Warns
    -----
    GeostatWarning
        If a run diverged: it is left out.

    References
    ----------
    P1 (section 4, eq. 10): one run, one K, the free twin and no other.

    Examples
    --------
    >>> import tempfile
    >>> from geostat.lab.recipes import PRETRAINING, RECIPES, Scale
    >>> recipes = tuple(recipe.shortened(steps=4, batch=4) for recipe in RECIPES.values())
    >>> short = Scale("short", PRETRAINING.shortened(steps=2), recipes, checkpoints=2, problems=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = functional_sufficiency(
    ...         "sft", out=folder, seeds=1, at=0.5, arms=[Arm("channel", 2), Arm("random", 2)], scale=short
    ...     )
    >>> [str(arm) for arm in found.data["arm"].values]
    ['free', 'channel-2', 'random-2']
    """
    names = (recipes,) if isinstance(recipes, str) else tuple(dict.fromkeys(recipes))
    chosen = chosen_seeds(seeds)
    wanted = arms_wanted((K,) if isinstance(K, int) else tuple(K), arms)
    folder, teacher = Path(out), None if teacher is None else Path(teacher)
    planned = partial(
        plan_study, folder, chosen, scale=scale, dtypes=tuple(dtypes), teacher=teacher, device=device
    )
    twins = _twin_tasks(planned(names), names, wanted, at)
    if too_large := [arm.name for arm in wanted if scale.model.width < arm.K]:
        raise ProtocolError(
            f"{', '.join(too_large)}: the model has a width of {scale.model.width}. Take a smaller K."
        )
    missing = [each for each in twins if each.missing]
    needed = {each.start for each in missing} | ({"base"} if missing else set())
    before = [each for each in planned(()) if each.name in needed and read_branch(folder / each.name) is None]
    with claimed(folder, study_settings(scale, tuple(dtypes), teacher or teacher_path(), device)):
        tell_lost(run_tasks([*before, *missing], workers, progress))
    refuse_nothing(rows := list(_rows(twins)))
    return Sufficiency(labelled(rows))


def arms_wanted(K: Sequence[int], arms: Sequence[Arm] | None) -> tuple[Arm, ...]:
    """Arms of an experiment, the free one first.

    Parameters
    ----------
    K : sequence of int
        Sizes of the channel.
    arms : sequence of Arm or None
        Instead of all.

    Returns
    -------
    tuple of Arm
        Each once.
    """
    if not K and arms is None:
        raise ProtocolError(
            "K is empty: no size of the channel was asked for. Pass one or several, such as 16."
        )
    found = arms_of(K, max((k for k in K if k <= CONTROLS_AT), default=min(K))) if arms is None else arms
    return tuple(dict.fromkeys((FREE, *found)))


def _twin_tasks(
    planned: Sequence[BranchTask], recipes: Sequence[str], arms: tuple[Arm, ...], at: float
) -> list[TwinTask]:
    if not 0 < at < 1:
        raise ProtocolError(
            f"at={at}: the twins part after a share of training between 0 and 1, such as 0.2."
        )
    branches = [task for task in planned if task.recipe.name in recipes]
    if not branches:
        raise ProtocolError("no recipe was asked for. Pass a name, such as 'opd'.")
    twins = [TwinTask(each, max(1, round(at * each.steps)), arms) for each in branches]
    if late := next((each for each in twins if each.step >= each.branch.steps), None):
        raise ProtocolError(
            f"at={at}: after step {late.step} of {late.branch.steps} nothing is left of {late.branch.name}. Part "
            "earlier."
        )
    return twins


def _rows(tasks: Sequence[TwinTask]) -> Iterator[Row]:
    """Records of all runs that did not diverge."""
    for task in (each for each in tasks if not each.missing):
        for arm in task.arms:
            twin = read_twin(task.record(arm))
            yield row_of(task.branch.name, task.branch.recipe.name, task.branch.seed, twin)
