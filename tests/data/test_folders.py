"""Folders in MVTec AD layout, well formed and not."""

from pathlib import Path

import pytest

from mambaad_demo.data.folders import find_categories, list_images
from mambaad_demo.errors import FolderLayoutError


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def make_bottle(root: Path) -> Path:
    return make(
        root,
        "train/good/1.png",
        "train/good/10.png",
        "train/good/2.JPG",
        "test/good/0.png",
        "test/crack/0.png",
        "test/crack/1.png",
        "test/stain/0.tif",
        "ground_truth/crack/0_mask.png",
        "ground_truth/crack/1.png",
        "ground_truth/stain/0_mask.png",
    )


def test_category_holds_train_and_test_samples_with_their_masks(tmp_path):
    (bottle,) = find_categories([make_bottle(tmp_path / "bottle")])
    assert bottle.name == "bottle"
    assert bottle.has_masks
    assert [sample.path.name for sample in bottle.train_good] == ["1.png", "2.JPG", "10.png"]
    assert [(sample.defect, sample.path.name) for sample in bottle.test] == [
        ("crack", "0.png"),
        ("crack", "1.png"),
        ("good", "0.png"),
        ("stain", "0.tif"),
    ]
    masks = [sample.mask_path.name if sample.mask_path else None for sample in bottle.test]
    assert masks == ["0_mask.png", "1.png", None, "0_mask.png"]
    assert [sample.is_anomalous for sample in bottle.test] == [True, True, False, True]
    assert {sample.split for sample in bottle.test} == {"test"}
    assert {sample.category for sample in bottle.train_good} == {"bottle"}


def test_root_of_categories_is_read_in_natural_order(tmp_path):
    for name in ("part10", "part2", "part1"):
        make_bottle(tmp_path / name)
    make(tmp_path, "readme.txt", "notes/plan.txt")
    assert [category.name for category in find_categories([tmp_path])] == ["part1", "part2", "part10"]


def test_several_roots_may_be_mixed(tmp_path):
    make_bottle(tmp_path / "set" / "bottle")
    make_bottle(tmp_path / "cable")
    categories = find_categories([tmp_path / "set", tmp_path / "cable"])
    assert [category.name for category in categories] == ["bottle", "cable"]


def test_the_same_folder_given_twice_is_one_category(tmp_path):
    bottle = make_bottle(tmp_path / "bottle")
    assert len(find_categories([tmp_path, bottle])) == 1


def test_categories_are_searched_one_level_down_only(tmp_path):
    make_bottle(tmp_path / "set" / "bottle")
    with pytest.raises(FolderLayoutError, match="no category and holds none"):
        find_categories([tmp_path])


def test_names_choose_categories(tmp_path):
    for name in ("bottle", "cable", "screw"):
        make_bottle(tmp_path / name)
    categories = find_categories([tmp_path], names=["screw", "bottle"])
    assert [category.name for category in categories] == ["bottle", "screw"]


def test_unknown_name_is_refused_with_those_there_are(tmp_path):
    make_bottle(tmp_path / "bottle")
    with pytest.raises(FolderLayoutError, match=r"No category named nut. Found: bottle"):
        find_categories([tmp_path], names=["nut"])


def test_two_categories_of_one_name_are_refused(tmp_path):
    make_bottle(tmp_path / "a" / "bottle")
    make_bottle(tmp_path / "b" / "bottle")
    with pytest.raises(FolderLayoutError, match="'bottle'"):
        find_categories([tmp_path / "a", tmp_path / "b"])


def test_category_without_masks_has_image_labels_only(tmp_path):
    (cell,) = find_categories(
        [make(tmp_path / "cell", "train/good/0.png", "test/bad/0.png", "test/good/1.png")]
    )
    assert not cell.has_masks
    assert [(sample.is_anomalous, sample.mask_path) for sample in cell.test] == [(True, None), (False, None)]


def test_missing_mask_in_a_category_with_masks_is_named(tmp_path):
    make_bottle(tmp_path / "bottle")
    make(tmp_path / "bottle", "test/crack/7.png")
    with pytest.raises(FolderLayoutError, match=r"test/crack/7.png .* ground_truth/crack/7_mask.png"):
        find_categories([tmp_path])


def test_defect_folder_without_any_masks_is_refused_too(tmp_path):
    make_bottle(tmp_path / "bottle")
    make(tmp_path / "bottle", "test/dent/0.png")
    with pytest.raises(FolderLayoutError, match="dent"):
        find_categories([tmp_path])


def test_test_images_alone_make_a_category(tmp_path):
    (category,) = find_categories([make(tmp_path / "part", "test/good/0.png")])
    assert category.train_good == []


def test_empty_category_is_refused(tmp_path):
    (tmp_path / "bottle" / "train" / "good").mkdir(parents=True)
    with pytest.raises(FolderLayoutError, match="'bottle' holds no images"):
        find_categories([tmp_path])


def test_missing_root_is_refused_without_its_path(tmp_path):
    with pytest.raises(FolderLayoutError) as refusal:
        find_categories([tmp_path / "nowhere"])
    assert "'nowhere'" in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_plain_folder_lists_images_in_natural_order_without_hidden_ones(tmp_path):
    make(tmp_path, "b10.png", "b9.webp", "a.BMP", "notes.txt", ".a.png", "more/c.png", ".cache/d.png")
    assert [path.name for path in list_images(tmp_path)] == ["a.BMP", "b9.webp", "b10.png"]


def test_plain_folder_can_be_listed_with_all_below_it(tmp_path):
    make(tmp_path, "b/2.png", "b/10.png", "a.png", ".cache/d.png")
    found = list_images(tmp_path, recursive=True)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.png", "b/2.png", "b/10.png"]


def test_file_is_no_folder(tmp_path):
    with pytest.raises(FolderLayoutError, match=r"no folder 'a.png'"):
        list_images(make(tmp_path, "a.png") / "a.png")


def test_two_categories_of_one_name_do_not_disturb_the_choice_of_a_third(tmp_path):
    for root in ("a", "b"):
        make_bottle(tmp_path / root / "bottle")
    make_bottle(tmp_path / "a" / "cap")
    (cap,) = find_categories([tmp_path / "a", tmp_path / "b"], names=["cap"])
    assert cap.name == "cap"
