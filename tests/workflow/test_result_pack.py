"""The result pack of a batch: complete, checkable, and harmless whatever the files were called."""

import csv
import hashlib
import io
import json
import re
import subprocess
import zipfile

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import jobs
from mambaad_demo.version import __version__
from mambaad_demo.workflow import result_pack
from mambaad_demo.workflow.batches import BatchSpec, new_batch, run_batch
from mambaad_demo.workflow.result_pack import COLUMNS, HASHES, overlay_name, write_folder, write_zip
from mambaad_demo.workflow.spreadsheets import unguarded
from tests.workflow.stored import Scorer, inspected, part, parts, pictures, workspace

__all__ = ["workspace"]

HOSTILE = {
    "=cmd|' /C calc'!A0.png": part(0.2, 1),
    "+1.png": part(0.45, 2),
    "-1.png": part(0.9, 3),
    "@SUM(A1).png": part(0.2, 4),
    "'quoted.png": part(0.2, 5),
    "../../etc/passwd.png": part(0.9, 6),
    "..": part(0.2, 7),
    "C:\\win\\con.png": part(0.2, 8),
    'a,b;"c".png': part(0.2, 9),
    "line\nbreak.png": part(0.2, 10),
    "<img src=x onerror=alert(1)>.png": part(0.2, 11),
    "日本 🚀 Größe.png": part(0.9, 12),
    "${7*7}.png": b"no picture",
    "x" * 300 + ".png": part(0.2, 13),
    ".png": part(0.2, 14),
}


def read_folder(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def pack(workspace, tmp_path):
    """Writes the pack of pictures by name and returns its files by name."""

    def write(contents, **how):
        job_id = inspected(workspace, contents, **how)
        write_folder(workspace, job_id, tmp_path / "pack")
        return read_folder(tmp_path / "pack")

    return write


def table(files):
    text = files["results.csv"].decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def strict_json(content):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(content, parse_constant=refuse)


def test_the_folder_and_the_zip_hold_the_same(workspace, tmp_path):
    job_id = inspected(workspace, HOSTILE)
    write_folder(workspace, job_id, tmp_path / "pack")
    write_zip(workspace, job_id, tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        assert archive.testzip() is None
        zipped = {name: archive.read(name) for name in archive.namelist()}
    assert zipped == read_folder(tmp_path / "pack")


def test_every_file_is_checked_by_the_hashes_beside_it(pack, tmp_path):
    files = pack(HOSTILE)
    lines = files.pop(HASHES).decode().splitlines()
    assert {line.partition("  ")[2]: line.partition("  ")[0] for line in lines} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert len(lines) == len(files)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", HASHES], cwd=tmp_path / "pack", capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_table_has_a_row_for_each_picture_refused_ones_included(pack):
    rows = table(pack(parts(2) | {"bad.png": b"no picture"}))
    assert [row["file"] for row in rows] == ["part 000.png", "part 001.png", "bad.png"]
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["verdict"], rows[0]["error"]) == ("accept", "")
    assert rows[2]["error"]
    assert [value for name, value in rows[2].items() if name not in ("file", "error")] == [""] * 20


def test_a_row_says_what_was_found_and_what_it_rests_on(pack):
    (row,) = table(
        pack({"a.png": part(0.9)}, predictor=Scorer(name="newer"), spec=BatchSpec(checkpoint="newer"))
    )
    score = round(0.9 * 255) / 255
    assert float(row["score"]) == pytest.approx(score, abs=1e-6)
    assert float(row["times_reject_limit"]) == pytest.approx(score / 0.5, abs=1e-4)
    assert (row["verdict"], row["check_limit"], row["reject_limit"]) == ("reject", "0.4", "0.5")
    assert (row["width"], row["height"], row["regions"]) == ("32", "24", "1")
    assert row["sha256"] == hashlib.sha256(part(0.9)).hexdigest()
    assert (row["checkpoint"], row["category"], row["category_source"]) == ("newer", "cap", "suggested")
    assert len(row["checkpoint_sha256"]) == len(row["calibration_sha256"]) == 64
    assert row["inspected_at"].endswith("+00:00")


def test_no_cell_of_the_table_starts_a_formula_and_every_name_is_told(pack):
    files = pack(HOSTILE, spec=BatchSpec(checkpoint="scorer", product="=1+1"))
    rows = table(files)
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["product"] for row in rows if row["verdict"]} == {"'=1+1"}
    told = [unguarded(row["file"]) for row in rows]
    assert told == [entry["file"] for entry in strict_json(files["results.json"])]
    assert {"=cmd|' /C calc'!A0.png", "'quoted.png", "日本 🚀 Größe.png", "${7*7}.png"} <= set(told)


def test_names_inside_lead_nowhere_and_are_plain(pack):
    files = pack(HOSTILE)
    overlays = sorted(name for name in files if name.startswith("overlays/"))
    assert len(overlays) == len(HOSTILE) - 1  # one could not be read
    assert all(re.fullmatch(r"overlays/\d{5}-[A-Za-z0-9_-]{1,60}\.jpg", name) for name in overlays)
    assert files.keys() - set(overlays) == {"results.csv", "results.json", "settings.json", HASHES}
    documents = strict_json(files["results.json"])
    assert [entry["overlay"] for entry in documents if "overlay" in entry] == overlays


def test_the_json_says_all_that_the_table_says_and_where_the_regions_are(pack):
    files = pack({"bad.png": part(0.9), "worse.png": b""})
    judged, refused = strict_json(files["results.json"])
    (region,) = judged["regions"]
    assert region.keys() == {"x", "y", "width", "height", "area", "peak", "peak_x", "peak_y"}
    assert judged.keys() == (set(COLUMNS) - {"error"}) | {"timings_ms", "notes", "overlay"}
    assert refused.keys() == {"file", "error"}
    row, _ = table(files)
    assert float(row["score"]) == judged["score"]


def test_a_checkpoint_without_limits_leaves_its_cells_empty(pack):
    files = pack({"a.png": part(0.9)}, predictor=Scorer(limits=Limits()))
    (row,) = table(files)
    assert (row["verdict"], row["check_limit"], row["times_reject_limit"]) == ("check", "", "")
    (judged,) = strict_json(files["results.json"])
    assert judged["reject_limit"] is None


def test_the_settings_say_what_was_asked_and_what_answered(pack):
    spec = BatchSpec(checkpoint="scorer", category="gear", product="pinion", tiles=2)
    files = pack(parts(3) | {"bad.png": b""}, spec=spec, name="monday <b>")
    settings = strict_json(files["settings.json"])
    assert settings["asked_for"] == spec.model_dump()
    assert (settings["pictures"], settings["done"], settings["refused"]) == (4, 4, 1)
    assert (settings["state"], settings["verdicts"], settings["batch"]) == (
        "done",
        {"accept": 3},
        "monday <b>",
    )
    assert settings["version"] == __version__
    assert settings["checkpoint"]["sha256"] == Scorer().checkpoint.sha256
    assert (settings["checkpoint"]["tiles"], settings["checkpoint"]["resize"]) == (2, "letterbox")


def test_overlays_are_the_same_each_time_and_as_large_as_the_preview(workspace, tmp_path):
    job_id = inspected(workspace, {"good.png": part(0.0), "wide.png": part(0.9, width=1500, height=300)})
    for turn in ("first", "second"):
        write_folder(workspace, job_id, tmp_path / turn)
    first = read_folder(tmp_path / "first")
    assert first == read_folder(tmp_path / "second")
    sizes = [Image.open(io.BytesIO(first[name])).size for name in first if name.startswith("overlays/")]
    assert sorted(sizes) == [(32, 24), (1024, 205)]


def test_the_overlay_of_a_rejected_part_is_hot_where_its_peak_is(workspace, tmp_path):
    job_id = inspected(
        workspace, {"a.png": part(0.9, width=160, height=160), "b.png": part(0, width=160, height=160)}
    )
    write_folder(workspace, job_id, tmp_path)
    hot, cold = (
        np.asarray(Image.open(tmp_path / overlay_name(item))).astype(float)
        for item in jobs.items(workspace, job_id)
    )
    peak = np.s_[80:90, 30:40]  # cell (8, 3) of 16 × 16
    assert np.ptp(cold[peak].mean(axis=(0, 1))) < 10  # gray noise
    assert (
        hot[peak].mean(axis=(0, 1))[0] - hot[peak].mean(axis=(0, 1))[2] > 60
    )  # yellow to white of `inferno`


def test_a_batch_that_was_stopped_has_a_pack_of_what_is_done(workspace, tmp_path):
    job_id = new_batch(workspace, BatchSpec(checkpoint="scorer"), name="batch", actor="test")
    steps = run_batch(workspace, job_id, Scorer(), pictures(parts(20)))
    next(steps), next(steps)
    steps.close()
    write_folder(workspace, job_id, tmp_path / "pack")
    files = read_folder(tmp_path / "pack")
    assert len(table(files)) == 8
    settings = strict_json(files["settings.json"])
    assert (settings["state"], settings["pictures"], settings["done"]) == ("stopped", 20, 8)
    assert settings["finished_at"] is None


def test_a_batch_of_nothing_readable_has_a_pack_too(pack):
    settings = strict_json(pack({"a.png": b""})["settings.json"])
    assert settings["checkpoint"] is None


def test_an_earlier_pack_of_the_same_batch_is_replaced(workspace, tmp_path):
    job_id = new_batch(workspace, BatchSpec(checkpoint="scorer"), name="batch", actor="test")
    steps = run_batch(workspace, job_id, Scorer(), pictures(parts(20)))
    next(steps), next(steps)
    steps.close()
    write_folder(workspace, job_id, tmp_path / "pack")
    list(run_batch(workspace, job_id, Scorer(), pictures(parts(20))))
    write_folder(workspace, job_id, tmp_path / "pack")
    files = read_folder(tmp_path / "pack")
    assert len(table(files)) == 20
    assert len(files[HASHES].decode().splitlines()) == len(files) - 1 == 23


def test_a_pack_tells_no_path_of_the_server(pack, tmp_path):
    files = pack(parts(1) | {"bad.png": b""})
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content]


def test_the_pack_of_another_workspace_is_not_written(workspace, tmp_path):
    job_id = inspected(workspace, parts(1))
    with pytest.raises(InputError):
        result_pack.write_folder(workspace.of("stranger"), job_id, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_every_line_of_the_table_is_for_excel_too(pack):
    content = pack(parts(2))["results.csv"]
    assert content.startswith(b"\xef\xbb\xbffile,verdict,")
    assert content.count(b"\r\n") == 3
