"""The unit of work: one matrix over all checkpoints."""

import warnings

import numpy as np
import numpy.typing as npt
import torch

from geostat.checkpoints import Checkpoint, MatrixRef
from geostat.diagnostics import AUDITS, audit
from geostat.errors import AuditWarning, ProtocolError
from geostat.linalg import Factored, own_arithmetic
from geostat.linalg.factored import Side
from geostat.trajectories.history import History, Operands
from geostat.trajectories.plans import Plan
from geostat.trajectories.record import DECOMPOSED, DEVICES, Record, Vectors
from geostat.trajectories.sweep import evaluate, sweep_shape

__all__ = ["choose_device", "measure_matrix", "measure_step"]


def choose_device(device: str) -> torch.device:
    """Resolve "auto" to an accelerator that computes in float64, else the CPU.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda", "cuda:1".

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ProtocolError
        If there is no such device here, or it has no float64.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, dtype=torch.float64, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise ProtocolError(
            f"device={device!r} cannot compute in float64 here: {why}. Pass 'auto' or 'cpu'."
        ) from error
    return chosen


def measure_matrix(plan: Plan, ref: MatrixRef, checkpoints: list[Checkpoint], device: str = "auto") -> Record:
    """Measure one matrix over all checkpoints; W_0 is read and factored once.

    Parameters
    ----------
    plan : Plan
        What is measured.
    ref : MatrixRef
        Which matrix.
    checkpoints : list of Checkpoint
        The open base, then one per step.
    device : str
        Where the arithmetic runs.

    Returns
    -------
    Record
        All diagnostics at all steps.

    Raises
    ------
    NonFiniteError
        If a weight is NaN or infinite: names file and tensor.
    """
    n_steps, chosen = len(plan.steps), choose_device(device)
    history = History(plan, ref, checkpoints, chosen)
    record = Record(
        matrix=ref.name,
        values={
            spec.name: np.full((n_steps, *sweep_shape(spec, plan.protocol), *plan.own_shape(spec)), np.nan)
            for spec in plan.specs
        },
        reasons={name: np.zeros(n_steps, dtype=np.int8) for name in plan.diagnostics},
        audit=np.zeros(n_steps, dtype=np.int8),
        used=plan.used(ref),
        initial_hash=history.initial_hash(),
        methods=np.zeros((n_steps, len(DECOMPOSED)), dtype=np.int8),
        residuals=np.zeros((n_steps, len(DECOMPOSED)), dtype=np.float32),
        vectors=_empty_vectors(plan, ref) if ref.name in plan.vectors else None,
        computed_on=chosen.type if chosen.type in DEVICES else "other",
    )
    with own_arithmetic():
        for index in range(n_steps):
            measure_step(plan, record, history.at(index), index)
    history.release()
    return record


def measure_step(plan: Plan, record: Record, operands: Operands, index: int) -> None:
    """Measure one matrix at one step.

    Parameters
    ----------
    plan : Plan
        What is measured.
    record : Record
        Where it is written.
    operands : Operands
        The matrices at the step.
    index : int
        Position of the step in the plan.
    """
    for spec in plan.specs:
        values, reason = evaluate(spec, operands, plan.protocol, plan.own_shape(spec))
        record.values[spec.name][index] = values
        record.reasons[spec.name][index] = reason.value
    if plan.audited:
        record.audit[index] = _audit_bits(record.matrix, plan.steps[index], operands)
    _certify(record, operands, index)
    if record.vectors is not None:
        _fill(record.vectors.left[index], operands.update, "left")
        _fill(record.vectors.right[index], operands.update, "right")


def _certify(record: Record, operands: Operands, index: int) -> None:
    """How each operand was decomposed; what no diagnostic asked for was not."""
    for position, name in enumerate(DECOMPOSED):
        found = operands.made(name)
        if found is not None:
            record.methods[index, position] = found.certificate.method
            record.residuals[index, position] = found.certificate.residual


def _audit_bits(matrix: str, step: int, operands: Operands) -> int:
    violations = audit(operands.initial, operands.updated, operands.update)
    for name, left, right in violations:
        warnings.warn(
            f"{matrix} at step {step}: the inequality of {name} fails ({left:.6g} > {right:.6g}), which no "
            "pair of matrices can do: the decomposition is wrong there. Measure it again on the CPU, and "
            "leave the row out if it stays.",
            AuditWarning,
            stacklevel=2,
        )
    return sum(1 << AUDITS.index(violation.name) for violation in violations)


def _empty_vectors(plan: Plan, ref: MatrixRef) -> Vectors:
    steps, K = len(plan.steps), plan.protocol.K
    return Vectors(
        np.full((steps, ref.rows, K), np.nan, dtype=np.float32),
        np.full((steps, ref.cols, K), np.nan, dtype=np.float32),
    )


def _fill(target: npt.NDArray[np.float32], update: Factored, side: Side) -> None:
    """Write the singular vectors that exist; those beyond the numerical rank stay NaN."""
    if not update.is_zero:
        basis = update.channel(target.shape[1], side).cpu().numpy()
        target[:, : basis.shape[1]] = basis
