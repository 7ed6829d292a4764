"""The same matrix gives the same bits, wherever in memory it lies and whatever process asks."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from geostat.linalg import Factored, own_arithmetic, principal_angles

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_same_bits import digest
junk = [bytearray(n) for n in range(1, 5000, 7)]
for shape in {shapes!r}:
    print(digest(shape, int(sys.argv[1])))
"""
SHAPES = [(60, 60), (57, 130), (150, 45), (257, 300)]


def _misaligned(values, offset):
    """A copy that starts `offset` bytes after a page of memory."""
    buffer = np.empty(values.nbytes + 8192, dtype=np.uint8)
    start = -buffer.ctypes.data % 4096 + offset
    view = buffer[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    view[...] = values
    return torch.from_numpy(view)


def digest(shape, offset):
    """Hash of everything that is computed of two matrices of that shape."""
    rng = np.random.default_rng(shape)
    first = rng.standard_normal(shape)
    second = first + 0.01 * rng.standard_normal(shape) + np.outer(np.ones(shape[0]), np.ones(shape[1]))
    k = min(shape) // 2
    with own_arithmetic():
        a, b = (Factored(_misaligned(values, offset), wanted=k) for values in (first, second))
        update = b.minus(a, wanted=8)
        parts = [matrix.singular_values for matrix in (a, b, update)]
        parts += [matrix.vectors(8, side) for matrix in (a, b, update) for side in ("left", "right")]
        parts += [principal_angles(a.vectors(k, side), b.vectors(k, side)) for side in ("left", "right")]
        parts += [torch.tensor([m.certificate.residual, m.certificate.bound]) for m in (a, b, update)]
        parts += [torch.tensor([m.frobenius_norm for m in (a, b, update)])]
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_alignment_changes_no_bit(shape):
    assert len({digest(shape, offset) for offset in (0, 8, 16, 24, 32, 40, 56, 64)}) == 1


def test_layout_changes_no_bit():
    values = torch.tensor(np.random.default_rng(0).standard_normal((70, 90)))
    found = [
        Factored(v, wanted=20) for v in (values, values.T.contiguous().T, torch.cat([values, values])[:70])
    ]
    spectra = {m.singular_values.numpy().tobytes() for m in found}
    vectors = {m.vectors(20, "left").contiguous().numpy().tobytes() for m in found}
    assert len(spectra) == len(vectors) == 1


def test_another_process_finds_the_same_bits(tmp_path):
    script = SCRIPT.format(folder=str(__file__).rsplit("/", 1)[0], shapes=SHAPES)
    done = subprocess.run(
        [sys.executable, "-c", script, "24"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == [digest(shape, 0) for shape in SHAPES]
