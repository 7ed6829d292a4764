"""The arithmetic that geostat computes with, whatever the process has set: full precision, one thread."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

__all__ = ["own_arithmetic"]

_EXACT: tuple[tuple[Any, str, Any], ...] = (
    (torch.backends.cuda.matmul, "allow_tf32", False),
    (torch.backends.cudnn, "allow_tf32", False),
    (torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction", False),
    (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
)
"""Switches of torch that trade digits for speed."""


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """Full precision, gradual underflow and one thread inside; everything as before afterwards.

    TF32 and reduced-precision accumulation are off, subnormal numbers are not flushed to zero, and the
    linear-algebra libraries of numpy, scipy and torch use one thread, so that a figure does not depend on
    what else the process does, or on how many cores the machine has.
    """
    with ExitStack() as restored:
        restored.enter_context(threadpool_limits(limits=1))
        restored.enter_context(_kept(torch.get_num_threads, torch.set_num_threads, 1))
        restored.enter_context(
            _kept(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")
        )
        for owner, name, value in _EXACT:
            restored.enter_context(_set(owner, name, value))
        restored.enter_context(_kept(_flushes, torch.set_flush_denormal, False))
        yield


def _flushes() -> bool:
    """Whether this thread flushes subnormal numbers to zero."""
    smallest = np.array([np.finfo(np.float64).tiny])
    return bool((smallest / 2)[0] == 0)


@contextmanager
def _kept(get: Callable[[], Any], put: Callable[[Any], Any], value: Any) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before)


@contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    with _kept(lambda: getattr(owner, name), lambda to: setattr(owner, name, to), value):
        yield
