"""The pre-flight of a good set, from photos to a report."""

import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mambaad_demo.errors import UnreadableImageError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.preflight import GoodPicture, examine_good_set
from tests.conftest import textured


@pytest.fixture(scope="module")
def predictor(_saved_tiny_checkpoint: Path) -> Predictor:
    """Shared by all tests here: it keeps nothing between calls."""
    return Predictor.from_checkpoint(_saved_tiny_checkpoint, device="cpu", kernel="torch")


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def good_set(count: int, **changes: int) -> list[GoodPicture]:
    """Textured plates, each its own."""
    return [
        GoodPicture(name=f"{i:03d}.png", content=encoded(textured(seed=i, **changes))) for i in range(count)
    ]


def named(name: str, pixels: np.ndarray) -> GoodPicture:
    return GoodPicture(name=name, content=encoded(pixels))


def test_an_honest_set_can_be_trained_on_and_nothing_is_said_of_it(predictor):
    report = examine_good_set(predictor, good_set(24))

    assert report.can_train
    assert (report.count, report.usable) == (24, 24)
    assert report.sizes == (((96, 80), 24),)
    assert report.problems == report.warnings == []
    assert len(report.leave_out) == 24


def test_a_broken_file_is_named_with_the_reason_and_stops_nobody(predictor):
    broken = GoodPicture(name="broken.png", content=encoded(textured())[:200])
    gone = GoodPicture(name="gone.png", content=Path("nowhere.png"))

    report = examine_good_set(predictor, [broken, *good_set(24), gone])

    assert [name for name, _ in report.refused] == ["broken.png", "gone.png"]
    assert "cut short" in report.refused[0][1]
    assert report.count == 24
    assert report.can_train
    assert report.warnings == ["2 of 26 files cannot be read and will be left out: broken.png, gone.png."]


def test_what_cannot_be_had_when_its_turn_comes_is_refused(predictor):
    def damaged() -> bytes:
        raise UnreadableImageError("It is damaged in the zip file.")

    report = examine_good_set(predictor, [*good_set(6), GoodPicture(name="a.png", content=damaged)])

    assert report.refused == (("a.png", "It is damaged in the zip file."),)


def test_a_phone_photo_of_twelve_megapixels_is_read_and_a_larger_one_refused(predictor):
    sizes = {"phone.png": (4032, 3024), "huge.png": (4200, 3100)}
    pictures = []
    for name, size in sizes.items():
        content = io.BytesIO()
        Image.new("L", size).save(content, "PNG")
        pictures.append(GoodPicture(name=name, content=content.getvalue()))

    refused = dict(examine_good_set(predictor, [*good_set(6), *pictures]).refused)

    assert list(refused) == ["huge.png"]
    assert "13.02 megapixels" in refused["huge.png"]


@pytest.mark.parametrize("count", [0, 1, 3, MIN_PHOTOS - 1])
def test_fewer_than_five_photos_are_refused_with_the_reason(predictor, count):
    report = examine_good_set(predictor, good_set(count))

    assert not report.can_train
    (problem,) = report.problems
    assert (f"{count} photo" if count else "no photos") in problem
    assert f"{MIN_PHOTOS}" in problem
    assert report.leave_out == report.odd == ()


def test_five_photos_are_enough_and_said_to_be_few(predictor):
    report = examine_good_set(predictor, good_set(MIN_PHOTOS))

    assert report.can_train
    assert "5 photos" in report.warnings[-1]


def test_files_none_of_which_can_be_read_are_refused_with_the_first_reason(predictor):
    notes = [GoodPicture(name=f"{i}.png", content=b"not a picture") for i in range(7)]

    (problem,) = examine_good_set(predictor, notes).problems

    assert "None of the 7" in problem
    assert "PNG, JPEG" in problem


def test_the_same_photo_many_times_is_refused(predictor):
    same = textured()
    kinds = ["PNG", "BMP", "TIFF"] * 4  # other files, one photo

    report = examine_good_set(
        predictor, [GoodPicture(name=f"{i}", content=encoded(same, kind)) for i, kind in enumerate(kinds)]
    )

    assert "All 12 photos are the same" in report.problems[0]
    assert report.copies == report.duplicates == (tuple(map(str, range(12))),)


def test_copies_do_not_count_towards_five(predictor):
    report = examine_good_set(predictor, good_set(4) * 2)

    assert report.usable == 4
    assert "4 photos can be used (4 the same as another)" in report.problems[0]


def test_three_hundred_photos_of_two_sizes_are_named_by_size(predictor):
    pictures = good_set(200) + good_set(300, width=64, height=96)[200:]

    report = examine_good_set(predictor, pictures)

    assert report.can_train
    assert report.sizes == (((96, 80), 200), ((64, 96), 100))
    (said,) = [words for words in report.warnings if "sizes" in words]
    assert "2 sizes: 96 × 80 px (200), 64 × 96 px (100)" in said
    assert "0.67 to 1.20" in said


def test_a_photo_of_one_even_color_teaches_nothing_and_is_no_copy(predictor):
    plain = np.full((80, 96, 3), 128, np.uint8)

    report = examine_good_set(predictor, [*good_set(22), named("cap.png", plain)])

    assert report.blank == ("cap.png",)
    assert report.usable == 22
    assert any("cap.png" in words and "even color" in words for words in report.warnings)


def test_photos_that_are_all_even_cannot_be_used(predictor):
    report = examine_good_set(
        predictor, [named(f"{i}.png", np.full((80, 96, 3), 40 + i, np.uint8)) for i in range(8)]
    )

    assert not report.can_train
    assert "8 of one even color" in report.problems[0]
    json.dumps(report.to_json(), allow_nan=False)


def test_a_defective_part_among_good_ones_looks_odd(predictor):
    spoilt = named("spoilt.png", textured(seed=99, defect=(30, 20, 25)))

    report = examine_good_set(predictor, [*good_set(12), spoilt, *good_set(24)[12:]])

    assert [finding.name for finding in report.odd] == ["spoilt.png"]
    assert report.leave_out[0] == ("spoilt.png", report.odd[0].value)
    assert "This one of your good parts looks odd: spoilt.png." in report.warnings[0]


def test_a_blurred_and_a_dark_photo_are_named(predictor):
    sharp = textured(seed=77)
    soft = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(3)))
    dark = (textured(seed=78) * 0.4).astype(np.uint8)

    report = examine_good_set(predictor, [*good_set(24), named("soft.png", soft), named("dark.png", dark)])

    assert [finding.name for finding in report.blurred] == ["soft.png"]
    assert report.blurred[0].value < 0.4
    assert [finding.name for finding in report.exposure] == ["dark.png"]
    assert report.exposure[0].words.startswith("darker")


def test_gray_photos_among_colored_ones_are_named(predictor):
    tinted = [named(f"{i}", (textured(seed=i) * [0.8, 0.9, 1.0]).astype(np.uint8)) for i in range(18)]

    report = examine_good_set(predictor, [*tinted, *good_set(21)[18:]])

    assert report.gray == ("018.png", "019.png", "020.png")
    assert any("3 of 21 photos have no color" in words for words in report.warnings)


def test_names_of_strangers_are_made_printable_in_sentences_and_kept_in_lists(predictor):
    hostile = "a\n=cmd()\x1b[31m/" + "x" * 500 + "\u202e.png"

    report = examine_good_set(predictor, [*good_set(6), GoodPicture(name=hostile, content=b"")])

    assert report.refused[0][0] == hostile
    assert all(words.isprintable() and len(words) < 400 for words in report.warnings)


def test_a_report_is_json(predictor):
    report = examine_good_set(predictor, [*good_set(6), *good_set(1), GoodPicture(name="b", content=b"")])

    said = json.loads(json.dumps(report.to_json(), allow_nan=False))

    assert said["can_train"] is True
    assert said["sizes"] == [{"width": 96, "height": 80, "count": 7}]
    assert said["duplicates"] == [["000.png", "000.png"]]
    assert said["refused"][0]["name"] == "b"


def test_progress_is_told_photo_by_photo(predictor):
    told = []

    examine_good_set(predictor, good_set(6), progress=lambda *step: told.append(step))

    assert told == [
        *(("Reading the photos", done, 6) for done in range(6)),
        *(("Comparing the photos", done, 6) for done in range(6)),
    ]


def test_what_the_listener_raises_ends_the_examination(predictor):
    class EnoughError(Exception):
        pass

    read = []

    def content(number: int) -> bytes:
        read.append(number)
        return encoded(textured(seed=number))

    def listen(what: str, done: int, total: int) -> None:
        if done == 3:
            raise EnoughError

    pictures = [GoodPicture(name=str(i), content=lambda i=i: content(i)) for i in range(9)]
    with pytest.raises(EnoughError):
        examine_good_set(predictor, pictures, progress=listen)

    assert read == [0, 1, 2]


def test_few_pictures_are_held_at_once(predictor):
    side, count = 1000, 12
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    contents = [encoded(np.roll(pixels, 50 * i, axis=0), "BMP") for i in range(count)]
    examine_good_set(predictor, good_set(2))  # what is loaded once
    tracemalloc.start()
    try:
        examine_good_set(
            predictor, (GoodPicture(name=str(i), content=content) for i, content in enumerate(contents))
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    decoded = side * side * 3 * 4  # bytes of float32
    assert peak < 4 * decoded < count * decoded / 2


def test_two_examinations_of_one_set_say_the_same(predictor):
    first, second = (examine_good_set(predictor, good_set(8)) for _ in range(2))

    assert first == second


def test_it_also_runs_on_the_model_thread_itself(predictor):
    report = model_thread.run(examine_good_set, predictor, good_set(6))

    assert report.count == 6
