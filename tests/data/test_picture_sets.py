"""Folders and zip files as sets of pictures with labels; a stranger's zip file does no harm."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data import picture_sets
from mambaad_demo.data.picture_sets import MOST_PICTURES, list_good, read_set
from mambaad_demo.errors import InputError, TooFewImagesError, UnreadableImageError


def png(shade=128):
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(params=["folder", "zip"])
def as_set(request, tmp_path):
    """Names and contents → a set, as a folder and as a zip file."""

    def write(files):
        if request.param == "zip":
            path = tmp_path / "set.zip"
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            return path
        for name, content in files.items():
            file = tmp_path / "set" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return tmp_path / "set"

    return write


def content(picture):
    read = picture.read()
    return read if isinstance(read, bytes) else read.read_bytes()


def test_pictures_come_in_the_order_of_their_names_with_their_content(as_set):
    pictures = read_set(as_set({"b.png": png(2), "a.PNG": png(1), "notes.txt": b"no picture"}))
    assert [picture.name for picture in pictures] == ["a.PNG", "b.png"]
    assert [content(picture) for picture in pictures] == [png(1), png(2)]
    assert [picture.is_anomalous for picture in pictures] == [None, None]


def test_a_folder_called_good_and_another_one_give_labels(as_set):
    pictures = read_set(as_set({"good/1.png": png(), "scratch/1.png": png(), "bent/1.png": png()}))
    assert {picture.name: picture.is_anomalous for picture in pictures} == {
        "good/1.png": False,
        "scratch/1.png": True,
        "bent/1.png": True,
    }


def test_what_lies_below_good_is_good_however_it_is_spelt(as_set):
    pictures = read_set(as_set({"set/Good/cam1/1.png": png(), "set/bent/cam1/1.png": png()}))
    assert {picture.name: picture.is_anomalous for picture in pictures} == {
        "set/Good/cam1/1.png": False,
        "set/bent/cam1/1.png": True,
    }


def test_a_picture_beside_the_good_ones_is_asked_about(as_set):
    with pytest.raises(InputError, match=r"cover\.png lies beside the folder 'good'"):
        read_set(as_set({"good/1.png": png(), "cover.png": png()}))


@pytest.mark.parametrize("names", [["good/1.png", "good/2.png"], ["scratch/1.png", "bent/1.png"], ["1.png"]])
def test_one_kind_of_folder_alone_gives_no_labels(as_set, names):
    pictures = read_set(as_set(dict.fromkeys(names, png())))
    assert [picture.is_anomalous for picture in pictures] == [None] * len(names)


def test_of_the_mvtec_layout_the_test_pictures_are_taken_without_masks(as_set):
    files = ["train/good/1.png", "test/good/1.png", "test/bent/1.png", "ground_truth/bent/1_mask.png"]
    pictures = read_set(as_set({f"part/{name}": png() for name in files}))
    assert [picture.name for picture in pictures] == ["part/test/bent/1.png", "part/test/good/1.png"]
    assert [picture.is_anomalous for picture in pictures] == [True, False]


@pytest.mark.parametrize(
    ("files", "good", "aside"),
    [
        (["x.png", "y.png"], ["x.png", "y.png"], 0),
        (["monday/x.png", "tuesday/y.png"], ["monday/x.png", "tuesday/y.png"], 0),
        (["Good/x.png", "bent/y.png", "z.png"], ["Good/x.png"], 2),
        (["test/bent/x.png", "test/good/y.png"], ["test/good/y.png"], 1),
        (
            ["p/test/bent/w.png", "p/test/good/x.png", "p/train/good/y.png", "p/ground_truth/bent/z.png"],
            ["p/train/good/y.png"],
            2,
        ),
    ],
)
def test_of_a_set_in_folders_only_the_good_parts_are_taken_and_the_others_counted(as_set, files, good, aside):
    found = list_good(as_set(dict.fromkeys(files, png())), at_most=10)
    assert [picture.name for picture in found.pictures] == good
    assert found.aside == aside
    assert len(found.notes) == bool(aside)


def test_only_good_parts_count_towards_too_many(as_set):
    sent = as_set({"good/1.png": png(), "bent/1.png": png(), "bent/2.png": png()})
    assert len(list_good(sent, at_most=1).pictures) == 1


def test_what_a_macintosh_adds_is_left_out(as_set):
    pictures = read_set(as_set({"1.png": png(), "__MACOSX/._1.png": b"x", ".hidden/2.png": png()}))
    assert [picture.name for picture in pictures] == ["1.png"]


def test_a_set_without_pictures_is_refused(as_set):
    with pytest.raises(TooFewImagesError, match=r"no pictures.*\.png"):
        read_set(as_set({"notes.txt": b"no picture"}))


def test_too_many_pictures_are_refused(as_set):
    with pytest.raises(InputError, match=f"{MOST_PICTURES + 1} pictures"):
        read_set(as_set({f"{number}.png": b"" for number in range(MOST_PICTURES + 1)}))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"\x89PNG"])
def test_what_is_no_zip_file_is_refused(tmp_path, damage):
    path = tmp_path / "set.zip"
    path.write_bytes(damage)
    with pytest.raises(InputError, match="no zip file"):
        read_set(path)


def test_a_damaged_entry_is_refused_when_it_is_read_and_the_others_are_not(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", png(1))
        archive.writestr("2.png", png(2))
    data = bytearray(path.read_bytes())
    data[data.find(png(1)) + 20] ^= 0xFF
    path.write_bytes(data)
    first, second = read_set(path)
    with pytest.raises(UnreadableImageError, match=r"1\.png is damaged"):
        first.read()
    assert second.read() == png(2)


def test_an_entry_that_unpacks_to_far_more_than_it_is_packed_to_is_left_alone(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(50_000_000))
    (picture,) = read_set(path)
    with pytest.raises(UnreadableImageError, match="unpacks to 50 MB"):
        picture.read()


def test_an_entry_that_unpacks_to_more_than_it_says_is_damaged_and_not_unpacked(tmp_path):
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("liar.png", bytes(50_000_000))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # sizes in both headers
        at = data.find(signature) + offset
        data[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    (picture,) = read_set(path)
    tracemalloc.start()
    with pytest.raises(UnreadableImageError, match=r"liar\.png is damaged"):
        picture.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_packing_that_know_no_bounds_are_refused(tmp_path, kind):
    path = tmp_path / "rare.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("1.png", png())
    (picture,) = read_set(path)
    with pytest.raises(UnreadableImageError, match="rare way"):
        picture.read()


@pytest.mark.parametrize("is_zip64", [False, True])
def test_a_list_of_entries_that_is_too_long_is_not_read(tmp_path, monkeypatch, is_zip64):
    path = tmp_path / "many.zip"
    with monkeypatch.context() as patched:
        if is_zip64:
            patched.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(20):
                archive.writestr(f"{number}.png", b"")
    assert (b"PK\x06\x07" in path.read_bytes()) == is_zip64
    assert len(read_set(path)) == 20
    monkeypatch.setattr(picture_sets, "_MOST_DIRECTORY_BYTES", 500)
    with pytest.raises(InputError, match="too many entries"):
        read_set(path)


def test_more_than_fits_into_memory_and_time_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", png())
    monkeypatch.setattr(picture_sets, "_MOST_BYTES_IN_ALL", 10)
    with pytest.raises(InputError, match="unpacks to 0 GB"):
        read_set(path)


def test_a_long_name_is_shown_by_its_end(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a" * 5000 + "/" + "b" * 5000 + "\u202e.png", png())
    (picture,) = read_set(path)
    assert len(picture.name) <= 250
    assert picture.name.endswith("bb?.png")


def test_an_encrypted_zip_file_is_refused(tmp_path):
    path = tmp_path / "secret.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", png())
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        read_set(path)


@pytest.mark.parametrize("name", ["../../etc/1.png", "/etc/1.png", "a/./../1.png", "C:\\photos\\1.png"])
def test_names_that_climb_are_shown_without_their_steps_and_touch_nothing(tmp_path, name):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, png(7))
    (picture,) = read_set(path)
    assert ".." not in picture.name
    assert not picture.name.startswith("/")
    assert picture.read() == png(7)
    assert [file.name for file in tmp_path.iterdir()] == ["set.zip"]
