"""Files by the hash of what they hold, in a folder and at any other address."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem

from mambaad_demo.errors import StorageError
from mambaad_demo.storage.files import FileKind, FileStore
from mambaad_demo.storage.inspections import sha256_of

CONTENT = b"a part as it came"
SHA256 = sha256_of(CONTENT)


@pytest.fixture(params=["folder", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """An empty file store with a name full of traps, in a folder and in fsspec's memory."""
    root = tmp_path / "parts [1]*?" if request.param == "folder" else f"memory://{secrets.token_hex(8)}/[1]"
    return FileStore(str(root))


@pytest.fixture
def system(files: FileStore, monkeypatch: pytest.MonkeyPatch) -> AbstractFileSystem:
    """What lies below the store; changes to it end with the test."""
    system = files._system
    monkeypatch.setattr(system, "pipe_file", system.pipe_file)
    return system


def all_files(files: FileStore) -> list[str]:
    return [str(path) for path in files._system.find(files._root)]


@pytest.mark.parametrize("kind", FileKind)
def test_what_is_written_is_read_listed_and_deleted(files, kind):
    assert not files.holds(kind, SHA256)
    files.write(kind, SHA256, CONTENT)
    assert files.read(kind, SHA256) == CONTENT
    assert files.holds(kind, SHA256)
    assert list(files.names(kind)) == [SHA256]
    files.delete(kind, SHA256)
    assert not files.holds(kind, SHA256)
    assert list(files.names(kind)) == []


def test_kinds_do_not_see_each_other(files):
    files.write(FileKind.PICTURE, SHA256, CONTENT)
    assert not files.holds(FileKind.PREVIEW, SHA256)
    assert list(files.names(FileKind.PREVIEW)) == []


def test_who_may_not_write_more_writes_nothing_and_what_is_there_costs_nothing(files):
    asked = []

    def take_room(size):
        asked.append(size)
        if len(asked) > 1:
            raise StorageError("full")

    bounded = files.within(take_room)
    bounded.write(FileKind.PICTURE, SHA256, CONTENT)
    bounded.write(FileKind.PICTURE, SHA256, CONTENT)
    with pytest.raises(StorageError, match="full"):
        bounded.write(FileKind.MASK, SHA256, CONTENT)

    assert asked == [len(CONTENT)] * 2
    assert len(all_files(files)) == 1
    files.write(FileKind.MASK, SHA256, CONTENT)


def test_a_file_that_is_there_is_never_changed(files):
    files.write(FileKind.PICTURE, SHA256, CONTENT)
    files.write(FileKind.PICTURE, SHA256, b"something else")
    assert files.read(FileKind.PICTURE, SHA256) == CONTENT


def test_the_store_can_be_opened_again(files):
    files.write(FileKind.MASK, SHA256, CONTENT)
    again = FileStore(files._system.unstrip_protocol(files._root))
    assert again.read(FileKind.MASK, SHA256) == CONTENT


def test_a_write_that_fails_in_the_middle_leaves_nothing(files, system, monkeypatch):
    whole = system.pipe_file

    def half(path: str, content: bytes) -> None:
        whole(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(system, "pipe_file", half)
    with pytest.raises(StorageError, match="disk may be full") as caught:
        files.write(FileKind.PICTURE, SHA256, CONTENT)
    assert all_files(files) == []
    assert files._root not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_file_has_no_name_before_it_is_whole(files, system, monkeypatch):
    whole = system.pipe_file
    seen = []

    def watched(path: str, content: bytes) -> None:
        whole(path, content)
        seen.append((files.holds(FileKind.PICTURE, SHA256), list(files.names(FileKind.PICTURE))))

    monkeypatch.setattr(system, "pipe_file", watched)
    files.write(FileKind.PICTURE, SHA256, CONTENT)
    assert seen == [(False, [])]
    assert len(all_files(files)) == 1


def test_what_a_killed_writer_left_behind_is_no_file(files, monkeypatch):
    def killed(old: str, new: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "_rename", killed)
    monkeypatch.setattr(files, "_remove", lambda path: None)
    with pytest.raises(KeyboardInterrupt):
        files.write(FileKind.PICTURE, SHA256, CONTENT)
    assert len(all_files(files)) == 1
    assert list(files.names(FileKind.PICTURE)) == []
    assert not files.holds(FileKind.PICTURE, SHA256)


def test_many_writers_of_the_same_file_leave_one(files):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: files.write(FileKind.MAP, SHA256, CONTENT), range(32)))
    assert len(all_files(files)) == 1
    assert files.read(FileKind.MAP, SHA256) == CONTENT


def test_a_file_that_is_gone_says_which_and_what_to_do(files):
    with pytest.raises(StorageError, match=rf"pictures {SHA256[:12]}.*backup") as caught:
        files.read(FileKind.PICTURE, SHA256)
    assert files._root not in str(caught.value)


def test_deleting_what_is_not_there_is_no_error(files):
    files.delete(FileKind.PICTURE, SHA256)


def test_a_folder_that_cannot_be_written_to_is_told_without_its_path(tmp_path):
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(StorageError) as caught:
        FileStore(str(tmp_path / "files")).write(FileKind.PICTURE, SHA256, CONTENT)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_cannot_be_deleted_is_told_without_its_path(files, system, monkeypatch):
    def refused(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    files.write(FileKind.PICTURE, SHA256, CONTENT)
    monkeypatch.setattr(system, "rm_file", refused)
    with pytest.raises(StorageError, match="could not be deleted") as caught:
        files.delete(FileKind.PICTURE, SHA256)
    assert files._root not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense://bucket/secret", "s4://key:secret@bucket", "gopher://x/secret"])
def test_an_unknown_kind_of_address_is_refused_without_repeating_it(url):
    with pytest.raises(StorageError, match="MAMBAAD_FILES_URL") as caught:
        FileStore(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "../" * 21 + "a", "\u0661" * 64],
    ids=["empty", "path", "upper case", "short", "newline", "dots", "other digits"],
)
def test_only_hashes_are_names(files, name):
    for action in (files.read, files.holds, files.delete):
        with pytest.raises(ValueError, match="is no SHA-256"):
            action(FileKind.PICTURE, name)
    with pytest.raises(ValueError, match="is no SHA-256"):
        files.write(FileKind.PICTURE, name, CONTENT)
