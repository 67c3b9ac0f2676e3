"""Folders that are labels, and those that are none and are told apart before anything is judged."""

import zipfile

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import labels
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.folder_labels import REVIEWER, read_folder_labels, require_folder_labels
from tests.workflow.stored import part, workspace

__all__ = ["workspace"]

WITH_LABELS = BatchSpec(checkpoint="scorer", has_labels=True)


@pytest.fixture
def packed(tmp_path):
    """Makes a zip file of pictures by name."""

    def pack(*names):
        path = tmp_path / "parts.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number, name in enumerate(names):
                archive.writestr(name, part(0.5, number))
        return path

    return pack


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(part(0.5))
    return path


def test_folders_of_mvtec_are_labels(workspace, packed, photo):
    sources = [packed("cap/test/good/0.png", "cap/test/bent/0.png"), photo]
    require_folder_labels(WITH_LABELS, sources)
    read_folder_labels(workspace, WITH_LABELS, sources)
    said = {
        one.name: (one.finding, one.defect_type, one.reviewers) for one in labels.labeled_images(workspace)
    }
    assert said == {
        "cap/test/good/0.png": (Finding.GOOD, "", (REVIEWER,)),
        "cap/test/bent/0.png": (Finding.DEFECT, "bent", (REVIEWER,)),
    }


@pytest.mark.parametrize("names", [("a.png",), ("good/a.png", "bad/b.png"), ("cap/train/good/0.png",)])
def test_other_folders_are_no_labels(packed, names):
    with pytest.raises(InputError, match=r"'parts\.zip' are no labels.*test/good"):
        require_folder_labels(WITH_LABELS, [packed(*names)])


def test_pictures_alone_have_no_folders(photo):
    with pytest.raises(InputError, match="no folder names that could be labels"):
        require_folder_labels(WITH_LABELS, [photo])


def test_who_wants_no_labels_may_send_anything(workspace, packed, photo):
    spec = BatchSpec(checkpoint="scorer")
    require_folder_labels(spec, [packed("a.png"), photo])
    read_folder_labels(workspace, spec, [photo])
    assert labels.labeled_images(workspace) == []
