"""The photos of a good set, and work that tells how far it is."""

import threading

import pytest
from PIL import Image

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import InputError, StorageError, UnreadableImageError
from mambaad_demo.ui import good_photos
from mambaad_demo.ui.good_photos import thumbnail_jpeg, thumbnails, unpacked
from mambaad_demo.ui.told import Told, told
from tests.workflow.stored import part, workspace

__all__ = ["workspace"]


def photo(name, content):
    def read():
        if content is None:
            raise UnreadableImageError("damaged in the zip file")
        return content

    return Picture(name=name, is_anomalous=None, read=read)


def test_thumbnails_are_small_and_those_that_cannot_be_drawn_are_missing(tmp_path):
    photos = [
        photo("a", part(width=400, height=300)),
        photo("b", b"no"),
        photo("c", None),
        photo("d", part()),
    ]
    found = thumbnails(photos, {"a", "b", "c"})
    assert found.keys() == {"a"}
    (tmp_path / "a.jpg").write_bytes(found["a"])
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
        assert image.size == (128, 96)


def test_a_photo_beyond_the_pixel_budget_is_not_drawn(monkeypatch):
    monkeypatch.setattr(good_photos, "_MEGAPIXELS", 0.01)
    with pytest.raises(InputError):
        thumbnail_jpeg(part(width=400, height=300))


def test_files_stay_where_they_are_and_bytes_are_written_beside_each_other(tmp_path):
    here = tmp_path / "here.png"
    here.write_bytes(part())
    paths = unpacked(
        [photo("here.png", here), photo("x/a.png", b"1"), photo("y/a.png", b"2"), photo("z", None)],
        tmp_path / "new",
    )
    assert paths[0] == here
    assert [(path.name, path.read_bytes()) for path in paths[1:]] == [("a.png", b"1"), ("a.png", b"2")]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "x/", "a\nb.png", "c:\\d.png", "💥" * 300 + ".png"]
)
def test_no_name_leads_out_of_the_folder_or_is_too_long_for_it(tmp_path, name):
    (path,) = unpacked([photo(name, b"1")], tmp_path / "new")
    assert path.resolve().is_relative_to(tmp_path / "new")
    assert path.read_bytes() == b"1"


def test_without_room_nothing_starts(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="disk may be full"):
        unpacked([photo("a.png", b"1")], tmp_path / "file")


def test_too_many_photos_are_refused(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(good_photos, "MOST_PHOTOS", 1)
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(InputError, match="These are 2 photos"):
        good_photos.good_photos(workspace, files, taught=None)


def everything(steps):
    said = []
    while True:
        try:
            said.append(next(steps))
        except StopIteration as end:
            return said, end.value


def test_work_tells_how_far_it_is_and_what_came_out():
    def work(tell):
        tell(Told("counting", 1, 2))
        tell(Told("counting", 2, 2))
        return "done"

    assert everything(told(work)) == ([Told("counting", 1, 2), Told("counting", 2, 2)], "done")


def test_an_error_of_the_work_reaches_who_waits():
    def work(tell):
        tell(Told("reading"))
        raise InputError("no good")

    with pytest.raises(InputError, match="no good"):
        everything(told(work))


def test_work_nobody_waits_for_ends_the_next_time_it_tells_something():
    is_closed, has_ended = threading.Event(), threading.Event()
    went_on = []

    def work(tell):
        try:
            tell(Told("reading"))
            is_closed.wait(10)
            tell(Told("reading more"))
            went_on.append(True)
        finally:
            has_ended.set()

    steps = told(work)
    next(steps)
    steps.close()
    is_closed.set()
    assert has_ended.wait(10)
    assert went_on == []
