"""The runner: jobs that outlive tab, process and server, in processes that cannot harm the server."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mambaad_demo.errors import (
    InputError,
    StorageError,
    StoreBusyError,
    TooFewImagesError,
    UnknownReleaseError,
)
from mambaad_demo.storage import jobs
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.workflow.batches import BatchSpec, new_batch
from mambaad_demo.workflow.training import photos as photo_intake
from mambaad_demo.workflow.training import runner as runner_module
from mambaad_demo.workflow.training import turn
from mambaad_demo.workflow.training.loop import DISK_FULL, UNEXPECTED
from tests.workflow.training.stand_in_process import LAST, MEETING, VALIDATED_EACH
from tests.workflow.training.stand_ins import LONGEST, photo, spec, start


def state(workspace, job_id):
    return jobs.job(workspace, job_id).state


def version(tmp_path, name):
    return json.loads((tmp_path / "versions" / name / "config.json").read_text())


def saved(tmp_path, job_id):
    return json.loads((tmp_path / "trainings" / job_id / "state.pt").read_text())


def stopped(runner, workspace, meetings, photos):
    """A job that was stopped after its meeting."""
    job_id = start(runner, workspace, photos)
    caller = meetings.next()
    runner.stop(workspace, job_id)
    assert caller.is_gone()
    return job_id


def test_a_training_ends_with_a_version(workspace, running, photos, shelf, tmp_path):
    runner = running()
    job_id = start(runner, workspace, photos())
    runner.wait(job_id)

    status = runner.status(workspace, job_id)
    assert (status.job.state, status.phase, status.version) == (JobState.DONE, "done", "cookie-1")
    assert version(tmp_path, "cookie-1") == {"name": "cookie-1", "best": LAST}
    assert status.report == {"best_step": LAST}
    assert [point.step for point in status.steps] == list(range(1, LAST + 1))
    assert [point.step for point in status.validations] == [5, 10, 15, 20]
    assert (status.progress, status.remaining_seconds, status.position) == (1.0, None, None)
    assert shelf.forgotten == ["cookie-1"]


def test_a_finished_training_leaves_no_photos_and_keeps_what_it_said(workspace, running, photos, tmp_path):
    runner = running()
    sent = photos()
    job_id = start(runner, workspace, sent)
    for path in sent:  # the visitor's own copies may go at any time
        path.unlink()
    runner.wait(job_id)
    assert sorted(path.name for path in (tmp_path / "trainings" / job_id).iterdir()) == [
        "lock", "log.txt", "photos.json", "previews", "progress.jsonl", "report.json", "spec.json"
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "trainings").iterdir()] == [job_id]


def test_versions_of_a_category_are_numbered_and_never_replace_another_checkpoint(
    workspace, running, photos, tmp_path, shelf
):
    shelf.embedded = ("mambaad", "cookie-2")
    runner = running()
    ids = [start(runner, workspace, photos()) for _ in range(2)]
    for job_id in ids:
        runner.wait(job_id)
    assert [runner.status(workspace, job_id).version for job_id in ids] == ["cookie-1", "cookie-3"]
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["cookie-1", "cookie-3"]


def test_a_wished_for_name_is_numbered_where_it_is_taken(workspace, running, photos):
    runner = running()
    ids = [start(runner, workspace, photos(), version="line-4") for _ in range(2)]
    for job_id in ids:
        runner.wait(job_id)
    assert [runner.status(workspace, job_id).version for job_id in ids] == ["line-4", "line-4-1"]


def test_two_runners_that_finish_at_once_make_two_versions(workspace, running, photos, meetings, tmp_path):
    one, other = running("gate"), running("gate")
    first = start(one, workspace, photos())
    caller = meetings.next()
    second = start(other, workspace, photos())
    meetings.next().let_go()
    other.wait(second)
    caller.let_go()
    one.wait(first)
    assert {one.status(workspace, first).version, other.status(workspace, second).version} == {
        "cookie-1", "cookie-2"
    }  # fmt: skip
    assert version(tmp_path, "cookie-2")["name"] == "cookie-2"


def test_trainings_take_turns_in_a_queue_one_can_see(workspace, running, photos, meetings):
    runner = running("gate")
    ids = [start(runner, workspace, photos()) for _ in range(3)]
    caller = meetings.next()

    assert [runner.queue_position(job_id) for job_id in ids] == [0, 1, 2]
    assert [runner.status(workspace, job_id).phase for job_id in ids] == ["training", "waiting", "waiting"]
    assert runner.status(workspace, ids[2]).what == "waiting, 2 before it"
    assert runner.status(workspace, ids[0]).what == f"step {MEETING - 1} of 20"
    assert {job.id for job in runner.trainings(workspace)} == set(ids)

    caller.let_go()
    meetings.next().let_go()
    meetings.next().let_go()
    for job_id in ids:
        runner.wait(job_id)
    assert [runner.status(workspace, job_id).version for job_id in ids] == [
        "cookie-1", "cookie-2", "cookie-3"
    ]  # fmt: skip
    assert [runner.queue_position(job_id) for job_id in ids] == [None] * 3


def test_a_full_queue_takes_no_more(workspace, running, photos, meetings, monkeypatch, tmp_path):
    monkeypatch.setattr(runner_module, "MOST_WAITING", 2)
    runner = running("gate")
    ids = [start(runner, workspace, photos()) for _ in range(2)]
    with pytest.raises(InputError, match="Too many trainings wait"):
        start(runner, workspace, photos())
    assert {job.id for job in runner.trainings(workspace)} == set(ids) == runner.left_over()
    runner.stop(workspace, ids[1])
    meetings.next().let_go()
    runner.wait(ids[0])


def test_a_stopped_process_is_gone_and_its_best_state_is_kept(workspace, running, photos, meetings, tmp_path):
    runner = running("endless")
    job_id = start(runner, workspace, photos())
    caller = meetings.next()

    runner.stop(workspace, job_id)

    assert state(workspace, job_id) is JobState.STOPPED
    assert caller.is_gone()
    kept = saved(tmp_path, job_id)
    assert kept["best"] >= MEETING - MEETING % VALIDATED_EACH
    assert kept["last"] >= MEETING
    assert list((tmp_path / "versions").iterdir()) == []
    status = runner.status(workspace, job_id)
    assert (status.phase, status.version, status.can_finish) == ("stopped", None, True)


def test_a_process_that_does_not_listen_is_killed(workspace, running, photos, meetings, tmp_path):
    runner = running("stuck")
    job_id = start(runner, workspace, photos())
    caller = meetings.next()
    stopping = threading.Thread(target=runner.stop, args=(workspace, job_id))
    stopping.start()
    stopping.join(LONGEST)

    assert not stopping.is_alive()
    assert caller.is_gone()
    assert state(workspace, job_id) is JobState.STOPPED
    assert saved(tmp_path, job_id) == {"last": 10, "best": 10}  # of the last validation


def test_what_a_process_started_goes_with_it(workspace, running, photos, meetings):
    runner = running("family")
    job_id = start(runner, workspace, photos())
    caller = meetings.next()
    runner.stop(workspace, job_id)
    assert caller.is_gone()  # the line is open for as long as anyone holds it


def test_a_stopped_training_goes_on_where_it_was(workspace, running, photos, meetings, tmp_path):
    job_id = stopped(running("endless"), workspace, meetings, photos())
    before = saved(tmp_path, job_id)["last"]
    runner = running("endless")
    runner.resume(workspace, job_id)
    runner.stop(workspace, job_id)
    steps = [point.step for point in runner.status(workspace, job_id).steps]
    assert steps == sorted(set(steps))
    assert saved(tmp_path, job_id)["last"] >= before


def test_a_training_stopped_while_it_waits_never_starts_and_can_be_resumed(
    workspace, running, photos, meetings, tmp_path
):
    runner = running("gate")
    one, other = start(runner, workspace, photos()), start(runner, workspace, photos())
    caller = meetings.next()
    runner.stop(workspace, other)

    assert state(workspace, other) is JobState.STOPPED  # at once, not when its turn comes
    assert not (tmp_path / "trainings" / other / "log.txt").exists()
    caller.let_go()
    runner.wait(one)
    runner.resume(workspace, other)
    meetings.next().let_go()
    runner.wait(other)
    assert state(workspace, other) is JobState.DONE


def test_a_version_can_be_made_of_what_a_stopped_training_learned(
    workspace, running, photos, meetings, tmp_path
):
    job_id = stopped(running("endless"), workspace, meetings, photos())
    best, runner = saved(tmp_path, job_id)["best"], running("crash")  # it would crash if it trained
    runner.finish(workspace, job_id)
    runner.wait(job_id)
    assert runner.status(workspace, job_id).version == "cookie-1"
    assert version(tmp_path, "cookie-1")["best"] == best


def test_nothing_is_made_of_a_training_that_learned_nothing(workspace, running, photos, meetings):
    runner = running("gate")
    one, other = start(runner, workspace, photos()), start(runner, workspace, photos())
    runner.stop(workspace, other)
    assert not runner.status(workspace, other).can_finish
    with pytest.raises(InputError, match="before anything was saved"):
        runner.finish(workspace, other)
    meetings.next().let_go()
    runner.wait(one)


def test_only_what_ended_early_can_be_resumed_or_finished(workspace, running, photos, meetings):
    runner = running("gate")
    job_id = start(runner, workspace, photos())
    caller = meetings.next()
    for again in (runner.resume, runner.finish):
        with pytest.raises(InputError, match="running"):
            again(workspace, job_id)
    caller.let_go()
    runner.wait(job_id)
    for again in (runner.resume, runner.finish):
        with pytest.raises(InputError, match="done"):
            again(workspace, job_id)


def test_of_two_that_resume_at_once_the_second_finds_it_waiting(workspace, running, photos, meetings):
    job_id = stopped(running("endless"), workspace, meetings, photos())
    runner, said = running("quick"), []

    def resume():
        try:
            said.append(runner.resume(workspace, job_id))
        except InputError as error:
            said.append(error)

    both = [threading.Thread(target=resume) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(LONGEST)
    runner.wait(job_id)
    assert sorted(type(answer).__name__ for answer in said) == ["InputError", "NoneType"]
    assert state(workspace, job_id) is JobState.DONE


def test_a_killed_process_fails_its_training_in_words_and_it_can_be_resumed(
    workspace, running, photos, meetings
):
    runner = running("stuck")
    job_id = start(runner, workspace, photos())
    os.kill(meetings.next().pid, signal.SIGKILL)
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert facts.state is JobState.FAILED
    assert facts.error == (
        "Its process was ended by signal 9: the machine may have run out of memory. "
        "Resume goes on from step 10; close other programs first. A training with fewer photos or fewer "
        "variations of them, or from the command line with a smaller `--batch-size`, needs less memory."
    )
    assert runner.status(workspace, job_id).what == facts.error

    after = running("quick")
    after.resume(workspace, job_id)
    after.wait(job_id)
    status = after.status(workspace, job_id)
    assert (status.job.state, status.version) == (JobState.DONE, "cookie-1")
    assert [point.step for point in status.steps] == list(range(1, LAST + 1))


def test_a_process_that_others_end_politely_is_interrupted(workspace, running, photos, meetings):
    runner = running("endless")
    job_id = start(runner, workspace, photos())
    os.kill(meetings.next().pid, signal.SIGTERM)
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.INTERRUPTED


def test_a_crash_is_told_without_secrets_and_the_next_training_runs(
    workspace, running, photos, tmp_path, caplog
):
    job_id = start(runner := running("crash"), workspace, photos())
    runner.wait(job_id)

    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.error) == (JobState.FAILED, UNEXPECTED)
    shown = runner.log_tail(workspace, job_id)
    assert "RuntimeError: a secret in …/somewhere" in shown
    assert str(tmp_path) in (tmp_path / "trainings" / job_id / "log.txt").read_text()
    assert str(tmp_path) not in shown
    assert str(Path(__file__).parents[3]) not in shown

    runner = running("quick")
    other = start(runner, workspace, photos())
    runner.wait(other)
    assert state(workspace, other) is JobState.DONE


def test_errors_of_ours_are_told_as_they_are(workspace, running, photos):
    job_id = start(runner := running("diverge"), workspace, photos())
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert facts.state is JobState.FAILED
    assert "smaller `--learning-rate`" in facts.error


def test_a_full_disk_fails_the_training_and_what_was_saved_stays(workspace, running, photos, tmp_path):
    job_id = start(runner := running("full"), workspace, photos())
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.error) == (JobState.FAILED, DISK_FULL)
    assert saved(tmp_path, job_id)["best"] == 10

    after = running("quick")
    after.resume(workspace, job_id)
    after.wait(job_id)
    assert state(workspace, job_id) is JobState.DONE


def test_a_disk_too_full_for_the_order_fails_the_training_and_frees_its_name(
    workspace, running, photos, monkeypatch, caplog, tmp_path
):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(turn, "write_whole", full)
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.error) == (JobState.FAILED, DISK_FULL)
    assert list((tmp_path / "versions").iterdir()) == []


def test_a_process_that_cannot_be_started_fails_its_training(workspace, running, photos, caplog):
    job_id = start(runner := running(command=("/no/such/python",)), workspace, photos())
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert facts.state is JobState.FAILED
    assert "/no/such" not in facts.error
    assert "/no/such" in caplog.text


def test_a_process_that_ends_without_a_word_fails_its_training(workspace, running, photos):
    command = (sys.executable, "-c", "import sys; sys.exit('no torch here')")
    job_id = start(runner := running(command=command), workspace, photos())
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.error) == (JobState.FAILED, UNEXPECTED)
    assert runner.log_tail(workspace, job_id).strip() == "no torch here"


def test_a_version_that_cannot_be_moved_is_tried_again(
    workspace, running, photos, meetings, tmp_path, caplog
):
    runner = running("gate")
    job_id = start(runner, workspace, photos())
    caller = meetings.next()
    in_the_way = tmp_path / "versions" / "cookie-1" / "note.txt"
    in_the_way.write_text("somebody was here")
    caller.let_go()
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert facts.state is JobState.FAILED
    assert "Resume to try again" in facts.error

    runner = running("quick")
    runner.resume(workspace, job_id)
    runner.wait(job_id)
    assert runner.status(workspace, job_id).version == "cookie-2"
    assert in_the_way.read_text() == "somebody was here"


def test_closing_interrupts_the_training_at_hand_and_those_that_wait(workspace, running, photos, meetings):
    runner = running("endless")
    ids = [start(runner, workspace, photos()) for _ in range(2)]
    caller = meetings.next()
    runner.close()
    assert caller.is_gone()
    assert [state(workspace, job_id) for job_id in ids] == [JobState.INTERRUPTED] * 2
    with pytest.raises(InputError, match="closing down"):
        start(runner, workspace, photos())

    after = running("quick")
    for job_id in ids:
        after.resume(workspace, job_id)
        after.wait(job_id)
    assert [state(workspace, job_id) for job_id in ids] == [JobState.DONE] * 2


def test_a_training_outlives_a_server_that_is_killed(workspace, running, photos, meetings, tmp_path):
    parent = Path(__file__).with_name("server_process.py")
    places = [f"sqlite:///{tmp_path / 'store.db'}", *map(str, (tmp_path, *photos()))]
    environ = {**os.environ, **meetings.environ, "STAND_IN": "endless", "PYTHONPATH": str(Path.cwd())}
    server = subprocess.Popen([sys.executable, str(parent), *places], env=environ)
    try:
        caller = meetings.next(timeout=5 * LONGEST)  # a server imports torch first
    finally:
        server.kill()
        server.wait(LONGEST)

    assert caller.is_gone()  # by itself
    runner = running("quick")
    (job_id,) = runner.left_over()
    assert saved(tmp_path, job_id)["last"] >= MEETING
    assert jobs.mark_orphans(workspace, runner.left_over()) == 1
    assert state(workspace, job_id) is JobState.INTERRUPTED
    runner.resume(workspace, job_id)
    runner.wait(job_id)
    assert runner.status(workspace, job_id).version == "cookie-1"
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["cookie-1"]


def test_a_version_made_before_the_server_could_say_so_is_not_made_twice(
    workspace, running, photos, tmp_path
):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    jobs.set_state(workspace, job_id, JobState.RUNNING)  # as a killed server leaves it

    after = running("crash")
    assert jobs.mark_orphans(workspace, after.left_over()) == 1
    after.resume(workspace, job_id)
    after.wait(job_id)
    assert after.status(workspace, job_id).version == "cookie-1"
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["cookie-1"]


def test_a_training_is_shown_as_it_ended_even_where_the_store_could_not_be_told(
    workspace, running, photos, monkeypatch, caplog
):
    say = jobs.set_state

    def busy(where, job_id, to, **options):
        if to in (JobState.DONE, JobState.FAILED):
            raise StoreBusyError("Other writers did not let go in time.")
        say(where, job_id, to, **options)

    runner = running()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "set_state", busy)
        job_id = start(runner, workspace, photos())
        runner.wait(job_id)
    assert state(workspace, job_id) is JobState.RUNNING
    assert runner.status(workspace, job_id).version == "cookie-1"
    assert [job.state for job in runner.trainings(workspace)] == [JobState.DONE]

    after = running("crash")  # does not run again
    assert [job.state for job in after.trainings(workspace)] == [JobState.INTERRUPTED]
    after.resume(workspace, job_id)
    after.wait(job_id)
    assert after.status(workspace, job_id).version == "cookie-1"
    assert state(workspace, job_id) is JobState.DONE


def test_discarding_deletes_all_but_the_version(workspace, running, photos, tmp_path):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    runner.discard(workspace, job_id)
    assert list((tmp_path / "trainings").iterdir()) == jobs.jobs(workspace, kind="finetune") == []
    assert version(tmp_path, "cookie-1")


def test_discarding_a_training_does_not_free_the_name_of_the_version_it_made(
    workspace, running, photos, tmp_path
):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    for path in (tmp_path / "versions" / "cookie-1").iterdir():
        path.unlink()
    runner.discard(workspace, job_id)
    assert (tmp_path / "versions" / "cookie-1").is_dir()


def test_a_running_training_is_not_discarded_but_a_waiting_one_is(workspace, running, photos, meetings):
    runner = running("gate")
    one, other = start(runner, workspace, photos()), start(runner, workspace, photos())
    caller = meetings.next()
    with pytest.raises(InputError, match="Stop it first"):
        runner.discard(workspace, one)
    runner.discard(workspace, other)
    caller.let_go()
    runner.wait(one)
    assert [job.id for job in runner.trainings(workspace)] == [one]
    assert runner.left_over() == {one}


def test_a_training_without_its_folder_cannot_be_resumed(workspace, running, photos, meetings, tmp_path):
    job_id = stopped(runner := running("endless"), workspace, meetings, photos())
    shutil.rmtree(tmp_path / "trainings" / job_id)
    with pytest.raises(InputError, match="Start it anew"):
        runner.resume(workspace, job_id)
    assert runner.status(workspace, job_id).steps == []
    assert runner.log_tail(workspace, job_id) == ""


@pytest.mark.parametrize("what", ["status", "stop", "resume", "finish", "discard", "log_tail"])
def test_jobs_of_others_and_of_other_kinds_are_not_there(workspace, running, photos, what):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    batch = new_batch(workspace, BatchSpec(checkpoint="mambaad"), name="b", actor="test")
    for where, asked in ((workspace.of("someone else"), job_id), (workspace, batch), (workspace, "0" * 32)):
        with pytest.raises(InputError, match="Load the page again"):
            getattr(runner, what)(where, asked)


def test_an_unknown_checkpoint_is_refused_while_its_owner_is_looking(workspace, running, photos):
    asked = spec().model_copy(update={"checkpoint": "unheard-of"})
    with pytest.raises(UnknownReleaseError):
        start(running(), workspace, photos(), spec=asked)
    assert jobs.jobs(workspace, kind="finetune") == []


def test_too_few_photos_make_no_job(workspace, running, zipped, tmp_path):
    file = zipped({f"{number}.png": photo(number) for number in range(4)} | {"torn.png": photo(9)[:60]})
    with pytest.raises(TooFewImagesError, match=r"there are 4\. torn\.png was left out: ") as caught:
        start(running(), workspace, [file])
    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "trainings").iterdir()) == jobs.jobs(workspace, kind="finetune") == []


def test_photos_that_cannot_be_taken_over_make_no_job(workspace, running, photos, monkeypatch, tmp_path):
    def full(picture, file):
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(photo_intake, "_keep", full)
    with pytest.raises(StorageError) as caught:
        start(running(), workspace, photos())
    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "trainings").iterdir()) == jobs.jobs(workspace, kind="finetune") == []


def test_a_photo_that_was_left_out_is_named_in_the_status(workspace, running, photos, zipped):
    torn = zipped({"a/torn.png": photo(9)[:60]})
    job_id = start(runner := running(), workspace, [torn, *photos()])
    runner.wait(job_id)
    by_server, by_engine = runner.status(workspace, job_id).notes
    assert by_server.startswith("good/a/torn.png was left out: The PNG file is cut short")
    assert by_engine == "part 3.png was left out: The picture is torn."


def test_previews_are_files_with_the_names_of_the_photos(workspace, running, photos):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    status = runner.status(workspace, job_id)
    assert [path.read_bytes() for path in status.previews] == [b"\xff\xd8 one", b"\xff\xd8 two"]
    assert status.preview_names == ["part 1.png", "unknown.png"]


def test_waiting_for_a_training_that_is_not_at_work_returns_at_once(workspace, running):
    running().wait("0" * 32)


def test_stopping_a_training_that_is_done_changes_nothing(workspace, running, photos):
    job_id = start(runner := running(), workspace, photos())
    runner.wait(job_id)
    runner.stop(workspace, job_id)
    assert state(workspace, job_id) is JobState.DONE
