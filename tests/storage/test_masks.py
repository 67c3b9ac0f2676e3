"""Masks, kept to the bit."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.storage.masks import checked_mask, mask_of, mask_png

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70))


def png(width: int, height: int, *, bits: int = 1, color_type: int = 0) -> bytes:
    """The beginning of a PNG of any size, without its pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 10) + b"IDAT" + bytes(8)


@given(MASKS)
def test_any_mask_comes_back_to_the_bit(mask):
    assert np.array_equal(mask_of(mask_png(mask)), mask)


@given(MASKS)
def test_equal_masks_give_equal_bytes_however_they_lie_in_memory(mask):
    other_ways = (mask.copy(order="F"), mask[::-1][::-1], mask.astype(np.uint8) * 200)
    assert {mask_png(other) for other in other_ways} == {mask_png(mask)}


@given(MASKS)
def test_a_mask_of_the_right_size_passes_unchanged(mask):
    height, width = mask.shape
    content = mask_png(mask)
    assert checked_mask(content, width, height) is content


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(InputError, match="20 × 10 pixels of kind 1; 10 × 20"):
        checked_mask(mask_png(np.zeros((10, 20), bool)), 10, 20)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_a_mask_with_more_than_one_bit_a_pixel_is_refused(mode):
    buffer = io.BytesIO()
    Image.new(mode, (20, 10)).save(buffer, "PNG")
    with pytest.raises(InputError, match=f"of kind {mode}"):
        checked_mask(buffer.getvalue(), 20, 10)


def test_a_mask_that_declares_terabytes_is_refused_by_its_header():
    with pytest.raises(InputError, match="2000000 × 2000000"):
        checked_mask(png(2_000_000, 2_000_000), 20, 10)


@pytest.mark.parametrize("suffix", ["JPEG", "GIF", "BMP", "TIFF"])
def test_only_png_files_are_masks(suffix):
    buffer = io.BytesIO()
    Image.new("L", (20, 10)).save(buffer, suffix)
    with pytest.raises(InputError, match="no PNG"):
        checked_mask(buffer.getvalue(), 20, 10)


@given(st.integers(0, 200))
def test_a_mask_that_was_cut_short_is_refused(length):
    content = mask_png(np.random.default_rng(0).random((40, 60)) < 0.5)
    with pytest.raises(InputError, match="damaged"):
        checked_mask(content[:length], 60, 40)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_damaged_masks_are_told_or_read_never_anything_else(junk, position):
    whole = mask_png(np.random.default_rng(0).random((40, 60)) < 0.5)
    content = whole[:position] + junk + whole[position + len(junk) :]
    with suppress(StorageError):
        assert mask_of(content).dtype == bool
    with suppress(InputError):
        assert checked_mask(content, 60, 40) is content
