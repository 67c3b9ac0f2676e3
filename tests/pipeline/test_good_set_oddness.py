"""How unlike the others a photo is, by a detector whose features are the colors themselves."""

import numpy as np
import pytest

from mambaad_demo.pipeline.good_set_oddness import FEWEST_DISTINCT, PatchSample, odd_ones
from mambaad_demo.pipeline.inference import ModelInput
from tests.pipeline.conftest import GrayDetector, gray_images

COUNT = 12


def spoilt(seed: int, color: tuple[float, float, float] = (1.0, 0.9, 0.1)) -> np.ndarray:
    """A good part with a spot."""
    part = gray_images(1, seed=seed)[0]
    part[20:40, 30:50] = color
    return part


def oddness_of(images: list[np.ndarray], groups: list[int] | None = None, *, tiles: int = 1) -> np.ndarray:
    sample = PatchSample(GrayDetector())
    for pixels in images:
        sample.add(ModelInput.from_pixels(pixels, side=64, resize="letterbox", tiles=tiles))
    return sample.oddness(groups or list(range(len(images))), progress=lambda done, total: None)


@pytest.mark.parametrize("tiles", [1, 3])
def test_a_spoilt_part_is_many_times_as_odd_as_is_usual(tiles):
    oddness = oddness_of([*gray_images(COUNT), spoilt(50)], tiles=tiles)

    assert oddness.argmax() == COUNT
    assert oddness[COUNT] > 5
    assert np.median(oddness) == pytest.approx(1)
    assert oddness[:COUNT].max() < 3


def test_two_parts_with_the_same_defect_do_not_excuse_each_other():
    oddness = oddness_of([*gray_images(COUNT), spoilt(50), spoilt(51)])

    assert oddness[COUNT:].min() > 2 * oddness[:COUNT].max()


def test_copies_of_a_spoilt_part_do_not_excuse_each_other_when_they_are_known_as_such():
    copies = [spoilt(50)] * 3

    unknown = oddness_of([*gray_images(COUNT), *copies])
    known = oddness_of([*gray_images(COUNT), *copies], [*range(COUNT), COUNT, COUNT, COUNT])

    assert known[COUNT:].min() > 2 * known[:COUNT].max()
    assert unknown[COUNT:].max() < known[COUNT:].min()


def test_the_same_photos_give_the_same_numbers():
    images = gray_images(6)

    np.testing.assert_array_equal(oddness_of(images), oddness_of(images))


def test_photos_that_are_all_equal_are_none_of_them_odd():
    oddness = oddness_of([gray_images(1)[0]] * 8)

    assert np.isfinite(oddness).all()
    assert odd_ones("abcdefgh", oddness) == []


def test_too_few_different_photos_say_nothing():
    images = gray_images(FEWEST_DISTINCT)

    assert len(oddness_of(images)) == FEWEST_DISTINCT
    assert len(oddness_of(images[1:])) == 0
    assert len(oddness_of(images, [0, 0, *range(2, FEWEST_DISTINCT)])) == 0
    assert odd_ones([], np.empty(0)) == []


def test_what_stands_out_is_named_the_oddest_first():
    oddness = np.array([1, 0.9, 1.1, 3, 1.05, 0.95, 1, 7, 1.2, 0.85])

    found = odd_ones("abcdefghij", oddness)

    assert [(name, value) for name, value, _ in found] == [("h", 7), ("d", 3)]
    assert found[1].words == "3.0 times as unlike the others as is usual"


def test_a_set_that_varies_has_nothing_odd():
    assert odd_ones("abcdefghij", np.geomspace(0.5, 2, 10)) == []


def test_progress_counts_the_photos():
    told = []
    sample = PatchSample(GrayDetector())
    for pixels in gray_images(6):
        sample.add(ModelInput.from_pixels(pixels, side=64, resize="letterbox"))

    sample.oddness(range(6), progress=lambda *step: told.append(step))

    assert told == [(done, 6) for done in range(6)]
