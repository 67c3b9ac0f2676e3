"""`batch` on the command line: what it prints, writes and stores, and what a killed one leaves behind."""

import csv
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import mambaad_demo
from mambaad_demo.__main__ import app
from mambaad_demo.cli import store
from mambaad_demo.cli.store import TICKET, open_store
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import jobs
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.jobs import JobState

runner = CliRunner()

KILLED = """
import os, signal, sys
from mambaad_demo.__main__ import app
from mambaad_demo.storage import jobs

confirm, add, added = jobs.add_items, jobs.add_inspection, []

def telling(workspace, job_id, items, **options):
    confirm(workspace, job_id, items, **options)
    for _, item in items:
        print(item.name, flush=True)

def deadly(*arguments, **options):
    added.append(1)
    if len(added) == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(*arguments, **options)

jobs.add_items, jobs.add_inspection = telling, deadly
app(sys.argv[1:])
"""
"""The program, which prints what it has confirmed, until it is at the 13th picture: amid a transaction."""


@pytest.fixture
def photos(tmp_path, make_image):
    """A folder with two readable pictures, one in a sub-folder, and one that only looks like one."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(make_image(seed=1)).save(folder / "a.png")
    Image.fromarray(make_image(seed=2, width=70, defect=(10, 20, 30))).save(folder / "more" / "b.jpg")
    (folder / "fake.png").write_bytes(b"PK\x03\x04 a zip, really")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture
def twenty(tmp_path, make_image):
    """A folder with twenty small pictures."""
    folder = tmp_path / "twenty"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(make_image(32, 24, seed=number)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def call(loaded, tiny_checkpoint, tmp_path, monkeypatch):
    """Call the program with the tiny checkpoint as the only one; the folders it sees are the test's own."""
    real = store.predictor_of
    for name, value in {
        "MAMBAAD_CHECKPOINTS": str(tiny_checkpoint.parent),
        "MAMBAAD_HOME": str(tmp_path / "home"),
        "MAMBAAD_KERNEL": "torch",
        "MAMBAAD_DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("MAMBAAD_DATABASE_URL", "MAMBAAD_FILES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        store, "predictor_of", lambda name, device: loaded if name == "tiny" else real(name, device)
    )
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def loaded(_saved_tiny_checkpoint):
    """The tiny checkpoint, loaded once: that takes longest."""
    return Predictor.from_checkpoint(_saved_tiny_checkpoint, device="cpu", kernel="torch")


@pytest.fixture
def asked(monkeypatch):
    """How many pictures each turn of the real predictor took."""
    turns, judge = [], Predictor.predict_batch

    def counting(self, images, **options):
        contents = list(images)
        turns.append(len(contents))
        return judge(self, contents, **options)

    monkeypatch.setattr(Predictor, "predict_batch", counting)
    return turns


def tiny(*arguments):
    return (*arguments, "--checkpoint", "tiny")


def stored():
    """The newest batch and its items."""
    workspace = open_store()
    try:
        job = jobs.jobs(workspace)[0]
        return job, jobs.items(workspace, job.id), len(inspections(workspace))
    finally:
        workspace.database.close()


def test_a_batch_says_in_one_line_what_came_out_and_exits_with_three_where_some_were_refused(
    call, photos, tmp_path
):
    result = call("batch", *tiny(photos, "--out", tmp_path / "out"))

    assert result.exit_code == 3
    (line,) = result.stdout.splitlines()
    assert line.startswith("3 pictures: ")
    assert line.endswith(", 1 refused")
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["a.png", "fake.png", "more/b.jpg"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    for entry in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines():
        sha256, name = entry.split("  ")
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == sha256


def test_a_batch_agrees_with_inspect_to_the_last_digit_that_is_printed(call, photos, tmp_path):
    batch = json.loads(call("batch", *tiny(photos / "a.png", "--out", tmp_path / "out", "--json")).stdout)
    (alone,) = json.loads(call("inspect", *tiny(photos / "a.png", "--json")).stdout)
    (row,) = batch
    assert row["score"] == alone["image_score"]
    assert (row["verdict"], row["category"], row["sha256"]) == (
        alone["verdict"],
        alone["category"],
        alone["sha256"],
    )
    assert (row["check_limit"], row["reject_limit"]) == (alone["limits"]["check"], alone["limits"]["reject"])


def test_json_is_all_that_is_printed(call, photos, tmp_path):
    result = call("batch", *tiny(photos, "--out", tmp_path / "out", "--json", "--category", "plate"))
    rows = json.loads(result.stdout)
    assert [("error" in row) for row in rows] == [False, True, False]
    assert (rows[0]["category"], rows[0]["category_source"]) == ("plate", "given")


def test_a_batch_of_readable_pictures_exits_with_zero_and_is_stored(call, twenty, tmp_path):
    result = call("batch", *tiny(twenty, "--out", tmp_path / "out", "--product", "pinion"))
    assert result.exit_code == 0
    job, items, count = stored()
    assert (job.state, job.done, job.name, count) == (JobState.DONE, 20, "twenty", 20)
    assert {item.inspection.product for item in items} == {"pinion"}
    assert (tmp_path / "home" / "mambaad.db").exists()


def test_files_folders_and_zips_can_stand_together(call, photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(photos / "a.png", "x/c.png")
    result = call(
        "batch", *tiny(photos, tmp_path / "more.zip", photos / "a.png", "--out", tmp_path / "out", "--json")
    )
    files = [row["file"] for row in json.loads(result.stdout)]
    assert files == ["photos/a.png", "photos/fake.png", "photos/more/b.jpg", "more/x/c.png", "a.png"]
    assert stored()[0].name == "3 inputs"


def test_a_finished_batch_is_not_repeated_and_its_pack_is_written_again(call, photos, tmp_path, asked):
    call("batch", *tiny(photos, "--out", tmp_path / "out"))
    (tmp_path / "out" / "results.csv").unlink()
    before = len(asked)
    again = call("batch", *tiny(photos, "--out", tmp_path / "out", "--resume"))
    assert (again.exit_code, len(asked)) == (3, before)
    assert (tmp_path / "out" / "results.csv").exists()
    assert stored()[2] == 2


def test_a_batch_is_resumed_with_its_own_inputs_only(call, photos, twenty, tmp_path, asked):
    out = tmp_path / "out"
    call("batch", *tiny(photos, "--out", out))
    before = len(asked)
    for inputs in ([twenty], [photos, twenty], [photos / "a.png"]):
        result = call("batch", *tiny(*inputs, "--out", out, "--resume"))
        assert result.exit_code == 2
        assert "It began with 'photos'. Give the same INPUT" in " ".join(result.stderr.split())
        assert str(tmp_path) not in result.stderr
    assert (len(asked), stored()[2]) == (before, 2)


def test_a_folder_of_the_same_name_with_other_pictures_is_not_taken_for_the_batch(call, photos, tmp_path):
    out = tmp_path / "out"
    call("batch", *tiny(photos, "--out", out))
    (photos / "a.png").rename(photos / "other.png")
    assert call("batch", *tiny(photos, "--out", out, "--resume")).exit_code == 2


def test_a_folder_may_have_grown_since(call, photos, tmp_path, make_image):
    out = tmp_path / "out"
    call("batch", *tiny(photos, "--out", out))
    Image.fromarray(make_image(seed=5)).save(photos / "new.png")
    assert call("batch", *tiny(photos, "--out", out, "--resume")).exit_code == 3
    assert [item.name for item in stored()[1] if item.name == "new.png"] == ["new.png"]


def test_folders_that_are_no_labels_are_refused_before_anything_is_judged(call, photos, tmp_path, asked):
    result = call("batch", *tiny(photos, "--labels", "--out", tmp_path / "out"))
    assert (result.exit_code, asked) == (2, [])
    assert "test/good" in result.stderr
    assert not (tmp_path / "out" / TICKET).exists()


def test_a_folder_that_holds_a_batch_takes_no_second_one(call, photos, tmp_path):
    call("batch", *tiny(photos, "--out", tmp_path / "out"))
    second = call("batch", *tiny(photos, "--out", tmp_path / "out"))
    assert second.exit_code == 2
    assert "--resume" in second.stderr
    assert second.stdout == ""
    assert stored()[2] == 2


@pytest.mark.parametrize(
    "ticket", [None, "[]", '{"job": "00"}', "\xff"], ids=["none", "no ticket", "unknown", "no text"]
)
def test_what_is_no_batch_cannot_be_resumed(call, photos, tmp_path, ticket):
    out = tmp_path / "out"
    out.mkdir()
    if ticket is not None:
        (out / TICKET).write_bytes(ticket.encode("latin-1"))
    result = call("batch", *tiny(photos, "--out", out, "--resume"))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert str(tmp_path) not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nowhere.png",),
        ("a.png", "--category", "bottle"),
        ("a.png", "--checkpoint", "unheard-of"),
        ("a.png", "--tiles", "99"),
        ("a.png", "--device", "tpu"),
        ("empty",),
    ],
    ids=["nothing", "no file", "category", "checkpoint", "tiles", "device", "empty folder"],
)
def test_wrong_usage_exits_with_two_and_leaves_the_folder_free_for_the_next_try(
    call, photos, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(photos)
    (photos / "empty").mkdir()
    wrong = call("batch", "--checkpoint", "tiny", "--out", tmp_path / "out", *arguments)
    assert wrong.exit_code == 2
    assert wrong.stdout == ""
    assert wrong.stderr
    assert not (tmp_path / "out" / TICKET).exists()


def test_a_folder_that_is_a_file_is_wrong_usage(call, photos, tmp_path):
    result = call("batch", *tiny(photos / "a.png", "--out", photos / "notes.txt"))
    assert result.exit_code == 2
    assert (photos / "notes.txt").read_text() == "not looked at"


def test_a_store_that_cannot_be_opened_is_told_without_its_password(call, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMBAAD_DATABASE_URL", "mysql://user:hunter2@127.0.0.1/parts")
    result = call("batch", *tiny(photos, "--out", tmp_path / "out"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "hunter2" not in result.output


def test_results_inside_the_folder_of_the_pictures_are_not_taken_for_pictures(call, twenty, asked):
    first = call("batch", *tiny(twenty, "--out", twenty / "results"))
    again = call("batch", *tiny(twenty, "--out", twenty / "results", "--resume"))
    assert sum(asked) <= 20
    assert first.exit_code == again.exit_code  # 0 or, where such a folder is refused, 2


def killed(*arguments):
    """Run the program in a process of its own that is killed; returns the names it confirmed."""
    root = str(Path(mambaad_demo.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -9, done.stderr
    return done.stdout.splitlines()


def test_a_killed_batch_loses_nothing_that_was_confirmed_and_repeats_nothing(call, twenty, tmp_path, asked):
    names = [f"{number:02d}.png" for number in range(20)]
    printed = killed("batch", *tiny(twenty, "--out", tmp_path / "out"))
    job, items, inspected = stored()
    assert job.state is JobState.RUNNING  # nobody was left to say otherwise
    assert [item.name for item in items] == printed == names[:8]
    assert inspected == 8
    before = {item.name: item.inspection.id for item in items}

    result = call("batch", *tiny(twenty, "--out", tmp_path / "out", "--resume"))

    assert result.exit_code == 0
    assert sum(asked) == 12
    job, items, inspected = stored()
    assert (job.state, inspected) == (JobState.DONE, 20)
    assert [item.name for item in items] == names
    assert {item.name: item.inspection.id for item in items if item.name in before} == before
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == names
