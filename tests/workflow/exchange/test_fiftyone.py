"""The folder for FiftyOne, by the rules of its three readers.

The importers of fiftyone 1.22.1 (`COCODetectionDatasetImporter`, `ImageSegmentationDirectoryImporter`,
`CSVDatasetImporter`) read such an export once, all masks equal to the bit.
"""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.workflow.exchange.exporting import ExportKind, export


@pytest.fixture
def out(full, tmp_path):
    """The folder of an export."""
    export(full, tmp_path / "out", ExportKind.FIFTYONE)
    return tmp_path / "out"


@pytest.fixture
def names(out):
    """SHA-256 of the original picture by the name of the exported file."""
    document = json.loads((out / "labels.json").read_text(encoding="utf-8"))
    return {image["file_name"]: image["sha256"] for image in document["images"]}


def test_every_way_speaks_of_the_same_pictures(out, names):
    rows = list(csv.DictReader(io.StringIO((out / "labels.csv").read_text(encoding="utf-8"), newline="")))
    assert {file.name for file in (out / "data").iterdir()} == set(names)
    assert {row["filepath"] for row in rows} == set(names)
    assert {file.stem for file in (out / "labels").iterdir()} <= {name.rpartition(".")[0] for name in names}


def test_masks_are_8_bit_gray_and_black_for_good_parts(full, out, names):
    stored = {image.sha256: image for image in labeled_images(full)}
    for name, sha256 in names.items():
        file = out / "labels" / f"{name.rpartition('.')[0]}.png"
        image = stored[sha256]
        if image.finding == "defect" and image.mask_sha256 is None:
            assert not file.exists()
            continue
        expected = np.zeros((image.height, image.width), dtype=bool)
        if image.mask_sha256 is not None:
            expected = mask_of(full.files.read(FileKind.MASK, image.mask_sha256))
        with Image.open(file) as mask:
            assert mask.mode == "L"
            assert np.array_equal(np.asarray(mask), expected * np.uint8(255))


def test_defects_without_a_mask_are_told(full, tmp_path):
    facts = export(full, tmp_path / "out", ExportKind.FIFTYONE)
    assert facts.notes == ("Defects without a mask: 2. Only labels.csv says what they are.",)
