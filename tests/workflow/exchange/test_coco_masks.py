"""Run-length masks of COCO, against pycocotools itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from mambaad_demo.errors import InputError
from mambaad_demo.workflow.exchange.coco_masks import RunLengths, annotation_of, mask_of_runs

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0.11, NumPy 2
@given(MASKS)
def test_pycocotools_reads_what_we_write_and_we_read_what_it_writes(mask):
    segmentation = annotation_of(mask)["segmentation"]
    assert np.array_equal(coco_mask.decode(segmentation), mask)
    assert np.array_equal(mask_of_runs(RunLengths(**segmentation)), mask)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (301, 207)])
@pytest.mark.parametrize("share", [0.0, 1e-4, 0.5, 1.0])
def test_long_runs_survive_too(width, height, share):
    mask = np.random.default_rng(0).random((height, width)) < share
    assert np.array_equal(mask_of_runs(RunLengths(**annotation_of(mask)["segmentation"])), mask)


def test_plain_runs_are_read():
    mask = mask_of_runs(RunLengths(size=(2, 3), counts=[1, 2, 3]))
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def test_area_and_box_are_those_of_the_mask():
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:9, 7:10] = True
    mask[8, 20] = True
    annotation = annotation_of(mask)
    assert annotation["area"] == 16
    assert annotation["bbox"] == [7.0, 4.0, 14.0, 5.0]
    assert annotation["iscrowd"] == 0


def test_a_mask_that_marks_nothing_has_an_empty_box():
    annotation = annotation_of(np.zeros((20, 30), dtype=bool))
    assert (annotation["area"], annotation["bbox"]) == (0, [0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("counts", ["", "0", "zzzzzzzz", "o" * 50, "P" * 24, "`" * 9, "é", "\0", "d3o"])
def test_texts_that_do_not_fill_the_mask_are_refused(counts):
    with pytest.raises(InputError, match="damaged"):
        mask_of_runs(RunLengths(size=(10, 10), counts=counts))


@pytest.mark.parametrize("counts", [[], [99], [-1, 101], [101, -1], [-1, 50, 51], [10**30]])
def test_numbers_that_do_not_fill_the_mask_are_refused(counts):
    with pytest.raises(InputError, match="damaged"):
        mask_of_runs(RunLengths(size=(10, 10), counts=counts))


def test_letters_outside_the_alphabet_are_refused():
    """`@` means the same in the low bits; a lax reader would take one for the other."""
    counts = annotation_of(np.diff(np.arange(11) ** 2)[None] % 7 < 3)["segmentation"]["counts"]
    letter = next(letter for letter in counts if "@" <= letter <= "O")
    with pytest.raises(InputError, match="damaged"):
        mask_of_runs(RunLengths(size=(1, 10), counts=counts.replace(letter, chr(ord(letter) - 64))))


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=40))
def test_random_runs_are_refused_or_fill_the_mask(counts):
    """Such texts make pycocotools 2.0.11 write past the end of its memory."""
    try:
        mask = mask_of_runs(RunLengths(size=(10, 10), counts=counts))
    except InputError:
        return
    assert mask.shape == (10, 10)


@pytest.mark.parametrize("size", [(10**6, 10**6), (0, 5), (-3, -3)])
def test_sizes_that_no_picture_has_are_refused_before_they_take_memory(size):
    with pytest.raises(InputError, match="pixels"):
        mask_of_runs(RunLengths(size=size, counts=[10**12]))
