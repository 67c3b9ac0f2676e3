"""The shelf of sample parts."""

import io

import pytest
from PIL import Image

from mambaad_demo.data.sample_parts import CATEGORIES, DEFECTS
from mambaad_demo.errors import InputError
from mambaad_demo.ui.samples import SHELF, SamplePart, SampleShelf, sample_set


def test_the_shelf_holds_good_and_defective_parts_of_several_kinds():
    assert SHELF[0].defect is not None
    assert len({part.category for part in SHELF}) >= 6
    assert any(part.defect is None for part in SHELF)
    for part in SHELF:
        assert part.category in CATEGORIES
        assert part.defect is None or part.defect in DEFECTS[part.category]


def test_pictures_are_drawn_once_and_kept():
    shelf = SampleShelf(SHELF[:1])
    first = shelf.thumbnail(SHELF[0])

    assert shelf.thumbnail(SHELF[0]) is first
    assert Image.open(io.BytesIO(first)).size == (128, 128)
    assert Image.open(io.BytesIO(shelf.photo(SHELF[0]))).size == (512, 512)


def test_titles_say_what_is_on_the_picture():
    assert SamplePart("bottle_cap", "broken_rim", 1).title == "bottle cap, broken rim"
    assert SamplePart("bottle_cap", None, 1).title == "bottle cap, good part"


@pytest.mark.parametrize("position", [-1, len(SHELF), "0", None, 1.0])
def test_a_position_off_the_shelf_is_refused(position):
    with pytest.raises(InputError):
        SampleShelf().part_at(position)


def test_a_part_knows_its_position():
    assert SampleShelf().position(SHELF[2]) == 2
    assert SampleShelf().position("photo.png") is None


def test_a_sample_set_has_good_and_defective_parts_that_are_nowhere_else():
    pictures = sample_set("gear")
    assert sum(not picture.is_anomalous for picture in pictures) == 16
    assert sum(picture.is_anomalous for picture in pictures) == 4 * len(DEFECTS["gear"])
    assert len({picture.name for picture in pictures}) == len(pictures)
    assert pictures[0].read() == sample_set("gear")[0].read() != pictures[1].read()


def test_an_unknown_kind_has_no_sample_set():
    with pytest.raises(InputError, match="spaceship"):
        sample_set("spaceship")
