"""Label Studio's brush masks, against what its own package writes.

The numbers were recorded with `label_studio_sdk.converter.brush` of label-studio-sdk 2.1.2, which also read
back exactly 120 random masks that our code had written.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mambaad_demo.errors import InputError
from mambaad_demo.workflow.exchange.brush_masks import brush_bytes, mask_of_brush

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))

# fmt: off
RECORDED = {
    "checkers": (
        np.indices((3, 5)).sum(0) % 2 == 0,
        [0, 0, 0, 60, 57, 27, 252, 127, 241, 128, 71, 255, 24, 4, 127, 241, 128, 71, 255, 24, 4, 127, 241,
         128, 71, 255, 24, 4, 127, 241, 128, 71, 254],
    ),
    "one pixel": (np.arange(7)[None] == 3, [0, 0, 0, 28, 57, 27, 253, 176, 8, 255, 237, 128, 0]),
    "all": (np.ones((4, 4), dtype=bool), [0, 0, 0, 64, 57, 27, 254, 63, 255, 0]),
    "nothing": (np.zeros((2, 3), dtype=bool), [0, 0, 0, 24, 57, 27, 254, 23, 0, 0]),
    "a block": (
        np.pad(np.ones((5, 70), dtype=bool), ((2, 2), (10, 3))),
        [0, 0, 11, 172, 57, 27, 255, 2, 191, 0, 224, 34, 255, 248, 204, 3, 128, 139, 255, 227, 48, 14, 2, 47,
         255, 140, 192, 56, 8, 191, 254, 51, 0, 224, 34, 255, 252, 10, 140, 0],
    ),
}
ONE_BY_ONE = [0, 0, 0, 24, 57, 27, 248, 21, 0, 114, 129, 112, 0, 0, 29, 192, 85, 128, 40, 7, 248, 30, 160, 76,
              129, 152, 4, 0, 4, 160, 26, 129, 170, 0, 0, 24, 0, 86, 128, 12, 0, 0, 7, 224, 48, 1, 216, 0, 8]
# fmt: on


@pytest.mark.parametrize("name", RECORDED)
def test_we_write_what_label_studio_writes(name):
    mask, recorded = RECORDED[name]
    ours = list(brush_bytes(mask))
    assert ours == recorded[: len(ours)]
    assert set(recorded[len(ours) :]) <= {0}  # it sometimes adds an empty byte


@pytest.mark.parametrize("name", RECORDED)
def test_we_read_what_label_studio_writes(name):
    mask, recorded = RECORDED[name]
    assert np.array_equal(mask_of_brush(bytes(recorded), *mask.shape), mask)


def test_any_opacity_counts_and_colors_do_not():
    """Noise, whose values Label Studio writes one by one; opacities 0, 255, 128 and 0, 0, 1."""
    mask = mask_of_brush(bytes(ONE_BY_ONE), 2, 3)
    assert mask.tolist() == [[False, True, True], [False, False, True]]


@given(MASKS)
def test_masks_come_back_to_the_bit(mask):
    assert np.array_equal(mask_of_brush(brush_bytes(mask), *mask.shape), mask)


@pytest.mark.parametrize("pixels", [2**14 - 1, 2**14, 2**14 + 1, 3 * 2**14])
def test_runs_longer_than_a_code_holds_are_split(pixels):
    mask = np.arange(100_000)[None] < pixels
    assert np.array_equal(mask_of_brush(brush_bytes(mask), *mask.shape), mask)


def test_values_one_by_one_may_begin_anywhere_in_a_byte():
    """Eight literal bytes of a 2 × 1 picture: 53 bits of header, 6 of code, then 64 of values."""
    bits = f"{8:032b}{7:05b}" + f"{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "00" + f"{7:03b}"
    bits += "".join(f"{value:08b}" for value in (9, 9, 9, 0, 1, 2, 3, 4))
    packed = int(bits.ljust(128, "0"), 2).to_bytes(16)
    assert mask_of_brush(packed, 2, 1).tolist() == [[False], [True]]


@given(st.data())
def test_damaged_bytes_are_refused_or_give_a_mask_of_the_right_size(data):
    packed = bytearray(brush_bytes(RECORDED["a block"][0]))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        mask = mask_of_brush(bytes(packed[: data.draw(st.integers(0, len(packed)))]), 9, 83)
    except InputError:
        return
    assert mask.shape == (9, 83)


@pytest.mark.parametrize("keep", [0, 3, 7, 20])
def test_cut_bytes_are_refused(keep):
    with pytest.raises(InputError, match="damaged"):
        mask_of_brush(brush_bytes(RECORDED["a block"][0])[:keep], 9, 83)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="another size"):
        mask_of_brush(brush_bytes(np.ones((4, 5), dtype=bool)), 5, 5)


def test_values_of_other_than_8_bits_are_refused():
    packed = bytearray(brush_bytes(np.ones((4, 5), dtype=bool)))
    packed[4] ^= 0b0000_1000  # the lowest of the five bits
    with pytest.raises(InputError, match="damaged"):
        mask_of_brush(bytes(packed), 4, 5)


def test_sizes_that_no_picture_has_are_refused_before_they_take_memory():
    with pytest.raises(InputError, match="megapixels"):
        mask_of_brush(brush_bytes(np.ones((4, 5), dtype=bool)), 30_000, 30_000)
