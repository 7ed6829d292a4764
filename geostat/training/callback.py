"""The constraint as a callback of transformers' Trainer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from geostat.errors import EngineError
from geostat.training.constraint import SubspaceConstraint

if TYPE_CHECKING:
    import transformers

__all__ = ["subspace_callback"]


def subspace_callback(channel: Mapping[str, Any] | Any, **settings: Any) -> "transformers.TrainerCallback":
    """Callback that constrains the training of a transformers Trainer.

    It begins when training does and ends when training does; what the constraint did is then in its attribute
    ``constraint``. A Trainer does not tell its callbacks of an exception: after one, ``callback.close()`` ends the
    constraint, as the next training with the same callback does.

    Parameters
    ----------
    channel : mapping or path
        See `SubspaceConstraint`.
    **settings
        `step`, `K`, `project`, `side`, `complement`, `moments`: see `SubspaceConstraint`. The optimizer is the
        Trainer's.

    Returns
    -------
    transformers.TrainerCallback
        For ``Trainer(callbacks=[...])``.

    Raises
    ------
    EngineError
        If transformers is not installed.
    """
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise EngineError(
            "subspace_callback needs transformers, which is not installed here. Install it, or use SubspaceConstraint "
            "in your own training loop."
        ) from error

    class SubspaceCallback(TrainerCallback):  # type: ignore[misc]
        """Begins and ends a `SubspaceConstraint` with the training."""

        constraint: SubspaceConstraint | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **found: Any) -> None:
            """Begin, once the Trainer has made its optimizer."""
            self.close()
            self.constraint = SubspaceConstraint(
                found["model"], channel, optimizer=found["optimizer"], **settings
            )
            self.constraint.__enter__()

        def on_train_end(self, args: Any, state: Any, control: Any, **found: Any) -> None:
            """End."""
            self.close()

        def close(self) -> None:
            """End a constraint that is active; its report stays."""
            if self.constraint is not None:
                self.constraint.__exit__()

    return SubspaceCallback()
