"""Full precision inside, everything as before outside: each switch is turned the wrong way first."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from geostat.linalg import own_arithmetic

MATMUL = torch.backends.cuda.matmul
NEWER = hasattr(torch.backends, "fp32_precision")
REDUCED = [
    name
    for name in (
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    )
    if hasattr(MATMUL, name)
]


def _state():
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:
        older = "contradicts the newer switches"
    newer = (torch.backends.fp32_precision, MATMUL.fp32_precision) if NEWER else ()
    return (
        older,
        newer,
        [getattr(MATMUL, name) for name in REDUCED],
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def _halved_smallest():
    return float(np.array([np.finfo(np.float64).tiny])[0] * np.float64(0.5))


@contextmanager
def _everything_turned_on():
    torch.set_float32_matmul_precision("medium")
    before = [getattr(MATMUL, name) for name in REDUCED]
    for name in REDUCED:
        setattr(MATMUL, name, True)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    flushed = torch.set_flush_denormal(True)
    try:
        with torch.autocast("cpu"):
            yield flushed
    finally:
        torch.set_flush_denormal(False)
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
        for name, value in zip(REDUCED, before, strict=True):
            setattr(MATMUL, name, value)
        torch.set_float32_matmul_precision("highest")


def test_nothing_that_the_process_turned_on_is_on_inside():
    with _everything_turned_on(), own_arithmetic():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not any(getattr(MATMUL, name) for name in REDUCED)
        assert torch.zeros(2).device.type == "cpu"
        assert torch.zeros(2).dtype is torch.float32
        assert not torch.is_grad_enabled()
        third = torch.full((2, 2), 1 / 3)
        assert (third @ third).dtype is torch.float32
        assert torch.get_num_threads() == 1


def test_everything_is_as_before_afterwards():
    with _everything_turned_on():
        before = _state()
        with own_arithmetic():
            assert _state() != before
        assert _state() == before


def test_everything_is_as_before_after_an_exception():
    with _everything_turned_on():
        before = _state()
        with pytest.raises(ZeroDivisionError), own_arithmetic():
            raise ZeroDivisionError
        assert _state() == before


def test_subnormal_numbers_are_kept_and_flushing_comes_back():
    with _everything_turned_on() as flushed:
        if not flushed:
            pytest.skip("this processor cannot flush to zero")
        assert _halved_smallest() == 0
        with own_arithmetic():
            assert _halved_smallest() > 0
            assert float(torch.tensor([2.0**-133], dtype=torch.bfloat16).to(torch.float64)) == 2.0**-133
        assert _halved_smallest() == 0
    assert _halved_smallest() > 0


@pytest.mark.skipif(not NEWER, reason="this torch has the older switches only")
@pytest.mark.parametrize("owner", [torch.backends, MATMUL], ids=["in general", "for products"])
def test_newer_switches_that_contradict_the_older_one_come_back(owner):
    before = owner.fp32_precision
    owner.fp32_precision = "tf32"
    try:
        state = _state()
        with own_arithmetic():
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.fp32_precision == MATMUL.fp32_precision == "ieee"
        assert _state() == state
        assert owner.fp32_precision == "tf32"
    finally:
        owner.fp32_precision = before


def test_may_be_entered_twice_and_inside_inference_mode():
    with torch.inference_mode(), own_arithmetic(), own_arithmetic():
        assert float(torch.ones(2, 2).to(torch.float64).sum()) == 4
    assert torch.is_grad_enabled()
