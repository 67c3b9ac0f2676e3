"""Out of one store and into another: labels and masks equal to the bit, as far as a format holds them."""

from dataclasses import replace

import pytest

from mambaad_demo.storage.labels import history
from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import fill, open_store, told

HELD = {
    ExportKind.MVTEC: ("good", "defect"),
    ExportKind.COCO: ("good", "defect"),
    ExportKind.FIFTYONE: ("good", "defect"),
    ExportKind.LABEL_STUDIO: ("good", "defect", "unsure"),
}
"""Findings that a format with pictures carries."""

EVERY_KIND = pytest.mark.parametrize("kind", HELD)


@EVERY_KIND
@pytest.mark.parametrize("ending", ["", ".zip"])
def test_labels_and_masks_come_back_to_the_bit(full, empty, tmp_path, kind, ending):
    target = tmp_path / f"out{ending}"
    exported = export(full, target, kind)

    imported = import_labels(empty, target, ImportKind(kind))

    assert told(empty) == told(full, *HELD[kind])
    assert imported.pictures == imported.decided == len(told(empty))
    assert exported.masks == 6


@EVERY_KIND
def test_pictures_come_back_byte_for_byte_unless_they_had_to_be_turned(full, empty, tmp_path, kind):
    export(full, tmp_path / "out", kind)
    import_labels(empty, tmp_path / "out", ImportKind(kind))

    before = {(one.product, one.name): one.sha256 for one in stored_pictures(full)}
    after = {(one.product, one.name): one.sha256 for one in stored_pictures(empty)}
    turned = {key for key, sha256 in after.items() if before[key] != sha256}
    assert {name for _, name in turned} == {"=1+1;a,b.jpg", "CON"}


@EVERY_KIND
def test_importing_twice_changes_nothing(full, empty, tmp_path, kind):
    export(full, tmp_path / "out", kind)
    first = import_labels(empty, tmp_path / "out", ImportKind(kind))
    second = import_labels(empty, tmp_path / "out", ImportKind(kind))

    assert (second.pictures, second.decided, second.unchanged) == (0, 0, first.decided)
    assert {len(history(empty, picture.id)) for picture in stored_pictures(empty)} == {1}


@EVERY_KIND
def test_an_export_fits_the_store_it_came_from(tmp_path, kind):
    """Also where pictures had to be turned: they are known by what they were."""
    with open_store(tmp_path / "store") as workspace:
        fill(workspace)
        before = told(workspace)
        export(workspace, tmp_path / "out", kind)

        facts = import_labels(workspace, tmp_path / "out", ImportKind(kind))

        assert facts.pictures == 0
        assert facts.decided == len(told(workspace, *HELD[kind]))
        assert told(workspace) == before


def test_csv_brings_back_words_but_no_masks(full, empty, tmp_path):
    fill(empty, with_labels=False)
    export(full, tmp_path / "out", ExportKind.CSV)

    facts = import_labels(empty, tmp_path / "out", ImportKind.CSV)

    expected = told(full, "good", "defect", "unsure")
    assert told(empty) == {key: replace(value, mask=None) for key, value in expected.items()}
    assert (facts.decided, facts.pictures) == (len(expected), 0)
