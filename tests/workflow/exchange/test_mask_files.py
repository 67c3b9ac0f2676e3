"""Masks alone, for pictures that are here."""

import numpy as np
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, Severity
from mambaad_demo.storage import labels
from mambaad_demo.storage.pictures import add_picture
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import (
    HEIGHT,
    WIDTH,
    lying_jpeg,
    picture,
    png,
    random_mask,
    told,
    write_files,
)

MASK = random_mask()


def mask_file(mask=MASK):
    return png(mask.astype(np.uint8) * 255)


def read(workspace, tmp_path, files, product="plate"):
    return import_labels(workspace, write_files(tmp_path / "set", files), ImportKind.MASKS, product=product)


@pytest.mark.parametrize("name", ["part 1.png", "part 1_mask.png", "deep/er/part 1_mask.tiff"])
def test_a_mask_goes_to_the_picture_of_its_name(empty, tmp_path, name):
    add_picture(empty, picture(0), "line 2\\part 1.JPG", "plate")
    add_picture(empty, picture(1), "part 2.jpg", "plate")
    add_picture(empty, picture(2), "part 1.jpg", "other")

    facts = read(empty, tmp_path, {name: mask_file()})

    assert facts.decided == 1
    assert {key: value.mask for key, value in told(empty).items()} == {
        ("plate", "line 2\\part 1.JPG"): ((HEIGHT, WIDTH), MASK.tobytes())
    }


def test_a_mask_fits_the_upright_picture(empty, tmp_path):
    add_picture(empty, lying_jpeg(), "a.jpg", "plate")
    facts = read(empty, tmp_path, {"a.png": mask_file(), "b/a.png": mask_file(np.rot90(MASK))})
    assert facts.decided == 1
    assert told(empty)["plate", "a.jpg"].mask == ((HEIGHT, WIDTH), MASK.tobytes())
    assert "60 × 44 of kind 1 are needed" in facts.left_out[0].reason


def test_what_is_known_of_the_defect_stays(empty, tmp_path):
    image_id = add_picture(empty, picture(), "a.png", "plate")
    known = Label(finding=Finding.DEFECT, defect_type="dent", severity=Severity.MINOR, note="left\nedge")
    labels.decide(empty, image_id, known, reviewer="mira")

    read(empty, tmp_path, {"a_mask.png": mask_file()})
    again = read(empty, tmp_path, {"a_mask.png": mask_file()})

    found = told(empty)["plate", "a.png"]
    assert (found.defect_type, found.severity, found.note) == ("dent", Severity.MINOR, "left\nedge")
    assert found.mask is not None
    assert (again.unchanged, again.decided) == (1, 0)


def test_where_two_pictures_share_a_name_their_folders_decide(empty, tmp_path):
    for seed, folder in enumerate(("bent", "cut")):
        add_picture(empty, picture(seed), f"{folder}/000.png", "plate")
    masks = {folder: random_mask(seed=seed) for seed, folder in enumerate(("bent", "cut"))}

    files = {f"{folder}/000_mask.png": mask_file(mask) for folder, mask in masks.items()}
    facts = read(empty, tmp_path, files | {"000_mask.png": mask_file()})

    assert [left.reason for left in facts.left_out] == [
        "2 pictures are called 000. Rename, or send them apart."
    ]
    for folder, mask in masks.items():
        assert told(empty)["plate", f"{folder}/000.png"].mask == ((HEIGHT, WIDTH), mask.tobytes())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"b_mask.png": mask_file()}, "No picture of this product is called b."),
        ({"a.png": mask_file(np.zeros_like(MASK))}, "black and marks nothing"),
        ({"a.png": mask_file(MASK[1:])}, "The mask is 60 × 43 pixels"),
        ({"a.png": b"no picture"}, "is of a kind we do not know"),
        ({"a.jpg": lying_jpeg()}, "is a JPEG"),
        ({"a.png": picture()}, "This is the picture itself"),
    ],
)
def test_a_wrong_mask_is_told_and_the_others_are_read(empty, tmp_path, files, words):
    for seed, name in enumerate(("a.png", "z.png")):
        add_picture(empty, picture(seed), name, "plate")
    facts = read(empty, tmp_path, files | {"z.png": mask_file()})
    assert facts.decided == 1
    [left] = facts.left_out
    assert words in left.reason


def test_a_product_has_to_be_given(empty, tmp_path):
    with pytest.raises(InputError, match="whose masks"):
        read(empty, tmp_path, {"a.png": mask_file()}, product=None)


def test_a_folder_without_masks_is_refused(empty, tmp_path):
    with pytest.raises(InputError, match="no masks in it"):
        read(empty, tmp_path, {"a.txt": b"x"})
