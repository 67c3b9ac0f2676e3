"""What a page is told of a job, and of its log."""

from dataclasses import replace

import pytest

from mambaad_demo.storage.jobs import JobFacts, JobState
from mambaad_demo.storage.tables import now
from mambaad_demo.workflow.training.events import (
    EventLog,
    Failed,
    Note,
    Prepare,
    Save,
    Step,
    Validated,
)
from mambaad_demo.workflow.training.layout import JobFolder
from mambaad_demo.workflow.training.log_file import tail
from mambaad_demo.workflow.training.status import MOST_POINTS, read_status, saved_step

RUNNING = JobFacts(
    id="0" * 32,
    kind="finetune",
    name="cookies",
    state=JobState.RUNNING,
    spec={"checkpoint": "mambaad", "finetune": {"category": "cookie", "steps": 40}},
    total=None,
    done=0,
    refused=0,
    verdicts={},
    error=None,
    created_at=now(),
    finished_at=None,
)


@pytest.fixture
def folder(tmp_path):
    return JobFolder(tmp_path)


def step(number, loss=1.0):
    return Step(
        step=number, progress=number / 40, loss=loss, learning_rate=0.1, seconds=number, remaining_seconds=9
    )


def validated(number, loss=1.0):
    return Validated(step=number, loss=loss, separation=2.0, is_best=True)


def status(folder, *events, job=RUNNING, position=0):
    for event in events:
        EventLog(folder.events).write(event)
    return read_status(job, folder, position=position, version=None)


@pytest.mark.parametrize(
    ("events", "phase", "what", "progress", "remaining"),
    [
        ((), "preparing", "preparing", None, None),
        ((Prepare(what="starting"),), "preparing", "starting", None, None),
        (
            (Prepare(what="reading photos", done=12, total=31), Note(text="x")),
            "preparing",
            "reading photos 12 of 31",
            None,
            None,
        ),
        ((step(10), validated(10)), "training", "step 10 of 40", 0.25, 9.0),
        ((step(40), Save()), "saving", "making the version", 1.0, None),
        ((step(10), Failed(error="x"), Prepare(what="starting")), "preparing", "starting", 0.25, None),
    ],
    ids=["nothing yet", "starting", "reading", "training", "saving", "resumed"],
)
def test_a_running_job_says_what_it_does(folder, events, phase, what, progress, remaining):
    found = status(folder, *events)
    assert (found.phase, found.what, found.progress, found.remaining_seconds) == (
        phase, what, progress, remaining
    )  # fmt: skip


def test_without_a_number_of_steps_only_those_done_are_told(folder):
    job = replace(RUNNING, spec={"finetune": {"minutes": 5, "steps": None}})
    assert status(folder, step(10), job=job).what == "step 10"


def test_what_a_resumed_run_does_again_replaces_what_was_lost(folder):
    events = [step(n, loss=1) for n in range(1, 8)] + [validated(5), validated(7)]
    again = [Prepare(what="starting"), step(6, loss=2), validated(6, loss=2), step(7, loss=2)]
    found = status(folder, *events, *again)
    assert [(point.step, point.loss) for point in found.steps] == [
        *((n, 1) for n in range(1, 6)), (6, 2), (7, 2)
    ]  # fmt: skip
    assert [(point.step, point.loss) for point in found.validations] == [(5, 1), (6, 2)]


def test_a_long_run_is_shown_by_a_bounded_number_of_points(folder):
    with folder.events.open("w") as file:
        file.writelines(step(n).model_dump_json() + "\n" for n in range(1, 10_001))
    points = status(folder).steps
    assert MOST_POINTS / 2 < len(points) <= MOST_POINTS
    assert points[-1].step == 10_000


def test_a_note_that_is_said_again_is_shown_once(folder):
    assert status(folder, Note(text="a"), Note(text="b"), Note(text="a")).notes == ["a", "b"]


def test_a_failed_job_says_why(folder):
    job = replace(RUNNING, state=JobState.FAILED, error="The disk is full.")
    found = status(folder, step(3), job=job, position=None)
    assert (found.phase, found.what) == ("failed", "The disk is full.")


def test_a_stopped_job_says_where(folder):
    found = status(folder, step(3), job=replace(RUNNING, state=JobState.STOPPED), position=None)
    assert (found.phase, found.what) == ("stopped", "stopped at step 3")


def test_a_killed_job_goes_on_from_its_last_validation_if_that_was_saved(folder):
    status(folder, step(3), validated(3), step(4))
    assert saved_step(folder) is None
    folder.state.write_bytes(b"state")
    assert saved_step(folder) == 3


def test_the_log_shows_its_end_without_places_of_this_machine(folder, tmp_path):
    home = tmp_path / "home of <b>mira</b>"
    folder.log.write_text(
        "first\n" * 5000
        + f'  File "{home}/trainings/x/state.pt", line 3\n'
        + '  File "/usr/lib/python3.11/json/decoder.py", line 355, in decode\n'
        + "loading /data/secret/plan.png and https://example.org/a/b, 3/4 done\n"
    )
    shown = tail(folder.log, [home])
    assert len(shown) <= 16_000
    assert shown.startswith("first\n")
    assert shown.splitlines()[-3:] == [
        '  File "…/trainings/x/state.pt", line 3',
        '  File "…/decoder.py", line 355, in decode',
        "loading …/plan.png and https://example.org/a/b, 3/4 done",
    ]


def test_an_order_of_another_version_of_this_program_is_none(folder):
    folder.order_file.write_text('{"base": "/somewhere", "speed": "warp"}')
    assert folder.order() is None


def test_a_job_that_never_ran_has_no_log(folder):
    assert tail(folder.log, []) == ""
