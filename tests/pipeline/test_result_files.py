"""Which pictures a list of paths names, and under which names their results are filed."""

from pathlib import Path

import pytest

from mambaad_demo.errors import FolderLayoutError
from mambaad_demo.pipeline.result_files import input_files


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_folders_are_walked_in_natural_order_and_other_files_left_out(tmp_path):
    root = touched(tmp_path, "10.png", "2.png", "good/1.jpg", "notes.txt", ".hidden.png")

    assert [file.result.as_posix() for file in input_files([root])] == ["good/1", "2", "10"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path):
    touched(tmp_path, "scan.dat")

    (file,) = input_files([tmp_path / "scan.dat"])

    assert file.path == tmp_path / "scan.dat"


def test_results_never_share_a_name(tmp_path):
    one, two = touched(tmp_path / "one", "a.png", "a.jpg"), touched(tmp_path / "two", "a.png", "a-2.png")

    results = [file.result.as_posix() for file in input_files([one, two])]

    assert len(set(results)) == 4


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(FolderLayoutError, match="no images"):
        input_files([touched(tmp_path, "notes.txt")])
