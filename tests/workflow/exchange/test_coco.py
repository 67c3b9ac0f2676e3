"""COCO files as pycocotools reads them, and as others write them."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import labels
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.masks import mask_of, mask_png
from mambaad_demo.storage.pictures import add_picture
from mambaad_demo.workflow.exchange.coco_masks import annotation_of
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import (
    CLIMBER,
    FORMULA,
    HEIGHT,
    WIDTH,
    picture,
    random_mask,
    told,
    write_files,
)


@pytest.fixture
def coco(full, tmp_path):
    """An export as pycocotools reads it."""
    export(full, tmp_path / "out", ExportKind.COCO)
    return COCO(tmp_path / "out" / "annotations.json")


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # pycocotools 2.0.11, NumPy 2
def test_pycocotools_reads_every_mask_to_the_bit(coco, full):
    stored = {image.sha256: image for image in labels.labeled_images(full)}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        [image] = coco.loadImgs(annotation["image_id"])
        mask = mask_of(full.files.read(FileKind.MASK, stored[image["sha256"]].mask_sha256))
        assert np.array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        x, y, width, height = (int(value) for value in annotation["bbox"])
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
        assert mask[y].any()
        assert mask[:, x].any()
    assert len(coco.getAnnIds()) == 6


def test_categories_are_the_types_of_defect_of_each_product(coco):
    categories = {(one["supercategory"], one["name"]) for one in coco.loadCats(coco.getCatIds())}
    assert categories == {
        (FORMULA, "Größe <b>"),
        (FORMULA, "=SUM(1)"),
        (FORMULA, "good"),
        (FORMULA, "Good"),
        (FORMULA, "defect"),
        (CLIMBER, "defect"),
    }


def test_only_defects_with_a_mask_are_annotations(coco):
    images = coco.loadImgs(coco.getImgIds())
    annotated = {image["id"] for image in images if coco.getAnnIds(imgIds=image["id"])}
    without = {image["original_name"]: image["finding"] for image in images if image["id"] not in annotated}
    assert without == {
        "part.png": "good",
        "b/PART.PNG": "good",
        "no mask.png": "defect",
        "no type.png": "defect",
    }


def test_picture_files_have_the_size_that_is_written(coco, tmp_path):
    for image in coco.loadImgs(coco.getImgIds()):
        assert (image["width"], image["height"]) == (WIDTH, HEIGHT)
        assert (tmp_path / "out" / "images" / image["file_name"]).is_file()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_masks_of_odd_sizes_and_shapes_survive(empty, tmp_path, share):
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < share
    image_id = add_picture(empty, picture(), "a.png", "plate")
    label = Label(finding=Finding.DEFECT, defect_type="dent", mask=mask_png(mask))
    labels.decide(empty, image_id, label, reviewer="mira")

    export(empty, tmp_path / "out", ExportKind.COCO)
    read = COCO(tmp_path / "out" / "annotations.json")
    import_labels(empty, tmp_path / "out", ImportKind.COCO)

    assert np.array_equal(read.annToMask(read.loadAnns(1)[0]), mask)
    ours, theirs = labels.history(empty, image_id)
    assert theirs.mask_sha256 == ours.mask_sha256


def document(images, annotations=(), categories=({"id": 7, "name": "dent"},), **more):
    return json.dumps({"images": images, "annotations": list(annotations), "categories": categories} | more)


def image(number, name, **more):
    return {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} | more


def test_a_file_of_another_tool_is_read(empty, tmp_path):
    """Two marks on one picture, a box without a mask, one picture without any, and keys of its own."""
    masks = [random_mask(seed=seed) for seed in range(2)]
    annotations = [
        annotation_of(mask) | {"id": number, "image_id": 1, "category_id": 7, "score": 0.5}
        for number, mask in enumerate(masks)
    ]
    annotations.append({"id": 3, "image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4], "segmentation": []})
    images = [image(1, "x/a.png"), image(2, "b.png", license=4), image(3, "/home/me/train/c.png")]
    files = {"train/_annotations.coco.json": document(images, annotations, info=None)}
    files |= {"train/x/a.png": picture(1), "train/b.png": picture(2), "train/c.png": picture(3)}
    write_files(tmp_path / "set", files)

    facts = import_labels(empty, tmp_path / "set", ImportKind.COCO, product="plate")

    found = told(empty)
    assert facts.left_out == ()
    assert found["plate", "x/a.png"].mask == ((HEIGHT, WIDTH), (masks[0] | masks[1]).tobytes())
    assert found["plate", "x/a.png"].defect_type == "dent"
    assert (found["plate", "b.png"].finding, found["plate", "b.png"].mask) == (Finding.DEFECT, None)
    assert found["plate", "/home/me/train/c.png"].finding is Finding.GOOD


def test_a_type_that_another_tool_calls_defect_keeps_its_name(empty, tmp_path):
    mark = annotation_of(random_mask()) | {"id": 1, "image_id": 1, "category_id": 3}
    content = document([image(1, "a.png")], [mark], [{"id": 3, "name": "defect"}])
    write_files(tmp_path / "set", {"labels.json": content, "a.png": picture()})
    import_labels(empty, tmp_path / "set", ImportKind.COCO, product="plate")
    assert told(empty)["plate", "a.png"].defect_type == "defect"


def test_what_another_tool_has_marked_since_counts(full, empty, tmp_path):
    export(full, tmp_path / "out", ExportKind.COCO, product=CLIMBER)
    file = tmp_path / "out" / "annotations.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    good = next(one for one in content["images"] if one["finding"] == "good")
    content["categories"].append({"id": 99, "name": "burr"})
    content["annotations"][0]["category_id"] = 99
    content["annotations"].append(
        annotation_of(random_mask()) | {"id": 50, "image_id": good["id"], "category_id": 99}
    )
    file.write_text(json.dumps(content), encoding="utf-8")

    import_labels(empty, tmp_path / "out", ImportKind.COCO)

    found = told(empty)
    assert found[CLIMBER, "part.png"].finding is Finding.DEFECT
    assert found[CLIMBER, "part.png"].defect_type == "burr"
    assert found[CLIMBER, "{{name}}.webp"].defect_type == "burr"


def test_wrong_pictures_and_marks_are_told_one_by_one(empty, tmp_path):
    images = [
        image(1, "a.png"),
        image(2, "b.png"),
        image(3, "missing.png"),
        image(4, "c.png"),
        image(4, "c.png"),
        {"id": "x", "file_name": "d.png"},
        "nonsense",
    ]
    annotations = [
        {"image_id": 2, "category_id": 7, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "zzzz"}},
        {"image_id": 3, "category_id": 7, "segmentation": [[1, 1, 5, 1, 5, 5]]},
        None,
    ]
    files = {"labels.json": document(images, annotations), "broken.json": "{"}
    files |= {f"{name}.png": picture(seed) for seed, name in enumerate("abcd")}
    write_files(tmp_path / "set", files)

    facts = import_labels(empty, tmp_path / "set", ImportKind.COCO, product="plate")

    reasons = [(left.name, left.reason) for left in facts.left_out]
    assert [name for name, _ in reasons] == [
        "broken.json", "b.png", "missing.png", "c.png", "c.png", "d.png", "labels.json picture 7"
    ]  # fmt: skip
    for (_, reason), words in zip(
        reasons,
        ["no JSON", "damaged", "polygons", "have the id 4", "have the id 4", "id:", "valid"],
        strict=True,
    ):
        assert words in reason
    assert facts.decided == facts.pictures == 1


def test_a_mask_of_another_size_is_told_and_the_picture_not_kept(empty, tmp_path):
    mark = annotation_of(np.ones((5, 5), dtype=bool)) | {"id": 1, "image_id": 1, "category_id": 7}
    files = {"labels.json": document([image(1, "a.png")], [mark]), "a.png": picture()}
    write_files(tmp_path / "set", files)
    facts = import_labels(empty, tmp_path / "set", ImportKind.COCO, product="plate")
    assert (facts.pictures, facts.decided) == (0, 0)
    assert "The mask is 5 × 5 pixels" in facts.left_out[0].reason


def test_a_new_picture_needs_a_product(empty, tmp_path):
    write_files(tmp_path / "set", {"labels.json": document([image(1, "a.png")]), "a.png": picture()})
    facts = import_labels(empty, tmp_path / "set", ImportKind.COCO)
    assert [left.reason for left in facts.left_out] == [
        "Nothing says which product this is. Give the product."
    ]


def test_labels_alone_will_do_for_pictures_that_are_here(empty, full, tmp_path):
    export(full, tmp_path / "out", ExportKind.COCO)
    import_labels(empty, tmp_path / "out", ImportKind.COCO)
    facts = import_labels(empty, tmp_path / "out" / "annotations.json", ImportKind.COCO, reviewer="jo")
    turned = {"=1+1;a,b.jpg", "CON"}  # known here by what they have become
    assert facts.decided == 11 - len(turned)
    assert len(facts.left_out) == len(turned)


@pytest.mark.parametrize("content", ["[]", '{"images": 3, "annotations": []}', "nonsense", '{"a": ' * 10_000])
def test_what_is_no_coco_file_is_told(empty, tmp_path, content):
    write_files(tmp_path / "set", {"labels.json": content})
    facts = import_labels(empty, tmp_path / "set", ImportKind.COCO)
    assert [left.name for left in facts.left_out] == ["labels.json"]


def test_a_folder_without_json_is_refused(empty, tmp_path):
    write_files(tmp_path / "set", {"a.png": picture()})
    with pytest.raises(InputError, match="no JSON file"):
        import_labels(empty, tmp_path / "set", ImportKind.COCO)
