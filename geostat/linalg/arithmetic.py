"""The arithmetic that geostat computes with, whatever the process has set: full precision, one thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

__all__ = ["own_arithmetic"]

_MATMUL = torch.backends.cuda.matmul
_FLOAT32: tuple[Any, ...] = tuple(
    owner
    for owner in (
        torch.backends,
        _MATMUL,
        torch.backends.mkldnn,
        getattr(torch.backends.mkldnn, "matmul", None),
    )
    if hasattr(owner, "fp32_precision")
)
"""Where newer versions of torch say how float32 is multiplied: in general, then by library and operation."""
_SWITCHES = tuple(
    name
    for name in (
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    )
    if hasattr(_MATMUL, name)
)
_HERE = threading.local()
"""Whether this thread is inside already: flushing to zero is a thread's own."""


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """Full precision, gradual underflow and one thread inside; everything as before afterwards.

    TF32, reduced-precision accumulation, autocasting and gradients are off, subnormal numbers are not flushed
    to zero, tensors are made in float32 on the CPU where nothing else is said, and the linear-algebra
    libraries of numpy, scipy and torch use one thread: a figure does not depend on what else the process
    does, or on how many cores the machine has. Inside another one it does nothing.
    """
    if getattr(_HERE, "inside", False):
        yield
        return
    with ExitStack() as restored:
        restored.enter_context(_kept(lambda: False, lambda to: setattr(_HERE, "inside", to), True))
        restored.enter_context(threadpool_limits(limits=1))
        restored.enter_context(_kept(torch.get_num_threads, torch.set_num_threads, 1))
        restored.enter_context(_kept(torch.get_default_dtype, torch.set_default_dtype, torch.float32))
        if torch.get_default_device().type != "cpu":
            restored.enter_context(torch.device("cpu"))
        restored.enter_context(torch.no_grad())
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            restored.enter_context(torch.autocast(device, enabled=False))
        restored.enter_context(_float32_as_it_is())
        for name in _SWITCHES:
            restored.enter_context(_switched_off(name))
        restored.enter_context(_kept(_flushes, torch.set_flush_denormal, False))
        yield


def _flushes() -> bool:
    """Whether this thread flushes subnormal numbers to zero."""
    smallest = np.array([np.finfo(np.float64).tiny])
    return bool((smallest / 2)[0] == 0)


@contextmanager
def _float32_as_it_is() -> Iterator[None]:
    """Multiply float32 as float32, by the older switch and by the newer ones.

    Matrix products refuse to run where the two disagree, so both are set; a process that set only the newer
    ones gets its disagreement back.
    """
    older, newer = _older_precision(), [owner.fp32_precision for owner in _FLOAT32]
    torch.set_float32_matmul_precision("highest")
    for owner in _FLOAT32:
        owner.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(older)
        for owner, before in zip(_FLOAT32, newer, strict=True):
            owner.fp32_precision = before


def _older_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # it cannot be read where it contradicts the newer one
        return "highest" if _MATMUL.fp32_precision == "tf32" else "high"


@contextmanager
def _switched_off(name: str) -> Iterator[None]:
    with _kept(lambda: getattr(_MATMUL, name), lambda to: setattr(_MATMUL, name, to), False):
        yield


@contextmanager
def _kept(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)
