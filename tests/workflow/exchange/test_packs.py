"""Exports appear whole or not at all."""

import zipfile

import pytest

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.workflow.exchange.packs import new_pack


def break_off(target):
    with new_pack(target) as pack:
        pack.write("a/b.png", b"1")
        raise RuntimeError("in the middle")


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_failed_export_leaves_nothing(tmp_path, name):
    with pytest.raises(RuntimeError, match="in the middle"):
        break_off(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_is_there_already_is_left_alone(tmp_path, name):
    target = tmp_path / name
    target.write_bytes(b"mine")
    with pytest.raises(InputError, match=f"'{name}' exists already") as refusal, new_pack(target):
        pytest.fail("opened")
    assert str(tmp_path) not in str(refusal.value)
    assert target.read_bytes() == b"mine"


def test_a_rest_of_a_killed_export_is_no_obstacle(tmp_path):
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "old.png").write_bytes(b"1")
    with new_pack(tmp_path / "out") as pack:
        pack.write("new.png", b"2")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["new.png"]


def test_pictures_are_stored_as_they_are_and_texts_are_packed(tmp_path):
    with new_pack(tmp_path / "new" / "out.ZIP") as pack:
        pack.write("a/b.png", b"1" * 1000)
        pack.write("labels.json", b"1" * 1000)
    with zipfile.ZipFile(tmp_path / "new" / "out.ZIP") as archive:
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    assert sizes["a/b.png"] == 1000
    assert sizes["labels.json"] < 100


def test_a_place_that_cannot_be_written_is_said_without_its_path(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    target = tmp_path / "file" / "out"
    with pytest.raises(StorageError, match="'out' could not be written") as refusal, new_pack(target):
        pytest.fail("opened")
    assert str(tmp_path) not in str(refusal.value)
