"""Anomaly maps, kept to the bit."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mambaad_demo.errors import StorageError
from mambaad_demo.storage.maps import packed, unpacked

MAPS = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))
"""Any bits: subnormal numbers, infinities and every NaN included."""


@given(MAPS)
def test_any_map_comes_back_to_the_bit(anomaly_map):
    back = unpacked(packed(anomaly_map))
    assert back.shape == anomaly_map.shape
    assert back.dtype == np.float32
    assert back.tobytes() == anomaly_map.tobytes()


@given(MAPS)
def test_equal_maps_give_equal_bytes_however_they_lie_in_memory(anomaly_map):
    assert packed(anomaly_map[::-1][::-1]) == packed(anomaly_map)


@settings(max_examples=300)
@given(st.integers(0, 400), st.binary(max_size=40))
def test_a_damaged_map_is_told_or_read_never_anything_else(position, junk):
    whole = packed(np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10))
    content = whole[:position] + junk + whole[position + len(junk) :]
    with suppress(StorageError):
        assert unpacked(content).dtype == np.float32


@pytest.mark.parametrize("length", [0, 1, 4, 30, 150, -1])
def test_a_map_that_was_cut_short_is_told(length):
    with pytest.raises(StorageError, match="damaged"):
        unpacked(packed(np.ones((10, 10), np.float32))[:length])


@pytest.mark.parametrize(
    "wrong",
    [np.ones((2, 3)), np.ones(3, np.float32), np.array([[None]], dtype=object)],
    ids=["double", "one dimension", "objects"],
)
def test_other_arrays_are_no_maps(wrong):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, map=wrong)
    with pytest.raises(StorageError, match="damaged"):
        unpacked(buffer.getvalue())


def test_a_bare_array_is_no_map():
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3), np.float32))
    with pytest.raises(StorageError, match="damaged"):
        unpacked(buffer.getvalue())
