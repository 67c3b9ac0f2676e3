"""Damaged and spiteful zip files: pictures within bounds, or a refusal in words; nothing is ever unpacked."""

import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mambaad_demo.data.picture_sets import MOST_PICTURES, list_set, read_set
from mambaad_demo.errors import InputError, UnreadableImageError
from mambaad_demo.workflow.exchange.sources import Source
from tests.data.hostile_files import (
    hidden_directory_zip,
    hidden_zip64_directory_zip,
    lying_ratio_zip,
    nested_zip,
    overlapping_zip,
    png,
    zip_of,
)
from tests.data.mutations import mutated

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


class _Pipe:
    """A file that cannot seek, so that zipfile writes sizes behind the content (data descriptors)."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)

    def flush(self) -> None:
        """There is nothing to flush."""


def _streamed() -> bytes:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/1.png", png())
        archive.writestr("bent/2.png", png())
    return pipe.content


def _commented() -> bytes:
    data = bytearray(zip_of({"1.png": png()}))
    data[-2:] = struct.pack("<H", 300)
    return bytes(data) + (b"a comment that says nothing " * 20)[:300]


def _zip64() -> bytes:
    """All sizes and places of one entry in its zip64 field, and an end record in zip64."""
    content, name = png(), b"1.png"
    local = struct.pack("<4s5H3I2H", LOCAL, 45, 0, 0, 0, 0, 0, len(content), len(content), len(name), 0)
    start = len(local + name + content)
    extra = struct.pack("<HHQQQ", 1, 24, len(content), len(content), 0)
    crc = zipfile.crc32(content)
    central = struct.pack(
        "<4s6H3I5H2I",
        *(
            CENTRAL,
            45,
            45,
            0,
            0,
            0,
            0,
            crc,
            2**32 - 1,
            2**32 - 1,
            len(name),
            len(extra),
            0,
            0,
            0,
            0,
            2**32 - 1,
        ),
    )
    directory = central + name + extra
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + len(directory), 1)
    end = struct.pack("<4s4HIIH", END, 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return local + name + content + directory + end64 + locator + end


VALID = {
    "stored": zip_of({"good/1.png": png(), "bent/2.png": png()}, zipfile.ZIP_STORED),
    "deflated": zip_of({"test/good/1.png": png(), "test/bent/2.png": png(), "notes.txt": b"none"}),
    "streamed": _streamed(),
    "commented": _commented(),
    "zip64": _zip64(),
    "behind a program": b"#!/bin/sh\nexit 0\n" + zip_of({"1.png": png()}),
    "nested": nested_zip(2),
    "names": zip_of({"Prüfling/Kratzer ä/1.png": png(), "零件.png": png()}),
}


def pictures_or_refused(path: Path) -> dict[str, bytes | str]:
    """What a zip gives, by name; a refusal stands in the place of what is refused."""
    found: dict[str, bytes | str] = {}
    try:
        pictures = list_set(path, at_most=MOST_PICTURES)
    except InputError as refusal:
        _check_words(str(refusal), path)
        return found
    for picture in pictures:
        assert not picture.name.startswith("/")
        assert ".." not in Path(picture.name).parts
        assert picture.name.isprintable()
        try:
            content = picture.read()
        except UnreadableImageError as refusal:
            _check_words(str(refusal), path)
            found[picture.name] = str(refusal)
        else:
            assert isinstance(content, bytes)
            assert len(content) <= 10_000_000
            found[picture.name] = content
    return found


def _check_words(message: str, path: Path) -> None:
    assert str(path.parent) not in message
    assert message.endswith((".", "."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds one zip file at a time and must hold nothing else."""
    return tmp_path_factory.mktemp("zips")


@pytest.mark.parametrize("name", VALID)
def test_what_the_damage_starts_from_is_valid(name, tmp_path):
    (tmp_path / "set.zip").write_bytes(VALID[name])
    found = pictures_or_refused(tmp_path / "set.zip")
    assert found
    assert all(content == png() for content in found.values()) or name == "nested"


@pytest.mark.parametrize("name", VALID)
@settings(
    derandomize=True,
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_zip_gives_pictures_or_a_refusal(name, seed, folder):
    path = folder / "set.zip"
    path.write_bytes(mutated(VALID[name], list(VALID.values()), seed))
    pictures_or_refused(path)
    assert [file.name for file in folder.iterdir()] == ["set.zip"]


@settings(derandomize=True, max_examples=200, deadline=None, database=None)
@given(name=st.sampled_from(sorted(VALID)), seed=st.integers(0, 2**32 - 1))
def test_a_damaged_zip_of_labels_gives_files_or_a_refusal(name, seed, folder):
    path = folder / "set.zip"
    path.write_bytes(mutated(VALID[name], list(VALID.values()), seed))
    try:
        for file in Source.open(path).files:
            file.content()
    except InputError as refusal:
        _check_words(str(refusal), path)


@pytest.mark.parametrize("name", ["stored", "deflated", "streamed", "zip64"])
def test_a_zip_cut_anywhere_is_refused(name, folder):
    path = folder / "set.zip"
    for end in range(0, len(VALID[name]) - 1, len(VALID[name]) // 60):
        path.write_bytes(VALID[name][:end])
        assert pictures_or_refused(path) == {}


# the named ones


@pytest.mark.parametrize(
    "name",
    [
        *["../1.png", "../../../../etc/cron.d/1.png", "/etc/1.png", "//server/share/1.png", "a/../../1.png"],
        *["C:\\windows\\1.png", "..\\..\\1.png", "\\\\server\\share\\1.png", "nul\0.png", "a\nb\x1b[2J.png"],
        *["\u202egnp.1.png", "x" * 4000 + ".png", "/".join("abcdefgh") + "/1.png", "~/1.png", "$(id).png"],
    ],
)
def test_no_name_leads_anywhere(name, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "set.zip").write_bytes(zip_of({name: png()}))
    found = pictures_or_refused(inside / "set.zip")
    assert len(found) <= 1
    assert [file.name for file in inside.iterdir()] == ["set.zip"]
    assert [file.name for file in tmp_path.iterdir()] == ["inside"]


def test_a_link_in_a_zip_is_the_text_of_its_target_and_followed_by_nobody(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    entry = zipfile.ZipInfo("link.png")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(entry, str(tmp_path / "secret.png"))
    (picture,) = read_set(tmp_path / "set.zip")
    assert picture.read() == str(tmp_path / "secret.png").encode()


def test_one_name_for_two_entries_gives_each_its_own_content(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("1.png", png())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("1.png", b"another")
    assert [picture.read() for picture in read_set(tmp_path / "set.zip")] == [png(), b"another"]


def test_names_in_no_known_encoding_are_shown_in_printable_letters(tmp_path):
    data = zip_of({"xxxx.png": png()}).replace(b"xxxx", b"\xff\xfe\x80\x9f")
    (tmp_path / "set.zip").write_bytes(data)
    (name,) = pictures_or_refused(tmp_path / "set.zip")
    assert name.endswith(".png")


def test_a_name_that_lies_about_being_utf8_is_refused(tmp_path):
    data = bytearray(zip_of({"xxxx.png": png()}).replace(b"xxxx", b"\xff\xfe\x80\x9f"))
    data[data.index(CENTRAL) + 9] |= 0x08
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(InputError, match="no zip file"):
        list_set(tmp_path / "set.zip", at_most=10)


@pytest.mark.parametrize("bit", [0, 5, 6, 13])
def test_encrypted_and_patched_entries_are_refused(tmp_path, bit):
    data = bytearray(zip_of({"1.png": png()}))
    at = data.index(CENTRAL) + 8
    data[at : at + 2] = struct.pack("<H", struct.unpack_from("<H", data, at)[0] | 1 << bit)
    (tmp_path / "set.zip").write_bytes(data)
    found = pictures_or_refused(tmp_path / "set.zip")
    assert all(content == png() or isinstance(content, str) for content in found.values())
    assert found == {} or bit != 0


@pytest.mark.parametrize("place", [2**31, 2**32 - 2, 2**40, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_place_beyond_the_file_is_damage(tmp_path, place):
    data = bytearray(VALID["zip64"])
    at = data.index(CENTRAL) + 46 + len("1.png") + 4 + 16
    data[at : at + 8] = struct.pack("<Q", place)
    (tmp_path / "set.zip").write_bytes(data)
    found = pictures_or_refused(tmp_path / "set.zip")  # empty where zipfile sees it in the list
    assert all("damaged" in str(said) for said in found.values())


@pytest.mark.parametrize("make", [hidden_directory_zip, hidden_zip64_directory_zip])
def test_a_long_list_behind_a_second_end_mark_is_not_read(tmp_path, make):
    (tmp_path / "set.zip").write_bytes(make(80_000))
    with pytest.raises(
        InputError, match=r"too many entries|no zip file"
    ):  # newer zipfiles see the second mark
        list_set(tmp_path / "set.zip", at_most=MOST_PICTURES)


@pytest.mark.parametrize("make", [overlapping_zip, lying_ratio_zip])
def test_entries_that_are_longer_than_the_file_are_refused(tmp_path, make):
    (tmp_path / "set.zip").write_bytes(make())
    with pytest.raises(InputError, match="over one another"):
        list_set(tmp_path / "set.zip", at_most=MOST_PICTURES)


def test_a_zip_in_a_zip_is_not_opened(tmp_path):
    (tmp_path / "set.zip").write_bytes(zip_of({"inner.zip": zip_of({"1.png": png()}), "2.png": png()}))
    assert pictures_or_refused(tmp_path / "set.zip") == {"2.png": png()}


def test_a_pictures_set_closes_its_zip_when_nobody_reads_it_any_more(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(zip_of({"1.png": png()}))
    pictures = read_set(path)
    assert _open_files(path) == 1
    del pictures
    assert _open_files(path) == 0


def _open_files(path: Path) -> int:
    """How many of this process' descriptors lead to a file; Linux tells it."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("open files are listed on Linux alone")
    return sum(link.is_symlink() and link.readlink() == path for link in descriptors.iterdir())
