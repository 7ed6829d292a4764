"""A constraint on training: each matrix may move in its channel only."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import torch
import xarray as xr

from geostat.errors import ProtocolError
from geostat.training.channels import ChannelSide
from geostat.training.given import given_channels
from geostat.training.gradients import tell_what_was_there
from geostat.training.holds import hold
from geostat.training.optimizers import check_trained, innermost
from geostat.training.parameters import Constrained, constrained_parameters
from geostat.training.pieces import Piece, piece_of, projected

__all__ = ["SubspaceConstraint"]

Project = Literal["gradient", "update"]
Moments = Literal["keep", "reset"]


class SubspaceConstraint:
    r"""Let matrices move in a channel only, for as long as the ``with`` block lasts.

    ``project="gradient"``, as published: every gradient G becomes :math:`G V V^\top` (right side),
    :math:`U U^\top G` (left) or :math:`U U^\top G V V^\top` (both) before clipping and the optimizer see it. An
    optimizer that rescales entries, as Adam does, turns a projected gradient into an update that leaves the channel;
    so do weight decay and momentum from before. `report` says by how much.

    ``project="update"``: gradients and moments stay as they are, and after each step of `optimizer` the
    weights are set back to :math:`W_\text{start} + P(W - W_\text{start})`. The weights stay in the channel, up to one
    rounding of their storage; what that rounding takes is kept in float32 and not lost, so that bfloat16 weights come
    as far as they would without the constraint.

    Other parameters train freely. Hooks are removed when the block ends, whatever ends it; weights stay where
    they are.

    Parameters
    ----------
    model : torch.nn.Module
        The model, as it is trained.
    channel : mapping or path
        Name of a matrix (as `geostat.list_matrices` lists it, or of its parameter) -> basis with orthonormal columns,
        shape (n, K) for the right side, (m, K) for the left, a pair (left, right) for both; or a `Channel`. Or a
        sealed store, of which the vectors at `step` are taken.
    step, K : int, optional
        Where `channel` is a store: the step, and how many directions (16 by default).
    project : {"gradient", "update"}
        What is projected.
    side : {"right", "left", "both"}
        Inputs, outputs, or both.
    complement : bool
        Allow everything but the channel, instead of the channel: the control that tells whether the channel matters.
    optimizer : torch.optim.Optimizer, optional
        Whose steps are projected; needed for ``project="update"``.
    moments : {"keep", "reset"}
        Whether `optimizer` forgets, at the start, what it holds of the constrained parameters.

    Raises
    ------
    NamingError, ShapeError, NonFiniteError
        If the channel belongs to another model, or holds NaN.
    ProtocolError
        If a parameter is frozen, tied to another, or sharded; if the optimizer is missing or does not train it; where
        the block begins, if another constraint holds the same side of a matrix.

    Warns
    -----
    GeostatWarning
        If a gradient from before the block is accumulated to, which is not projected.

    Notes
    -----
    Gradients are projected as they are computed, before they are accumulated: accumulation, clipping and loss scaling
    see projected gradients. Sharded parameters (DTensor, FSDP) are refused: none of their parts can be projected by
    itself.

    References
    ----------
    P1 (eq. 10).

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(3, 2, bias=False)
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    >>> start = model.weight.detach().clone()
    >>> channel = {"weight": torch.eye(3)[:, :1]}
    >>> with SubspaceConstraint(model, channel, project="update", optimizer=optimizer) as constraint:
    ...     for _ in range(5):
    ...         optimizer.zero_grad()
    ...         model(torch.ones(4, 3)).square().sum().backward()
    ...         optimizer.step()
    >>> (model.weight - start).abs().sum(dim=0) > 0
    tensor([ True, False, False])
    >>> float(constraint.report()["leak"].max())
    0.0
    """

    def __init__(
        self,
        model: torch.nn.Module,
        channel: Mapping[str, Any] | Any,
        *,
        step: int | None = None,
        K: int | None = None,
        project: Project = "gradient",
        side: ChannelSide = "right",
        complement: bool = False,
        optimizer: torch.optim.Optimizer | None = None,
        moments: Moments = "keep",
    ) -> None:
        _check_settings(project, moments, optimizer)
        self._model, self._channels = model, given_channels(channel, step, K, side)
        self._project, self._outside, self._moments = project, complement, moments
        self._optimizer = None if optimizer is None else innermost(optimizer)
        self._found = self._resolved()
        self._pieces: dict[str, Piece] = {}
        self._stack = ExitStack()
        self._active = False

    def __enter__(self) -> Self:
        """Begin: from here on, matrices move in their channels."""
        if self._active:
            raise ProtocolError("this constraint is active already. Make another one for another block.")
        self._found = self._resolved()  # the model may have changed since
        self._active, self._stack = True, ExitStack()
        with ExitStack() as stack:  # whatever fails on the way leaves nothing behind
            stack.callback(self._end)
            stack.callback(hold(self._found))
            self._pieces = {each.ref.name: piece_of(each, self._outside) for each in self._found}
            self._hook(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *unused: Any) -> None:
        """End: everything is removed, and weights stay where they are."""
        self._stack.close()

    def report(self) -> xr.Dataset:
        r"""Tell how far the constraint held.

        Returns
        -------
        xarray.Dataset
            By matrix: ``kept``, the share of the energy of gradients (or, with ``project="update"``, of the
            updates) that was inside; ``leak``, norm of the part of :math:`W - W_\text{start}` outside over the
            norm of the whole; ``movement``, that norm. NaN where nothing moved.

        Raises
        ------
        ProtocolError
            If the constraint was never active.
        """
        if not self._pieces:
            raise ProtocolError(
                "nothing to report: the constraint was never active. Use it in a with statement."
            )
        rows = [self._row(each) for each in self._found]
        kept, leak, movement = (np.array(column) for column in zip(*rows, strict=True))
        names = np.array([each.ref.name for each in self._found], dtype=np.dtypes.StringDType())
        what = "gradients" if self._project == "gradient" else "updates"
        return xr.Dataset(
            {
                "kept": (
                    "matrix",
                    kept,
                    {"units": "1", "long_name": f"share of the energy of {what} inside"},
                ),
                "leak": ("matrix", leak, {"units": "1", "long_name": "share of the movement's norm outside"}),
                "movement": ("matrix", movement, {"units": "1", "long_name": "norm of the movement"}),
            },
            {"matrix": names},
        )

    def _resolved(self) -> list[Constrained]:
        found = constrained_parameters(self._model, self._channels)
        if self._optimizer is not None:
            check_trained(found, self._optimizer)
        return found

    def _row(self, each: Constrained) -> tuple[float, float, float]:
        piece = self._pieces[each.ref.name]
        moved = each.ref.layout.take(each.parameter.detach()).to(piece.start.dtype) - piece.start
        norm = float(torch.linalg.vector_norm(moved))
        outside = float(torch.linalg.vector_norm(moved - piece.inside(moved)))
        total = float(piece.total)
        kept = float(piece.kept) / total if total > 0 else float("nan")
        return kept, outside / norm if norm > 0 else float("nan"), norm

    def _hook(self, stack: ExitStack) -> None:
        if self._moments == "reset" and self._optimizer is not None:
            for each in self._found:
                self._optimizer.state.pop(each.parameter, None)
        if self._project == "update":
            assert self._optimizer is not None
            stack.callback(self._optimizer.register_step_post_hook(self._set_back).remove)
            return
        for parameter, pieces in self._by_parameter():
            stack.callback(tell_what_was_there(parameter, pieces[0].ref.name))
            handle = parameter.register_hook(partial(projected, pieces=pieces))  # type: ignore[no-untyped-call]
            stack.callback(handle.remove)

    def _by_parameter(self) -> Iterator[tuple[torch.nn.Parameter, list[Piece]]]:
        for parameter in {id(each.parameter): each.parameter for each in self._found}.values():
            mine = [each for each in self._found if each.parameter is parameter]
            yield parameter, [self._pieces[each.ref.name] for each in mine]

    @torch.no_grad()
    def _set_back(self, *unused: Any) -> None:
        for each in self._found:
            piece = self._pieces[each.ref.name]
            piece.follow(each.ref.layout.take(each.parameter))
            each.ref.layout.put(each.parameter, piece.weight)

    def _end(self) -> None:
        self._active = False


def _check_settings(project: str, moments: str, optimizer: object) -> None:
    if project not in ("gradient", "update"):
        raise ProtocolError(f"project={project!r}. Choose 'gradient' or 'update'.")
    if moments not in ("keep", "reset"):
        raise ProtocolError(f"moments={moments!r}. Choose 'keep' or 'reset'.")
    for asked, needed in (
        (f"project={project!r}", project == "update"),
        ("moments='reset'", moments == "reset"),
    ):
        if needed and optimizer is None:
            raise ProtocolError(f"{asked} needs optimizer=, the optimizer that trains the model.")
