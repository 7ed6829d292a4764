"""A record comes back as it was written, or is known to be damaged."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from geostat.errors import JournalError
from geostat.trajectories.record import Record, Vectors


def _record(vectors=True):
    rng = np.random.default_rng(0)
    return Record(
        matrix="blocks.0.ü[7]",
        values={
            "stable_rank": rng.standard_normal(5),
            "forward_capture": rng.standard_normal((5, 2)),
            "none": np.zeros((5, 0)),
        },
        reasons={"stable_rank": np.arange(5, dtype=np.int8)},
        audit=np.zeros(5, dtype=np.int8),
        used={"k_used": [3, 4], "r_used": 2, "hill_k_used": 1},
        initial_hash="ab",
        methods=np.ones((5, 5), dtype=np.int8),
        residuals=rng.random((5, 5), dtype=np.float32),
        vectors=Vectors(*(rng.random((5, n, 3), dtype=np.float32) for n in (6, 4))) if vectors else None,
        computed_on="cuda",
    )


@pytest.mark.parametrize("vectors", [True, False])
def test_a_record_comes_back_bit_for_bit(vectors):
    record = _record(vectors)
    found = Record.from_bytes(record.to_bytes())
    assert (found.matrix, found.used, found.initial_hash, found.computed_on) == (
        record.matrix, record.used, record.initial_hash, record.computed_on
    )  # fmt: skip
    for name, array in record._members().items():
        assert found._members()[name].dtype == array.dtype
        np.testing.assert_array_equal(found._members()[name], array)
    assert (found.vectors is None) == (not vectors)


def test_nan_keeps_its_bits():
    record = _record(False)
    record.values["stable_rank"][1] = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]
    found = Record.from_bytes(record.to_bytes())
    assert found.values["stable_rank"].tobytes() == record.values["stable_rank"].tobytes()


_CONTENT = _record().to_bytes()


@given(st.integers(0, len(_CONTENT) - 1), st.integers(1, 255))
def test_one_altered_byte_is_noticed(position, difference):
    spoiled = bytearray(_CONTENT)
    spoiled[position] ^= difference
    with pytest.raises(JournalError, match="cannot be read"):
        Record.from_bytes(bytes(spoiled))


@given(st.integers(0, len(_CONTENT) - 1))
def test_a_record_cut_short_is_noticed(length):
    with pytest.raises(JournalError, match="cannot be read"):
        Record.from_bytes(_CONTENT[:length])


@given(st.binary(max_size=300))
def test_what_is_no_record_is_refused(content):
    with pytest.raises(JournalError, match="cannot be read"):
        Record.from_bytes(content)


def test_without_vectors_nothing_of_them_stays_in_memory():
    bare = Record.from_bytes(_CONTENT).without_vectors()
    assert bare.vectors is None
    assert all(array.base is None for array in bare._members().values())
    assert bare.nbytes == sum(a.nbytes for n, a in _record()._members().items() if n not in ("left", "right"))
