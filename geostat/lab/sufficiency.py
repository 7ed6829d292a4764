"""Is a channel all that the rest of training needs? Twins with and without it, and what it is compared with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from geostat.errors import ProtocolError, SampleError
from geostat.lab.arms import FREE, Arm, arms_of, check_sizes
from geostat.lab.asked import asked_dtypes, asked_folder, asked_recipes, asked_seeds, asked_workers
from geostat.lab.branches import BranchTask
from geostat.lab.laboratory import LABORATORY
from geostat.lab.measuring import no_run_left
from geostat.lab.recipes import Scale
from geostat.lab.study import plan_study, run_study, study_settings, tell_lost
from geostat.lab.sufficiency_result import Sufficiency
from geostat.lab.sufficiency_table import Row, labelled, row_of
from geostat.lab.teacher import teacher_path
from geostat.lab.twins import TwinTask, read_twin
from geostat.lab.workers import Progress, Task

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
        If a setting means nothing, or matrices or an update have fewer than K directions.
    SampleError
        If every run diverged.
    StoreError
        If `out` is a file or holds another study, a study is running there, or a record is damaged.

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
    folder, names, chosen = asked_folder(out), asked_recipes(recipes), asked_seeds(seeds)
    storage, teacher = asked_dtypes(dtypes), None if teacher is None else Path(teacher)
    wanted = arms_wanted(K, arms)
    check_sizes(wanted, scale.model.width)
    planned = plan_study(folder, chosen, names, scale=scale, dtypes=storage, teacher=teacher, device=device)
    twins = _twin_tasks(planned, names, wanted, at)
    settings = study_settings(scale, storage, teacher or teacher_path(), device)
    tasks: list[Task] = [*_starts(planned, twins), *twins]
    tell_lost(run_study(folder, settings, tasks, asked_workers(workers), progress))
    return Sufficiency(labelled(_found(twins, folder)))


def arms_wanted(K: int | Iterable[int], arms: Sequence[Arm] | None) -> tuple[Arm, ...]:
    """Arms of an experiment, the free one first.

    Parameters
    ----------
    K : int or iterable of int
        Sizes of the channel.
    arms : sequence of Arm or None
        Instead of all.

    Returns
    -------
    tuple of Arm
        Each once.

    Raises
    ------
    ProtocolError
        If there is no size, or one is no whole number of 1 or more.
    """
    sizes = tuple(K) if isinstance(K, Iterable) and not isinstance(K, str) else (K,)
    if not sizes and arms is None:
        raise ProtocolError(
            "K is empty: no size of the channel was asked for. Pass one or several, such as 16."
        )
    found = _all_arms([Arm("channel", size).K for size in sizes]) if arms is None else arms
    return tuple(dict.fromkeys((FREE, *found)))


def _all_arms(K: Sequence[int]) -> tuple[Arm, ...]:
    return arms_of(K, max((k for k in K if k <= CONTROLS_AT), default=min(K)))


def _twin_tasks(
    planned: Sequence[BranchTask], recipes: Sequence[str], arms: tuple[Arm, ...], at: float
) -> list[TwinTask]:
    if not 0 < at < 1:
        raise ProtocolError(
            f"at={at}: the twins part after a share of training between 0 and 1, such as 0.2."
        )
    branches = [task for task in planned if task.recipe.name in recipes]
    return [TwinTask(each, _parting(each, at), arms) for each in branches]


def _parting(branch: BranchTask, at: float) -> int:
    """Step at which the twins of a branch part, with one at least to go."""
    step = max(1, round(at * branch.steps))
    if step >= branch.steps:
        raise ProtocolError(
            f"at={at}: twins of {branch.name} would part at step {step} of {branch.steps}, where no step is left for "
            "them. Pass a smaller share, or train longer."
        )
    return step


def _starts(planned: Sequence[BranchTask], twins: Sequence[TwinTask]) -> list[BranchTask]:
    """Branches that have to be there before the twins that are missing."""
    needed = {twin.start for twin in twins if not twin.done}
    needed |= {task.start for task in planned if task.name in needed}
    return [task for task in planned if task.name in needed]


def _found(tasks: Sequence[TwinTask], folder: Path) -> Iterator[Row]:
    """Records of all runs that did not diverge."""
    finished = [task for task in tasks if task.done]
    if not finished:
        raise SampleError(no_run_left(folder))
    for task in finished:
        for arm in task.arms:
            twin = read_twin(task.record(arm))
            yield row_of(task.branch.name, task.branch.recipe.name, task.branch.seed, twin)
