"""The MVTec layout: exports that the training scripts read, and folders from elsewhere."""

import json

import numpy as np
import pytest

from mambaad_demo.data.folders import find_categories
from mambaad_demo.data.uploads import load_image, load_mask
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import labels
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.storage.pictures import add_picture
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import (
    CLIMBER,
    FORMULA,
    HEIGHT,
    WIDTH,
    lying_jpeg,
    picture,
    png,
    random_mask,
    told,
    write_files,
)


def foreign(folder, name="plate"):
    """A data set of another source: two types of defect, one with masks; returns the masks."""
    masks = [random_mask(seed=seed) for seed in range(2)]
    files = {
        "train/good/000.png": picture(10),
        "train/good/001.png": picture(11),
        "test/good/000.png": picture(20),
        "test/bent lead/000.png": picture(30),
        "test/bent lead/001.png": picture(31),
        "test/cut/000.png": picture(40),
        "ground_truth/bent lead/000_mask.png": png(masks[0].astype(np.uint8) * 255),
        "ground_truth/bent lead/001.png": png(masks[1].astype(np.uint8)),
        "license.txt": "x",
    }
    write_files(folder / name, files)
    return masks


def test_the_training_scripts_read_an_export_without_complaint(full, tmp_path):
    export(full, tmp_path / "out", ExportKind.MVTEC)

    complete, partial = find_categories([tmp_path / "out"])

    assert (complete.has_masks, partial.has_masks) == (True, False)
    assert len(complete.test) == 7
    assert sum(sample.is_anomalous for sample in complete.test) == 5
    assert (len(partial.test), sum(sample.is_anomalous for sample in partial.test)) == (4, 3)


def test_exported_masks_lie_as_the_pictures_do(full, tmp_path):
    export(full, tmp_path / "out", ExportKind.MVTEC, product=FORMULA)
    listed = json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8"))["pictures"]
    by_file = {line["file"]: line["sha256"] for line in listed}
    stored = {image.sha256: image for image in labels.labeled_images(full)}
    [category] = find_categories([tmp_path / "out"])

    for sample in category.test:
        image = stored[by_file[sample.path.relative_to(tmp_path / "out").as_posix()]]
        assert load_image(sample.path).pixels.shape == (image.height, image.width, 3)
        if sample.mask_path is not None:
            mask = mask_of(full.files.read(FileKind.MASK, image.mask_sha256))
            assert np.array_equal(load_mask(sample.mask_path), mask)


def test_masks_that_are_not_complete_lie_apart_and_the_facts_say_so(full, tmp_path):
    facts = export(full, tmp_path / "out", ExportKind.MVTEC, product=CLIMBER)
    [folder] = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert sorted(path.name for path in folder.iterdir()) == ["ground_truth_partial", "test"]
    assert len(list((folder / "ground_truth_partial").rglob("*.png"))) == facts.masks == 1
    assert "Defects without a mask in etc: 2." in facts.notes[0]


def test_unsure_and_divided_pictures_stay_behind(full, tmp_path):
    facts = export(full, tmp_path / "out", ExportKind.MVTEC)
    assert {left.name: left.reason for left in facts.left_out} == {
        "nobody knows.png": "Nobody is sure what it is.",
        "divided.png": "The reviewers are divided.",
    }
    assert (facts.labels, facts.pictures) == (11, 11)


def test_no_folder_of_an_export_is_taken_for_another(empty, tmp_path):
    """Products that are called as parts of the layout are, and defects that are called good."""
    names = ["test", "Train", "ground_truth", "good", "GOOD", "a/b", "a:b", "..", "nul"]
    for seed, name in enumerate(names):
        image_id = add_picture(empty, picture(seed), "x.png", name)
        label = Label(finding=Finding.DEFECT, defect_type=name)
        labels.decide(empty, image_id, label, reviewer="mira")

    export(empty, tmp_path / "out", ExportKind.MVTEC)

    categories = find_categories([tmp_path / "out"])
    assert len({category.name.casefold() for category in categories}) == len(names)
    assert all([sample.is_anomalous for sample in category.test] == [True] for category in categories)


@pytest.mark.parametrize("above", ["", "sets/mine"])
def test_a_data_set_from_elsewhere_is_read_by_its_folders(empty, tmp_path, above):
    masks = foreign(tmp_path / above)

    facts = import_labels(empty, tmp_path, ImportKind.MVTEC)

    found = {name.split("test/")[1]: value for (product, name), value in told(empty).items()}
    assert {product for product, _ in told(empty)} == {"plate"}
    assert facts.pictures == facts.decided == 4
    assert found["good/000.png"].finding is Finding.GOOD
    assert found["bent lead/000.png"].defect_type == "bent lead"
    assert found["bent lead/000.png"].mask == ((HEIGHT, WIDTH), masks[0].tobytes())
    assert found["bent lead/001.png"].mask == ((HEIGHT, WIDTH), masks[1].tobytes())
    assert found["cut/000.png"].mask is None
    [left] = facts.left_out
    assert left.name.endswith("plate/train/good")
    assert left.reason.startswith("2 pictures to train on")


def test_a_category_alone_is_called_as_its_folder_or_as_asked(empty, tmp_path):
    foreign(tmp_path)
    foreign(tmp_path, "other")
    import_labels(empty, tmp_path / "plate", ImportKind.MVTEC)
    assert {product for product, _ in told(empty)} == {"plate"}
    write_files(tmp_path / "third", {"test/good/0.png": picture(99)})
    import_labels(empty, tmp_path / "third", ImportKind.MVTEC, product="lid")
    assert {product for product, _ in told(empty)} == {"plate", "lid"}


def test_pictures_added_to_an_export_are_read_by_their_folders(full, empty, tmp_path):
    export(full, tmp_path / "out", ExportKind.MVTEC, product=CLIMBER)
    write_files(tmp_path / "out" / "etc" / "test", {"new kind/7.png": picture(77)})

    facts = import_labels(empty, tmp_path / "out", ImportKind.MVTEC)

    assert facts.decided == 5
    assert told(empty)["etc", "etc/test/new kind/7.png"].defect_type == "new kind"


def test_a_wrong_picture_or_mask_does_not_hold_up_the_others(empty, tmp_path):
    files = {
        "plate/test/good/0.png": picture(0),
        "plate/test/good/1.png": b"no picture",
        "plate/test/cut/0.png": picture(1),
        "plate/ground_truth/cut/0_mask.png": png(np.ones((5, 5), np.uint8)),
        "plate/test/cut/1.png": picture(2),
        "plate/ground_truth/cut/1_mask.png": lying_jpeg(),
    }
    facts = import_labels(empty, write_files(tmp_path / "set", files), ImportKind.MVTEC)

    reasons = {left.name: left.reason for left in facts.left_out}
    assert list(reasons) == ["plate/test/cut/0.png", "plate/test/cut/1.png", "plate/test/good/1.png"]
    assert "The mask is 5 × 5 pixels" in reasons["plate/test/cut/0.png"]
    assert "1_mask.png is a JPEG" in reasons["plate/test/cut/1.png"]
    assert facts.pictures == facts.decided == 1


def test_two_sets_that_are_called_the_same_are_not_mixed_up(empty, tmp_path):
    """Names are cut to four parts, so these two would share their masks."""
    for above in ("a", "b"):
        foreign(tmp_path / above)
    facts = import_labels(empty, tmp_path, ImportKind.MVTEC)
    assert facts.decided == 0
    assert all("Several files are called plate/" in left.reason for left in facts.left_out[:-1])


def test_a_damaged_list_is_refused_as_a_whole(full, empty, tmp_path):
    export(full, tmp_path / "out", ExportKind.MVTEC)
    (tmp_path / "out" / "labels.json").write_text('{"pictures": [{"file": 1}]}')
    with pytest.raises(InputError, match=r"pictures\.0\.finding"):
        import_labels(empty, tmp_path / "out", ImportKind.MVTEC)


def test_a_list_cannot_reach_outside_the_folder(empty, tmp_path):
    (tmp_path / "secret.png").write_bytes(picture())
    line = {
        "file": "../secret.png",
        "sha256": "0" * 64,
        "name": "x",
        "product": "plate",
        "finding": "good",
    }
    write_files(tmp_path / "set", {"labels.json": json.dumps({"pictures": [line]})})
    facts = import_labels(empty, tmp_path / "set", ImportKind.MVTEC)
    assert [left.reason for left in facts.left_out] == ["The file secret.png is not there. Send it along."]


def test_a_folder_without_the_layout_is_refused(empty, tmp_path):
    write_files(tmp_path / "set", {"good/0.png": picture()})
    with pytest.raises(InputError, match="no folder test/good"):
        import_labels(empty, tmp_path / "set", ImportKind.MVTEC)
