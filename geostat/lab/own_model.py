"""Is a channel all that the rest of training needs? The experiment on somebody's own model."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from geostat.checkpoints import Selection
from geostat.errors import GeostatWarning, NonFiniteError, ProtocolError, SampleError
from geostat.lab.arms import FREE, Arm
from geostat.lab.asked import asked_folder, asked_seeds
from geostat.lab.evaluation import Accuracy
from geostat.lab.objective_names import objective_name
from geostat.lab.own_twins import Evaluate, OwnRun, Parted, Start, Train, continued, part
from geostat.lab.random_numbers import random_numbers, restore_numbers
from geostat.lab.study import STUDY, claim
from geostat.lab.study_lock import training_alone
from geostat.lab.sufficiency import DOSES, arms_wanted
from geostat.lab.sufficiency_result import Sufficiency
from geostat.lab.sufficiency_table import Row, labelled, row_of
from geostat.lab.twins import TWINS, Twin, activation_overlap, read_twin, write_twin

__all__ = ["sufficiency_of"]


def sufficiency_of(
    recipes: Train | Mapping[str, Train],
    *,
    start: Start,
    evaluate: Evaluate,
    steps: int,
    K: int | Sequence[int] = DOSES,
    at: float = 0.2,
    seeds: int | Iterable[int] = 5,
    arms: Sequence[Arm] | None = None,
    matrices: Selection = "linear",
    out: str | Path | None = None,
    progress: bool = True,
) -> Sufficiency:
    """Functional sufficiency of an early channel, for any model and training loop.

    Each run is trained up to a share of its steps. From there twins go on: one free, of the others each matrix may
    move only in the directions of its arm. See `functional_sufficiency`, which does the same in the laboratory.

    Parameters
    ----------
    recipes : callable or mapping of str to callable
        ``train(model, optimizer, steps, seed)`` takes the steps of a range, such as ``range(60, 300)``, in place. What
        it does may depend on the model, the optimizer's state, the step, the seed and the global random numbers, and
        on nothing that it keeps itself: it is called again from one state for every twin. A mapping names several
        recipes to be compared.
    start : callable
        ``start(seed)`` gives a new model and its optimizer. Global random numbers are seeded before.
    evaluate : callable
        ``evaluate(model)`` gives a share in [0, 1], such as accuracy.
    steps : int
        Of a run.
    K, at, seeds, arms
        As in `functional_sufficiency`.
    matrices : {"linear", "attention", "all"}, str, sequence of str, or callable
        Which are held, as `geostat.list_matrices` selects them; frozen ones are left out.
    out : path, optional
        Folder in which each finished twin is kept, so that the same call goes on where it was. One experiment each.
    progress : bool
        Show a bar.

    Returns
    -------
    Sufficiency
        Evaluations of all twins, and the intervals over seeds.

    Raises
    ------
    ProtocolError
        If a setting means nothing, a matrix is tied or too small, or `evaluate` gives no share.
    StoreError
        If `out` holds another experiment: other steps, other matrices, or another source of one of the functions.
    SampleError
        If every run diverged.

    Warns
    -----
    GeostatWarning
        If a twin diverged, and is left out; or if the same step taken twice from one state gives two results.

    Notes
    -----
    The sample are runs. Where seeds share a pretrained start, intervals say nothing of other starts.

    Examples
    --------
    >>> def start(seed):
    ...     model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    ...     return model, torch.optim.Adam(model.parameters(), lr=0.01)
    >>> inputs, labels = torch.eye(8), torch.arange(8) % 4
    >>> def train(model, optimizer, steps, seed):
    ...     for _ in steps:
    ...         optimizer.zero_grad()
    ...         torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    ...         optimizer.step()
    >>> def evaluate(model):
    ...     return model(inputs).softmax(-1)[torch.arange(8), labels].mean()
    >>> found = sufficiency_of(
    ...     train, start=start, evaluate=evaluate, steps=20, K=2, seeds=2, matrices="all", progress=False
    ... )
    >>> [str(arm) for arm in found.data["arm"].values][:4]
    ['free', 'channel-2', 'complement-2', 'random-2']
    >>> bool((found.data["gain"].sel(arm="free") > 0).all())
    True
    """
    named = recipes if isinstance(recipes, Mapping) else {"own": recipes}
    wanted, step = arms_wanted(K, arms), max(1, round(at * steps))
    chosen = asked_seeds(seeds)
    if not named or not 0 < at < 1 or step >= steps:
        raise ProtocolError(
            f"{len(named)} recipes, steps={steps} and at={at} were asked for. Pass a recipe, and an `at` in (0, 1) "
            "after which at least one step is left."
        )
    runs = [
        OwnRun(name, seed, start, train, evaluate, matrices)
        for name, train in named.items()
        for seed in chosen
    ]
    folder, rest = None if out is None else asked_folder(out), range(step, steps)
    with ExitStack() as stack:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(training_alone(folder))
            claim(folder / STUDY, _settings(runs, steps))
        stack.callback(restore_numbers, random_numbers())
        bar = stack.enter_context(
            tqdm(total=len(runs) * len(wanted), desc="twins", unit="twin", disable=not progress)
        )
        rows = []
        for row in (row for run in runs for row in _twins(run, rest, wanted, folder)):
            rows.append(row)
            bar.update()
    if not any(row["arm"] == FREE.name for row in rows):
        raise SampleError("no run was left: all diverged, as the warnings say. Lower the learning rate.")
    return Sufficiency(labelled(rows))


def _settings(runs: Sequence[OwnRun], steps: int) -> dict[str, Any]:
    """What has to be the same where a folder is used again."""
    one = runs[0]
    return {
        "scale": "own model",
        "steps": steps,
        "matrices": repr(one.matrices),
        "start": objective_name(one.start),
        "evaluate": objective_name(one.evaluate),
        "recipes": {run.recipe: {"objective": objective_name(run.train)} for run in runs},
    }


def _twins(run: OwnRun, rest: range, arms: Sequence[Arm], folder: Path | None) -> Iterator[Row]:
    """Records of one run; trained are those that are not there."""
    place = None if folder is None else folder / TWINS / f"{run.name}-at-{rest.start}"
    records = {} if place is None else {arm: place / f"{arm.name}.json" for arm in arms}
    there = [arm for arm in arms if arm in records and records[arm].is_file()]
    yield from (row_of(run.name, run.recipe, run.seed, read_twin(records[arm])) for arm in there)
    for arm, twin in _trained(run, rest, arms, [arm for arm in arms if arm not in there]):
        if arm in records:
            write_twin(records[arm], twin)
        yield row_of(run.name, run.recipe, run.seed, twin)


def _trained(
    run: OwnRun, rest: range, arms: Sequence[Arm], missing: Sequence[Arm]
) -> Iterator[tuple[Arm, Twin]]:
    if not missing:
        return
    try:
        here = part(run, rest.start, arms)
    except NonFiniteError as error:
        warnings.warn(f"{run.name} is left out: {error}", GeostatWarning, stacklevel=4)
        return
    _tell_undetermined(here, rest.start)
    for arm in missing:
        try:
            yield arm, _twin(here, arm, rest)
        except NonFiniteError as error:
            warnings.warn(f"{arm.name} of {run.name} is left out: {error}", GeostatWarning, stacklevel=4)


def _twin(here: Parted, arm: Arm, rest: range) -> Twin:
    end, report = continued(here, arm, rest)
    kept, leak = (None if report is None else float(report[each].mean()) for each in ("kept", "leak"))
    channels = {} if arm.kind == "free" else here.channels(arm)
    overlap = activation_overlap(arm, channels, here.activations)
    width = min(min(ref.rows, ref.cols) for ref in here.refs)
    before, parted, ended = (_share(each) for each in (here.before, here.parted, end))
    return Twin(arm, rest.start, rest.stop, width, before, parted, ended, kept, leak, overlap)


def _share(value: float) -> Accuracy:
    return Accuracy(value, float("nan"), 0)


def _tell_undetermined(here: Parted, step: int) -> None:
    """Take one step twice: twins that differ by more than their directions tell nothing."""
    ends: list[dict[str, Any]] = []
    for _ in range(2):
        here.set_back()
        here.run.train(here.model, here.optimizer, range(step, step + 1), here.run.seed)
        ends.append({name: each.clone() for name, each in here.model.state_dict().items()})
    differ = [name for name, each in ends[0].items() if not torch.equal(each, ends[1][name])]
    if differ:
        warnings.warn(
            f"{here.run.name}: step {step} taken twice from one state gives two results (in {len(differ)} tensors, "
            f"such as {differ[0]}). Twins then differ by more than their directions. Let train depend on the model, "
            "the optimizer, the step and the seed alone; on an accelerator ask torch for deterministic algorithms.",
            GeostatWarning,
            stacklevel=4,
        )
