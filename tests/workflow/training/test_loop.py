"""The loop of a job's process, run here: what it says, what it leaves, how it ends."""

import errno
import threading
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from mambaad_demo.errors import InputError
from mambaad_demo.workflow.training import loop
from mambaad_demo.workflow.training.events import Failed, Note, Preview, Save, Step, Validated, read_events
from mambaad_demo.workflow.training.layout import ExitStatus, JobFolder, Order, PhotoList, write_whole
from mambaad_demo.workflow.training.loop import DISK_FULL, UNEXPECTED, carry_out
from tests.workflow.training.stand_in_process import LAST, MEETING, StandIn


@pytest.fixture
def folder(tmp_path):
    write_whole(tmp_path / "photos.json", PhotoList(names={"00001.png": "<part> 1.png"}))
    return JobFolder(tmp_path)


@pytest.fixture
def order(tmp_path):
    def new(phase="train"):
        return Order(
            base=tmp_path,
            finetune={},
            version="cookie-1",
            replay=tmp_path,
            device="cpu",
            kernel="torch",
            parent=1,
            phase=phase,
        )

    return new


@pytest.fixture
def stop():
    return threading.Event()


def said(folder, *kinds):
    return [event for event in read_events(folder.events, most_steps=10**6) if isinstance(event, kinds)]


def run(folder, order, engine, stop):
    return carry_out(folder, order, lambda order, folder: engine, stop)


def test_a_run_to_the_end_leaves_a_version_and_a_report(folder, order, stop):
    assert run(folder, order(), StandIn(folder.state), stop) is ExitStatus.DONE
    assert (folder.version / "cookie-1" / "config.json").exists()
    assert folder.read_report() == {"best_step": LAST}
    assert [event.step for event in said(folder, Step)] == list(range(1, LAST + 1))


def test_what_the_engine_finds_worth_knowing_is_a_note(folder, order, stop):
    engine = StandIn(folder.state)
    engine.notices = ["The limits may be too tight: add new photos."]
    run(folder, order(), engine, stop)
    torn, notice = said(folder, Note)
    assert torn.text == "00004.png was left out: The picture is torn."
    assert notice.text == "The limits may be too tight: add new photos."


def test_a_run_that_only_saves_does_not_train(folder, order, stop):
    assert run(folder, order("save"), StandIn(folder.state), stop) is ExitStatus.DONE
    assert said(folder, Step) == []
    assert (folder.version / "cookie-1").is_dir()


def test_fast_steps_are_not_all_written_but_validations_and_the_last_one_are(folder, order, stop):
    engine = StandIn(folder.state, last=1002, seconds_a_step=0.01)
    run(folder, order(), engine, stop)
    steps = [event.step for event in said(folder, Step)]
    assert len(steps) < 300
    assert {*range(5, 1001, 5), 1002} <= set(steps)
    assert [event.step for event in said(folder, Validated)] == list(range(5, 1001, 5))


def test_previews_are_made_now_and_then(folder, order, stop):
    engine = StandIn(folder.state, last=100)  # 100 s of training, validated each 5
    run(folder, order(), engine, stop)
    assert [event.step for event in said(folder, Preview)] == [5, 25, 45, 65, 85]
    assert said(folder, Preview)[0].names == ("<part> 1.png", "unknown.png")
    assert sorted(path.name for path in folder.previews.iterdir()) == ["0.jpg", "1.jpg"]


def test_a_stop_is_seen_after_the_step_and_the_state_is_saved(folder, order, stop):
    engine = StandIn(folder.state, at_meeting=stop.set)
    assert run(folder, order(), engine, stop) is ExitStatus.STOPPED
    assert engine._saved() == {"last": MEETING, "best": 10}
    assert said(folder, Save) == []
    assert not folder.version.exists()


def test_a_stop_is_seen_while_preparing(folder, order, stop):
    stop.set()
    assert run(folder, order(), StandIn(folder.state), stop) is ExitStatus.STOPPED
    assert not folder.state.exists()


def test_a_stop_before_saving_makes_no_version(folder, order, stop):
    engine = StandIn(folder.state, last=MEETING, at_meeting=stop.set)
    assert run(folder, order(), engine, stop) is ExitStatus.STOPPED
    assert not folder.version.exists()


@pytest.mark.parametrize(
    ("error", "ending", "words"),
    [
        (InputError("Use another photo."), ExitStatus.FAILED, "Use another photo."),
        (RuntimeError("secret"), ExitStatus.FAILED, UNEXPECTED),
        (OSError(errno.ENOENT, "secret"), ExitStatus.FAILED, UNEXPECTED),
        (OSError(errno.ENOSPC, "secret"), ExitStatus.DISK_FULL, DISK_FULL),
        (OSError(errno.EDQUOT, "secret"), ExitStatus.DISK_FULL, DISK_FULL),
        (
            SafetensorError("I/O error: No space left on device (os error 28)"),
            ExitStatus.DISK_FULL,
            DISK_FULL,
        ),
    ],
)
def test_what_goes_wrong_is_a_status_and_words_for_its_owner(
    folder, order, stop, error, ending, words, capfd
):
    def fail():
        raise error

    assert run(folder, order(), StandIn(folder.state, at_meeting=fail), stop) is ending
    assert [event.error for event in said(folder, Failed)] == [words]
    assert str(error) in capfd.readouterr().err


def test_an_error_that_came_from_a_full_disk_is_one(folder, order, stop):
    def fail():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise InputError("The state could not be written.") from error

    engine = StandIn(folder.state, at_meeting=fail)
    assert run(folder, order(), engine, stop) is ExitStatus.DISK_FULL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"a": torch.zeros(10**6)}, path),
        lambda path: Path(path).write_text("a" * 10**6),
    ],
    ids=["torch", "python"],
)
def test_whoever_writes_to_a_full_disk_it_is_told_as_one(folder, order, stop, write):
    engine = StandIn(folder.state, at_meeting=lambda: write("/dev/full"))
    assert run(folder, order(), engine, stop) is ExitStatus.DISK_FULL


def test_a_disk_with_no_room_for_a_single_line_still_ends_with_its_status(folder, order, stop, monkeypatch):
    def full(self, event):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.EventLog, "write", full)
    assert run(folder, order(), StandIn(folder.state), stop) is ExitStatus.DISK_FULL


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_whole(path, b"old")
    monkeypatch.setattr(type(path), "write_bytes", lambda self, content: _half(self, content))
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new and long")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _half(path, content):
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
    raise OSError(errno.ENOSPC, "No space left on device")
