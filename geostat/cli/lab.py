"""``geostat lab``."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from geostat.errors import SampleError

if TYPE_CHECKING:
    import xarray as xr

    from geostat.lab import Progress, Scale, Sufficiency

__all__ = ["lab"]

SUFFICIENCY = ("sft", "opd", "rlvr", "continued_sft")


class _Recipes(click.Option):
    """Recipes by name; their list is looked up when help is asked for, and not before."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name every recipe of the laboratory."""
        from geostat.lab.laboratory import LABORATORY

        names = ", ".join(recipe.name for recipe in LABORATORY.recipes)
        self.help = (
            f"Only this one of {names}; may be repeated.  [default: {self._usual(str(ctx.command.name))}]"
        )
        return super().get_help_record(ctx)

    @staticmethod
    def _usual(command: str) -> str:
        from geostat.lab.perturbations import PERTURBATIONS
        from geostat.lab.recipe_study import ALL

        usual = {"sufficiency": SUFFICIENCY, "recipes": ALL, "perturbations": tuple(PERTURBATIONS)}
        return ", ".join(usual[command])


_OPTIONS = (
    click.option(
        "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each recipe."
    ),
    click.option(
        "--out",
        default="geostat-lab",
        show_default=True,
        help="Folder; sufficiency, recipes and perturbations can share one.",
    ),
    click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes."),
    click.option("--recipe", "recipes", multiple=True, cls=_Recipes),
    click.option(
        "--device", default="cpu", show_default=True, help="Where models are trained, such as cuda."
    ),
    click.option(
        "--large", is_flag=True, help="Four layers of width 256 instead of two of 128: for an accelerator."
    ),
    click.option(
        "--quick", is_flag=True, help="Ten steps of each run: to try it out, not to learn anything."
    ),
    click.option("--progress/--no-progress", default=True, show_default=True),
)
_margin = click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    default=0.02,
    show_default=True,
    help="Difference in expected accuracy that does not matter: declare it before you look.",
)


def _study(command: Callable[..., None]) -> Callable[..., None]:
    return reduce(lambda found, option: option(found), reversed(_OPTIONS), command)


@click.group()
def lab() -> None:
    """Run experiments on real training: what a run still learns when one thing is taken from it.

    Small transformers on this machine, offline, the same for the same seed. A study that was stopped goes on where
    it was when the same command is called again.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@lab.command()
@_study
@_margin
@click.option(
    "--at",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of training after which twins part.",
)
def sufficiency(
    out: str,
    recipes: tuple[str, ...],
    margin: float,
    quick: bool,
    large: bool,
    progress: bool,
    **asked: Any,
) -> None:
    """Ask whether an early channel is all that the rest of training needs.

    Twins of SFT, OPD, RLVR and continued SFT go on in the channel, in its complement, in random directions and in
    those of the inputs. Two to three hours at five seeds.
    """
    from geostat.lab import functional_sufficiency
    from geostat.lab.sufficiency_table import keep_another_choice

    with _followed(progress) as follow:
        found = functional_sufficiency(
            recipes or SUFFICIENCY, out=out, scale=_scale(quick, large), progress=follow, **asked
        )
    path = Path(out) / "sufficiency.csv"
    kept = keep_another_choice(found.data, path)
    found.write(path)
    click.echo(f"{_told(found.retained)}\n\n{_told(found.differences)}")
    for recipe in dict.fromkeys(map(str, found.data["recipe"].values)):
        result = _told(partial(_held, found, recipe, margin))
        click.echo(f"\n{recipe}, held in its channel of 16 directions\n\n{result}")
    if kept is not None:
        click.echo(f"\n{path} held twins of another choice of --at or --recipe: it is now {kept.name}.")
    click.echo(f"\n{path} written. Read it with geostat.lab.Sufficiency.read.")


@lab.command()
@_study
def recipes(
    out: str,
    recipes: tuple[str, ...],
    quick: bool,
    large: bool,
    progress: bool,
    **asked: Any,
) -> None:
    """Train and measure SFT, OPD, RLVR and continued SFT, at three learning rates from one anchor a seed.

    Captures and similarities are measured beside those of the directions of the inputs. About half an hour at five
    seeds.
    """
    from geostat.lab.recipe_study import ALL, recipe_study
    from geostat.statistics import mean_ci

    with _followed(progress) as follow:
        runs = recipe_study(recipes or ALL, out=out, scale=_scale(quick, large), progress=follow, **asked)
    click.echo(_told(partial(mean_ci, runs["gain"], dim=None, scale="identity")))
    excess = runs["future_capture"].sel(side="right") - runs["future_capture_activations"]
    first = excess.isel(step=0).rename("future_capture_beyond_activations").assign_attrs(units="1")
    beyond = _told(partial(mean_ci, first, scale="identity"))
    click.echo(f"\nAt the first checkpoint, beyond what the inputs hold\n\n{beyond}")
    _tell_stores(out, "recipe_study")


@lab.command()
@_study
@_margin
def perturbations(
    out: str,
    recipes: tuple[str, ...],
    margin: float,
    quick: bool,
    large: bool,
    progress: bool,
    **asked: Any,
) -> None:
    """Ask whether distillation survives fewer tokens, rollouts of the teacher, or rewards mixed in.

    Distillation by policy gradient, one thing changed at a time, measured and compared with the unchanged. About two
    hours at five seeds.
    """
    from geostat.lab.perturbation_study import UNPERTURBED, perturbation_study
    from geostat.lab.perturbations import PERTURBATIONS

    names = dict.fromkeys((UNPERTURBED, *(recipes or PERTURBATIONS)))
    with _followed(progress) as follow:
        runs = perturbation_study(tuple(names), out=out, scale=_scale(quick, large), progress=follow, **asked)
    for name in (each for each in names if each != UNPERTURBED):
        click.echo(f"\n{_compared(runs['gain'], name, UNPERTURBED, margin)}")
    _tell_stores(out, "perturbation_study")


def _tell_stores(out: str, function: str) -> None:
    click.echo(
        f"\nStores in {Path(out) / 'stores-bf16'}. With gains and baselines they are what "
        f"geostat.lab.{function}.{function}(out={out!r}, ...) gives; nothing is trained again."
    )


def _held(found: "Sufficiency", recipe: str, margin: float) -> object:
    own = found.data["recipe"].values == recipe
    return type(found)(found.data.isel(run=own)).equivalent("channel-16", margin=margin)[recipe]


def _compared(gain: "xr.DataArray", name: str, other: str, margin: float) -> str:
    """Whether two recipes are within the margin, over the seeds that both have."""
    from geostat.lab.comparing import common_seeds
    from geostat.statistics import equivalence

    try:
        kept, left_out = common_seeds(gain, name, other)
        result = equivalence(kept, name, other, margin=margin, dim=None, paired=True)
    except SampleError as error:
        return f"{name} against {other}: not compared. {error}"
    told = [f"seeds {', '.join(map(str, seeds))} of {recipe}" for recipe, seeds in left_out.items()]
    return f"{result}" + (f"\nLeft out, without a partner: {'; '.join(told)}." if told else "")


def _told(result: Callable[[], object]) -> str:
    """A result in words, or why there is none: the others are told all the same."""
    try:
        return str(result())
    except SampleError as error:
        return f"No result: {error}"


def _scale(quick: bool, large: bool) -> "Scale":
    from dataclasses import replace

    from geostat.lab.laboratory import LABORATORY, LARGE

    scale = LARGE if large else LABORATORY
    if not quick:
        return scale
    recipes = tuple(each.shortened(steps=10, batch=16) for each in scale.recipes)
    pretraining = scale.pretraining.shortened(steps=10)
    return replace(scale, name="quick", pretraining=pretraining, recipes=recipes, checkpoints=2, problems=64)


@contextmanager
def _followed(show: bool) -> "Iterator[Callable[[Progress], None]]":
    """A bar over the steps of all runs of a call."""
    from tqdm import tqdm

    done: dict[str, int] = {}
    with tqdm(total=0, desc="training", unit="step", disable=not show, dynamic_ncols=True) as bar:

        def follow(event: "Progress") -> None:
            bar.total = event.total
            bar.update(event.step - done.get(event.branch, 0))
            bar.set_postfix_str(event.branch)
            done[event.branch] = event.step

        yield follow
