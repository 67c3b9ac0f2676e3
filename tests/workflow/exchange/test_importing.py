"""What holds for imports and exports of every kind."""

import zipfile

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import labels
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.pictures import add_picture, stored_pictures
from mambaad_demo.workflow.exchange import importing, sources
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import open_store, picture, write_files

EVERY_KIND = pytest.mark.parametrize("kind", ImportKind)


@pytest.fixture
def one_part(empty):
    """A store with one good part."""
    image_id = add_picture(empty, picture(), "a.png", "plate")
    labels.decide(empty, image_id, Label(finding=Finding.GOOD), reviewer="mira")
    return empty


@pytest.mark.parametrize("kind", ExportKind)
def test_an_empty_store_has_nothing_to_export(empty, tmp_path, kind):
    with pytest.raises(InputError, match="Nothing is labeled yet"):
        export(empty, tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ExportKind)
def test_one_reviewers_word_may_be_exported_alone(empty, tmp_path, kind):
    image_id = add_picture(empty, picture(), "a.png", "plate")
    for reviewer, finding in (("mira", Finding.GOOD), ("jo", Finding.DEFECT)):
        labels.decide(empty, image_id, Label(finding=finding), reviewer=reviewer)

    facts = export(empty, tmp_path / "out", kind, reviewer="jo")
    import_labels(empty, tmp_path / "out", ImportKind(kind))

    assert facts.left_out == ()
    assert [one.finding for one in labels.history(empty, image_id)] == ["good", "defect", "defect"]


@pytest.mark.parametrize("kind", [kind for kind in ExportKind if kind is not ExportKind.CSV])
def test_a_picture_whose_file_is_gone_is_left_out(one_part, tmp_path, kind):
    image_id = add_picture(one_part, picture(1), "b.png", "plate")
    labels.decide(one_part, image_id, Label(finding=Finding.GOOD), reviewer="mira")
    one_part.files.delete(FileKind.PICTURE, stored_pictures(one_part)[0].sha256)

    facts = export(one_part, tmp_path / "out", kind)

    assert (facts.labels, facts.pictures) == (1, 1)
    [left] = facts.left_out
    assert left.name == "a.png"
    assert "Restore it from a backup" in left.reason


@EVERY_KIND
@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"nonsense"])
def test_what_is_no_zip_file_is_refused(empty, tmp_path, kind, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(InputError, match="no zip file"):
        import_labels(empty, tmp_path / "set.zip", kind, product="plate")


@EVERY_KIND
def test_a_missing_file_is_refused_without_its_path(empty, tmp_path, kind):
    with pytest.raises(InputError) as refusal:
        import_labels(empty, tmp_path / "nowhere.zip", kind, product="plate")
    assert str(tmp_path) not in str(refusal.value)


@EVERY_KIND
def test_too_many_files_are_refused(empty, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(sources, "MOST_FILES", 2)
    write_files(tmp_path / "set", dict.fromkeys(("a.png", "b.png", "c.png"), b""))
    with pytest.raises(InputError, match="3 files; send at most 2"):
        import_labels(empty, tmp_path / "set", kind, product="plate")


def test_more_labels_than_anybody_reads_are_left_alone(empty, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MOST_LABELS", 2)
    files = {f"plate/test/good/{number}.png": picture(number) for number in range(3)}
    facts = import_labels(empty, write_files(tmp_path / "set", files), ImportKind.MVTEC)
    assert facts.decided == 2
    assert ["more than 2 labels" in left.reason for left in facts.left_out] == [True]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(ImportKind.CSV, "a.csv"), (ImportKind.COCO, "a.json"), (ImportKind.LABEL_STUDIO, "a.json")],
)
def test_a_text_file_that_is_too_long_is_told(empty, tmp_path, kind, name, monkeypatch):
    monkeypatch.setattr(sources, "MOST_TEXT_BYTES", 100)
    (tmp_path / name).write_bytes(b" " * 101)
    facts = import_labels(empty, tmp_path / name, kind)
    assert ["at most" in left.reason for left in facts.left_out] == [True]


def test_a_damaged_picture_of_a_zip_file_does_not_hold_up_the_others(one_part, tmp_path, empty):
    image_id = add_picture(one_part, picture(1), "b.png", "plate")
    labels.decide(one_part, image_id, Label(finding=Finding.GOOD), reviewer="mira")
    export(one_part, tmp_path / "out.zip", ExportKind.COCO)
    data = bytearray((tmp_path / "out.zip").read_bytes())
    data[data.find(picture(1)) + 200] ^= 0xFF
    (tmp_path / "out.zip").write_bytes(data)
    with open_store(tmp_path / "other") as other:
        facts = import_labels(other, tmp_path / "out.zip", ImportKind.COCO)
        assert facts.pictures == 1
        assert [(left.name, left.reason) for left in facts.left_out] == [
            ("b.png", "b.png is damaged in the zip file.")
        ]


def test_names_in_a_zip_file_lead_nowhere(empty, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("../../plate/test/good/0.png", picture())
    facts = import_labels(empty, tmp_path / "set.zip", ImportKind.MVTEC)
    assert facts.decided == 1
    assert [one.name for one in stored_pictures(empty)] == ["plate/test/good/0.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "set.zip"]


def test_other_workspaces_neither_see_nor_touch_the_pictures(one_part, tmp_path):
    export(one_part, tmp_path / "out", ExportKind.COCO)
    stranger = one_part.of("stranger")

    facts = import_labels(stranger, tmp_path / "out", ImportKind.COCO)

    assert facts.pictures == 1
    assert [one.id for one in stored_pictures(stranger)] != [one.id for one in stored_pictures(one_part)]
    assert len(labels.history(one_part, stored_pictures(one_part)[0].id)) == 1


def test_a_label_that_was_undone_is_recorded_anew(one_part, tmp_path):
    export(one_part, tmp_path / "out", ExportKind.COCO)
    import_labels(one_part, tmp_path / "out", ImportKind.COCO)
    labels.undo(one_part, reviewer="import")
    assert import_labels(one_part, tmp_path / "out", ImportKind.COCO).decided == 1


@EVERY_KIND
def test_somebody_has_to_be_the_reviewer(empty, tmp_path, kind):
    with pytest.raises(InputError, match="Say who is reviewing"):
        import_labels(
            empty, write_files(tmp_path / "set", {"a.png": b""}), kind, product="plate", reviewer=" "
        )
