"""``geostat lab``."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from geostat.lab import Progress, Scale

__all__ = ["lab"]

SUFFICIENCY = ("sft", "opd", "rlvr", "continued_sft")
_OPTIONS = (
    click.option(
        "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each recipe."
    ),
    click.option(
        "--out", default="geostat-lab", show_default=True, help="Folder, the same for all three studies."
    ),
    click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes."),
    click.option(
        "--recipe",
        "recipes",
        multiple=True,
        help="Only this one, such as opd; may be repeated.  [default: all, told for a name that is none]",
    ),
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
_MARGIN = click.option(
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
@_MARGIN
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

    with _followed(progress) as follow:
        found = functional_sufficiency(
            recipes or SUFFICIENCY, out=out, scale=_scale(quick, large), progress=follow, **asked
        )
    path = Path(out) / "sufficiency.csv"
    found.write(path)
    click.echo(f"{found.retained()}\n\n{found.differences()}")
    for recipe, result in found.equivalent("channel-16", margin=margin).items():
        click.echo(f"\n{recipe}, held in its channel of 16 directions\n\n{result}")
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
    click.echo(mean_ci(runs["gain"], dim=None, scale="identity"))
    excess = runs["future_capture"].sel(side="right") - runs["future_capture_activations"]
    first = excess.isel(step=0).rename("future_capture_beyond_activations").assign_attrs(units="1")
    click.echo(
        f"\nAt the first checkpoint, beyond what the inputs hold\n\n{mean_ci(first, scale='identity')}"
    )
    _tell_stores(out, "recipe_study")


@lab.command()
@_study
@_MARGIN
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
    from geostat.errors import SampleError
    from geostat.lab.perturbation_study import UNPERTURBED, perturbation_study, preserved
    from geostat.lab.perturbations import PERTURBATIONS

    names = dict.fromkeys((UNPERTURBED, *(recipes or PERTURBATIONS)))
    with _followed(progress) as follow:
        runs = perturbation_study(tuple(names), out=out, scale=_scale(quick, large), progress=follow, **asked)
    for name in (each for each in names if each != UNPERTURBED):
        try:
            click.echo(f"\n{preserved(runs, name, margin=margin)}")
        except SampleError as error:
            click.echo(f"\n{name}: not compared. {error}")
    _tell_stores(out, "perturbation_study")


def _tell_stores(out: str, function: str) -> None:
    click.echo(
        f"\nStores in {Path(out) / 'stores-bf16'}. With gains and baselines they are what "
        f"geostat.lab.{function}.{function}(out={out!r}, ...) gives; nothing is trained again."
    )


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
    """A bar over the steps of all runs."""
    from tqdm import tqdm

    done: dict[str, int] = {}
    with tqdm(total=0, desc="training", unit="step", disable=not show, dynamic_ncols=True) as bar:

        def follow(event: "Progress") -> None:
            if event.branch not in done:
                bar.total = (bar.total or 0) + event.steps
            bar.update(event.step - done.get(event.branch, 0))
            bar.set_postfix_str(event.branch)
            done[event.branch] = event.step

        yield follow
