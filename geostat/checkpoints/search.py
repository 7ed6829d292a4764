"""Finding checkpoints on disk: globs, and folders that hold steps."""

from geostat.checkpoints.base import preview
from geostat.checkpoints.directory import is_weights_file
from geostat.checkpoints.paths import base_name, entries, is_directory, is_url, join, matching, parent
from geostat.checkpoints.steps import looks_like_step, step_of
from geostat.errors import EmptyCheckpointError, StepError

EXAMPLES = "step-N, checkpoint-N, global_step_N, iter_N, ckpt_N.pt"
"""Names that say a step, for error messages."""


def expand(pattern: str) -> list[str]:
    """List the paths of checkpoints that a path, a glob, or a folder of steps stands for."""
    paths = list(matching(pattern))
    if not paths:
        raise _nothing(pattern)
    if len(paths) > 1 or not is_directory(paths[0]) or step_of(base_name(paths[0])) is not None:
        return paths
    steps = _steps_in(paths[0])
    if not steps and not any(is_weights_file(name) for name in entries(paths[0])):
        raise _nothing(pattern)
    return steps or paths


def _steps_in(folder: str) -> list[str]:
    """List the steps in a folder; what only resembles one is an error, everything else is not looked at."""
    names = [name for name in entries(folder) if looks_like_step(name) or step_of(name) is not None]
    names = [name for name in names if is_weights_file(name) or is_directory(join(folder, name))]
    odd = [name for name in names if step_of(name) is None]
    if odd and len(odd) < len(names):
        raise StepError(
            f"{folder} holds {preview(odd)} beside numbered steps: a name that begins like a step and does "
            "not end in its number. Move it away, give a glob that leaves it out, or pass {step: path}."
        )
    return [] if odd else [join(folder, name) for name in names]


def _nothing(pattern: str) -> EmptyCheckpointError:
    folder = _nearest_folder(pattern)
    return EmptyCheckpointError(
        f"no checkpoints at {pattern}: {folder} holds {preview(entries(folder)) or 'nothing'}. "
        f"Give a glob or a folder of checkpoints with names such as {EXAMPLES}."
    )


def _nearest_folder(path: str) -> str:
    """Find the path, or the nearest folder above it that exists."""
    while not is_directory(path):
        above = parent(path)
        if above == path or (is_url(path) and not is_url(above)):
            raise EmptyCheckpointError(f"no checkpoints at {path}: there is no such place.")
        path = above
    return path
