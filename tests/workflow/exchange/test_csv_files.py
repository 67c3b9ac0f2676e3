"""Labels as CSV: what spreadsheets get to see, and what comes back."""

import csv
import io

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Label, Severity
from mambaad_demo.storage import labels
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.pictures import add_picture, stored_pictures
from mambaad_demo.workflow.exchange.exporting import ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from tests.workflow.exchange.stores import CLIMBER, PARTS, picture, random_mask


def rows(file):
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline="")))


def test_every_labeled_picture_has_a_row(full, tmp_path):
    facts = export(full, tmp_path / "out", ExportKind.CSV)
    table = rows(tmp_path / "out" / "labels.csv")
    assert len(table) == facts.labels == len(PARTS)
    assert [row["finding"] for row in table].count("divided") == 1
    assert table[8]["reviewers"] == "mira; jo"
    assert table[8]["findings"] == "good; defect"


@pytest.mark.parametrize("name", ["labels.csv", "decisions.csv"])
def test_no_cell_begins_a_formula(full, tmp_path, name):
    export(full, tmp_path / "out", ExportKind.CSV)
    cells = [cell for row in rows(tmp_path / "out" / name) for cell in row.values()]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any(cell.startswith("'=cmd") for cell in cells)


def test_every_decision_ever_made_has_a_row(empty, tmp_path):
    image_id = add_picture(empty, picture(), "part.png", "plate")
    for finding in ("good", "defect"):
        labels.decide(empty, image_id, Label(finding=Finding(finding)), reviewer="mira", seconds=1.5)
    labels.undo(empty, reviewer="mira")
    labels.decide(empty, image_id, Label(finding=Finding.UNSURE), reviewer="mira", is_repeat=True)
    labels.decide(empty, image_id, Label(finding=Finding.GOOD), reviewer="jo")

    export(empty, tmp_path / "all", ExportKind.CSV)
    export(empty, tmp_path / "mira", ExportKind.CSV, reviewer="mira")

    table = rows(tmp_path / "all" / "decisions.csv")
    assert [row["finding"] for row in table] == ["good", "defect", "unsure", "good"]
    assert [bool(row["undone_at"]) for row in table] == [False, True, False, False]
    assert [row["is_repeat"] for row in table] == ["False", "False", "True", "False"]
    assert [row["reviewer"] for row in rows(tmp_path / "mira" / "decisions.csv")] == ["mira"] * 3


def test_a_picture_whose_only_decision_was_undone_is_in_the_history_alone(empty, tmp_path):
    for seed, reviewer in enumerate(("mira", "jo")):
        image_id = add_picture(empty, picture(seed), f"{seed}.png", "plate")
        labels.decide(empty, image_id, Label(finding=Finding.GOOD), reviewer=reviewer)
    labels.undo(empty, reviewer="jo")

    export(empty, tmp_path / "out", ExportKind.CSV)

    assert [row["name"] for row in rows(tmp_path / "out" / "labels.csv")] == ["0.png"]
    assert [row["name"] for row in rows(tmp_path / "out" / "decisions.csv")] == ["0.png", "1.png"]


def test_one_product_may_be_exported_alone(full, tmp_path):
    export(full, tmp_path / "out", ExportKind.CSV, product=CLIMBER)
    for name in ("labels.csv", "decisions.csv"):
        assert {row["product"] for row in rows(tmp_path / "out" / name)} == {CLIMBER}


@pytest.mark.parametrize(
    "note", ["=1", "'=1", "''=1", "'", "''", "'tis", "+1", "@a", '"', 'a,"b"\nc;d', "ÿ🚀"]
)
def test_notes_come_back_as_they_were_whatever_they_begin_with(empty, tmp_path, note):
    image_id = add_picture(empty, picture(), "part.png", "plate")
    labels.decide(empty, image_id, Label(finding=Finding.GOOD, note=note), reviewer="mira")
    export(empty, tmp_path / "out", ExportKind.CSV)

    import_labels(empty, tmp_path / "out", ImportKind.CSV)

    assert [(one.reviewer, one.note) for one in labels.history(empty, image_id)] == [
        ("mira", note),
        ("import", note),
    ]


def test_a_file_alone_will_do_and_wrong_rows_are_told_one_by_one(empty, tmp_path):
    image_id = add_picture(empty, picture(), "part.png", "plate")
    [stored] = stored_pictures(empty)
    file = tmp_path / "mine.csv"
    file.write_text(
        "severity,sha256,finding,extra\n"
        f"major,{stored.sha256},defect,x\n"
        f",{stored.sha256},broken,\n"
        f"awful,{stored.sha256},defect,\n"
        f",{'0' * 64},good,\n"
        ",,good,\n"
        f",{stored.sha256}\n"
        f",{stored.sha256},defect,,one too many\n",
        encoding="utf-8",
    )

    facts = import_labels(empty, file, ImportKind.CSV, reviewer="mira")

    reasons = {left.name: left.reason for left in facts.left_out}
    assert list(reasons) == [f"mine.csv row {number}" for number in range(3, 8)]
    assert reasons["mine.csv row 3"].startswith("finding: Input should be 'good'")
    assert reasons["mine.csv row 4"].startswith("severity: ")
    assert "not in the store" in reasons["mine.csv row 5"]
    assert reasons["mine.csv row 6"].startswith("sha256: ")
    assert reasons["mine.csv row 7"].startswith("finding: ")
    assert [(one.finding, one.severity) for one in labels.history(empty, image_id)] == [
        (Finding.DEFECT, Severity.MAJOR),
        (Finding.DEFECT, Severity.UNSTATED),
    ]


def test_words_from_a_table_leave_a_mask_where_it_is(empty, tmp_path):
    image_id = add_picture(empty, picture(), "part.png", "plate")
    mask = mask_png(random_mask())
    labels.decide(
        empty, image_id, Label(finding=Finding.DEFECT, defect_type="dent", mask=mask), reviewer="import"
    )
    export(empty, tmp_path / "out", ExportKind.CSV)
    table = tmp_path / "out" / "labels.csv"

    unchanged = import_labels(empty, table, ImportKind.CSV)
    table.write_bytes(table.read_bytes().replace(b"dent", b"scratch"))
    changed = import_labels(empty, table, ImportKind.CSV)

    first, second = labels.history(empty, image_id)
    assert (unchanged.unchanged, unchanged.decided, changed.decided) == (1, 0, 1)
    assert second.defect_type == "scratch"
    assert second.mask_sha256 == first.mask_sha256 is not None


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'a,"b"c\n', b'sha256,finding\n"open'])
def test_what_is_no_table_is_told(empty, tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    facts = import_labels(empty, tmp_path / "labels.csv", ImportKind.CSV)
    assert facts.decided == 0
    assert [left.name for left in facts.left_out if "no CSV file" in left.reason] == ["labels.csv"]


def test_a_folder_without_a_table_is_refused(empty, tmp_path):
    (tmp_path / "decisions.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=r"no CSV file in it.*labels\.csv"):
        import_labels(empty, tmp_path, ImportKind.CSV)
