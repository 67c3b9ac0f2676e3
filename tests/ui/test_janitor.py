"""What is deleted when, by a clock that the test holds."""

import os
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.storage import jobs
from mambaad_demo.ui.janitor import Chore, Janitor, chores, delete_stale_temporary, kept_files
from tests.ui.desks import desk_in

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
LONGEST = 30  # seconds
MIRA = SimpleNamespace(session_hash="mira")


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    """By the clock of these tests everything in the system's own has long been stale."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def desk(request, tmp_path):
    desk = desk_in(tmp_path, is_private=request.param == "strangers")
    yield desk
    desk.close()


def aged(path, minutes, *, content=b"x"):
    """A file, or a folder where there is no content, last touched so long before `NOW`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)
    then = (NOW - timedelta(minutes=minutes)).timestamp()
    os.utime(path, (then, then))
    return path


def clean(desk, uploads, *, at=NOW, kept=()):
    Janitor(chores(desk, uploads=uploads, kept=lambda: kept), clock=lambda: at).round()


@pytest.mark.parametrize("desk", ["colleagues", "strangers"], indirect=True)
def test_uploads_go_when_they_are_past_their_time_and_the_page_keeps_its_own(desk, tmp_path):
    uploads = tmp_path / "uploads"
    old, new = aged(uploads / "a" / "old.png", 61), aged(uploads / "b" / "new.png", 59)
    own = aged(uploads / "c" / "own.png", 600)

    clean(desk, uploads, kept={str(own)})

    assert (old.exists(), new.exists(), own.exists()) == (False, True, True)


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_folders_that_were_left_empty_go_too(desk, tmp_path):
    empty = aged(tmp_path / "uploads" / "a", 61, content=None)

    clean(desk, tmp_path / "uploads")

    assert not empty.exists()
    assert (tmp_path / "uploads").is_dir()


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_a_folder_that_holds_other_files_too_is_left_alone(desk, tmp_path):
    old = aged(tmp_path / "theirs" / "old.png", 600)

    clean(desk, None)

    assert old.exists()


@pytest.mark.parametrize(
    ("desk", "minutes", "left"), [("strangers", 59, 1), ("strangers", 61, 0)], indirect=["desk"]
)
def test_the_work_of_strangers_goes_when_they_were_told_although_nobody_asks(desk, minutes, left):
    workspace = desk.workspace(MIRA)
    job_id = jobs.create_job(workspace, kind=jobs.BATCH, name="b", spec={}, actor="somebody")
    jobs.set_state(workspace, job_id, jobs.JobState.DONE)
    begun = jobs.job(workspace, job_id).created_at

    clean(desk, None, at=begun + timedelta(minutes=minutes))

    assert len(jobs.jobs(workspace)) == left


@pytest.mark.parametrize("desk", ["colleagues"], indirect=True)
def test_what_colleagues_share_is_kept(desk, tmp_path):
    job_id = jobs.create_job(desk.workspace(MIRA), kind=jobs.BATCH, name="b", spec={}, actor="somebody")
    stray = aged(tmp_path / "batches" / "gone" / "a.png", 10_000)

    clean(desk, None, at=NOW + timedelta(days=400))

    assert [job.id for job in jobs.jobs(desk.workspace(MIRA))] == [job_id]
    assert stray.exists()


@pytest.mark.parametrize("desk", ["strangers"], indirect=True)
def test_files_of_batches_that_the_store_does_not_know_go_and_others_stay(desk, tmp_path):
    job_id = jobs.create_job(desk.workspace(MIRA), kind=jobs.BATCH, name="b", spec={}, actor="somebody")
    known = aged(tmp_path / "batches" / job_id / "00000" / "a.png", 1)
    stray = aged(tmp_path / "batches" / "gone" / "00000" / "a.png", 1)

    clean(desk, None, at=jobs.job(desk.workspace(MIRA), job_id).created_at)

    assert (known.exists(), stray.exists()) == (True, False)


def test_temporary_folders_of_ours_go_after_a_day_and_those_of_others_never(tmp_path):
    ours, fresh, theirs = (
        aged(tmp_path / name, minutes, content=None)
        for name, minutes in (("mambaad-report-x", 1441), ("mambaad-report-y", 1439), ("report-z", 9999))
    )

    assert delete_stale_temporary(NOW, folder=tmp_path) == 1
    assert (ours.exists(), fresh.exists(), theirs.exists()) == (False, True, True)


def test_a_chore_that_fails_is_told_and_the_next_one_is_done(caplog):
    done = []

    def fail(at):
        raise OSError("no disk")

    Janitor([Chore("a", fail), Chore("b", done.append)], clock=lambda: NOW).round()

    assert done == [NOW]
    assert "Cleaning failed: a" in caplog.text


def test_rounds_go_on_until_it_is_closed():
    rounds, twice = [], threading.Event()

    def count(at):
        rounds.append(at)
        if len(rounds) == 2:
            twice.set()

    janitor = Janitor([Chore("a", count)], every=timedelta(milliseconds=1), clock=lambda: NOW)
    janitor.start()
    assert twice.wait(LONGEST)
    janitor.close()
    before = len(rounds)

    janitor.round()

    assert len(rounds) == before


def test_what_components_show_from_the_beginning_is_known(tmp_path):
    picture = tmp_path / "a.txt"
    picture.write_text("x")
    with gr.Blocks(analytics_enabled=False) as app:
        file = gr.File(str(picture))

    assert kept_files(app) == file.keep_in_cache
    assert kept_files(app)
