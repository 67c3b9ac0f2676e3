"""Files from visitors: only what was uploaded, never an address."""

import os
import time

import pytest
from gradio.utils import get_upload_folder

from mambaad_demo.errors import InputError
from mambaad_demo.ui.uploads import delete_old_files, delete_uploads, refuse_addresses, uploaded_path


@pytest.fixture(autouse=True)
def upload_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    folder = tmp_path / "uploads" / "ab"
    folder.mkdir(parents=True)
    assert get_upload_folder() == str(tmp_path / "uploads")
    return folder


def test_an_uploaded_file_is_found(upload_folder):
    (upload_folder / "a.png").write_bytes(b"x")

    assert uploaded_path({"path": str(upload_folder / "a.png")}) == upload_folder / "a.png"


def test_no_file_is_no_path():
    assert uploaded_path(None) is None


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "", None, 7])
def test_a_path_elsewhere_is_refused_without_naming_it(path):
    with pytest.raises(InputError) as refusal:
        uploaded_path({"path": path})

    assert "etc" not in str(refusal.value)


def test_a_link_or_a_climb_out_of_the_folder_is_refused(upload_folder, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    (upload_folder / "link.png").symlink_to(secret)

    for path in (upload_folder / "link.png", upload_folder / ".." / ".." / "secret.png", upload_folder):
        with pytest.raises(InputError):
            uploaded_path({"path": str(path)})


@pytest.mark.parametrize(
    "address", ["http://a/b.png", "https://a", " HTTPS://a", "ftp://a", "file:///etc/passwd"]
)
def test_addresses_are_refused_wherever_they_hide(address):
    for inputs in ([{"path": address}], [[{"files": [{"path": address}]}]], {"a": {"path": address}}):
        with pytest.raises(InputError):
            refuse_addresses(inputs)


def test_paths_and_other_text_pass():
    refuse_addresses(
        [{"path": "/somewhere/a.png", "url": "http://127.0.0.1/file=a"}, "https://text", None, 3]
    )


def test_files_that_a_killed_run_left_behind_are_deleted_by_age(upload_folder):
    old, new = upload_folder / "old.png", upload_folder / "new.png"
    for file in (old, new):
        file.write_bytes(b"x")
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))

    assert delete_old_files(upload_folder.parent, minutes=30) == 1

    assert [path.name for path in upload_folder.iterdir()] == ["new.png"]


def test_a_folder_that_is_not_there_holds_nothing_to_delete(tmp_path):
    assert delete_old_files(tmp_path / "none", minutes=1) == 0


def test_only_what_lies_among_the_uploads_is_deleted_on_request(upload_folder, tmp_path):
    own, elsewhere = upload_folder / "part.png", tmp_path / "secret.txt"
    for path in (own, elsewhere):
        path.write_bytes(b"content")
    link = upload_folder / "link.png"
    link.symlink_to(elsewhere)
    paths = [own, str(own), elsewhere, link, upload_folder / "gone.png", upload_folder, "a\0b"]

    assert delete_uploads(paths) == 1

    assert not own.exists()
    assert elsewhere.exists()
