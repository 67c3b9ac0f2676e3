"""The batch runner: one batch at a time, each of which outlives the tab and the server that started it."""

import threading
import zipfile
from contextlib import suppress

import pytest

from mambaad_demo.errors import InputError, StorageError, UnknownReleaseError
from mambaad_demo.storage import jobs, removal
from mambaad_demo.storage.inspections import inspections, sha256_of
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.workflow import batch_runner
from mambaad_demo.workflow.batch_runner import BatchRunner
from mambaad_demo.workflow.batches import BatchSpec
from tests.workflow.stored import SPEC, Scorer, Shelf, outcomes, part, parts, workspace

__all__ = ["workspace"]

LONGEST = 30.0  # seconds that a test waits for a thread before it fails


class Gate:
    """Holds the model before its first turn until it is opened."""

    def __init__(self):
        self.opened, self.reached = threading.Event(), threading.Event()

    def __call__(self, asked):
        self.reached.set()
        assert self.opened.wait(LONGEST)


@pytest.fixture
def gate():
    """Opened in the end whatever happens: there is one model thread for all tests."""
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def running(tmp_path):
    """Makes runners over one folder, and closes them."""
    runners = []

    def new(*predictors, finish=lambda workspace, spec, files: None):
        runners.append(BatchRunner(Shelf(*predictors), tmp_path / "batches", finish=finish))
        return runners[-1]

    yield new
    for runner in runners:
        runner.close()


@pytest.fixture
def uploads(tmp_path):
    """Writes files into folders of their own, as Gradio does, and returns their paths."""
    count = iter(range(10**6))

    def put(contents):
        paths = []
        for name, content in contents.items():
            folder = tmp_path / "uploads" / str(next(count))
            folder.mkdir(parents=True)
            paths.append(folder / name)
            paths[-1].write_bytes(content)
        return paths

    return put


def start(runner, workspace, files, spec=SPEC):
    return runner.start(workspace, spec, files, name="batch", actor="test")


def state(workspace, job_id):
    return jobs.job(workspace, job_id).state


def side_by_side(*functions):
    """What functions return or raise that run at the same time."""
    said = []

    def call(function):
        try:
            said.append(function())
        except InputError as error:
            said.append(error)

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
    return said


def test_files_are_taken_over_judged_and_deleted(workspace, running, uploads, tmp_path):
    files = uploads(parts(9))
    runner = running(Scorer())

    job_id = start(runner, workspace, files)
    for path in files:  # the visitor's own copies may go at any time
        path.unlink()
    runner.wait(job_id)

    assert list(outcomes(workspace, job_id)) == list(parts(9))
    assert state(workspace, job_id) is JobState.DONE
    assert list((tmp_path / "batches").rglob("*")) == []


def test_batches_take_turns(workspace, running, uploads, gate):
    scorer = Scorer(before=gate)
    runner = running(scorer)
    first, second = parts(2), {name: part(0.9, 50 + number) for number, name in enumerate(parts(2))}

    one = start(runner, workspace, uploads(first))
    assert gate.reached.wait(LONGEST)
    other = start(runner, workspace, uploads(second))

    assert (state(workspace, one), state(workspace, other)) == (JobState.RUNNING, JobState.WAITING)
    gate.opened.set()
    runner.wait(other)
    assert state(workspace, one) is state(workspace, other) is JobState.DONE
    assert scorer.asked == [sha256_of(content) for content in [*first.values(), *second.values()]]


def test_a_stopped_batch_keeps_what_is_done_and_goes_on_with_the_rest(workspace, running, uploads, gate):
    scorer = Scorer(before=gate)
    runner = running(scorer)
    job_id = start(runner, workspace, uploads(parts(40)))
    assert gate.reached.wait(LONGEST)
    runner.stop(workspace, job_id)
    gate.opened.set()
    runner.wait(job_id)

    done = jobs.job(workspace, job_id).done
    assert state(workspace, job_id) is JobState.STOPPED
    assert done < 40

    before = len(scorer.asked)
    runner.resume(workspace, job_id)
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.DONE
    assert list(outcomes(workspace, job_id)) == list(parts(40))
    assert len(scorer.asked) - before == 40 - done
    assert len(inspections(workspace)) == 40


def test_a_batch_stopped_while_it_waits_is_never_judged_and_can_be_resumed(
    workspace, running, uploads, gate, tmp_path
):
    scorer = Scorer(before=gate)
    runner = running(scorer)
    one = start(runner, workspace, uploads({"a.png": part(0.2, 1)}))
    assert gate.reached.wait(LONGEST)
    other = start(runner, workspace, uploads({"b.png": part(0.2, 2)}))

    runner.stop(workspace, other)

    assert state(workspace, other) is JobState.STOPPED  # at once, not when its turn comes
    gate.opened.set()
    runner.wait(one)
    runner.wait(other)
    assert scorer.asked == [sha256_of(part(0.2, 1))]
    assert [path.name for path in (tmp_path / "batches" / other).rglob("*.png")] == ["b.png"]

    runner.resume(workspace, other)
    runner.wait(other)
    assert outcomes(workspace, other) == {"b.png": "accept"}


def test_a_batch_goes_on_after_the_server_was_killed(workspace, running, uploads, gate):
    contents = parts(20)
    before = running(Scorer(before=gate))
    job_id = start(before, workspace, uploads(contents))
    assert gate.reached.wait(LONGEST)
    before.stop(workspace, job_id)
    gate.opened.set()
    before.close()
    done = jobs.job(workspace, job_id).done
    jobs.set_state(workspace, job_id, JobState.RUNNING)  # as a killed server leaves it

    scorer = Scorer()
    after = running(scorer)
    assert jobs.mark_orphans(workspace, after.left_over()) == 1
    assert state(workspace, job_id) is JobState.INTERRUPTED
    after.resume(workspace, job_id)
    after.wait(job_id)

    assert state(workspace, job_id) is JobState.DONE
    assert list(outcomes(workspace, job_id)) == list(contents)
    assert len(scorer.asked) == 20 - done


def test_only_what_was_interrupted_can_be_resumed(workspace, running, uploads, gate):
    runner = running(Scorer(before=gate))
    one = start(runner, workspace, uploads({"a.png": part()}))
    other = start(runner, workspace, uploads({"b.png": part()}))
    assert gate.reached.wait(LONGEST)
    with pytest.raises(InputError, match="running"):
        runner.resume(workspace, one)
    with pytest.raises(InputError, match="waiting"):
        runner.resume(workspace, other)
    gate.opened.set()
    runner.wait(other)
    with pytest.raises(InputError, match="done"):
        runner.resume(workspace, one)
    with pytest.raises(InputError, match="no longer here"):
        runner.resume(workspace, "0" * 32)


def test_a_batch_belongs_to_its_workspace(workspace, running, uploads, gate, tmp_path):
    runner = running(Scorer(before=gate))
    job_id = start(runner, workspace, uploads(parts(2)))
    assert gate.reached.wait(LONGEST)
    stranger = workspace.of("stranger")
    for meddle in (runner.stop, runner.resume, runner.forget):
        with pytest.raises(InputError, match="no longer here"):
            meddle(stranger, job_id)
    gate.opened.set()
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.DONE


def test_a_training_is_no_batch(workspace, running):
    training = jobs.create_job(workspace, kind="finetune", name="x", spec={}, actor="ada")
    jobs.set_state(workspace, training, JobState.STOPPED)
    runner = running(Scorer())
    for meddle in (runner.stop, runner.resume, runner.forget):
        with pytest.raises(InputError, match="no longer here"):
            meddle(workspace, training)
    assert state(workspace, training) is JobState.STOPPED


def test_a_batch_whose_files_are_gone_says_so(workspace, running, uploads, gate):
    runner = running(Scorer(before=gate))
    job_id = start(runner, workspace, uploads(parts(2)))
    assert gate.reached.wait(LONGEST)
    runner.stop(workspace, job_id)
    gate.opened.set()
    runner.wait(job_id)
    runner.forget(workspace, job_id)
    with pytest.raises(InputError, match="Upload them again"):
        runner.resume(workspace, job_id)


def test_the_files_of_a_running_batch_are_not_deleted(workspace, running, uploads, gate):
    runner = running(Scorer(before=gate))
    job_id = start(runner, workspace, uploads(parts(2)))
    assert gate.reached.wait(LONGEST)
    with pytest.raises(InputError, match="Stop it first"):
        runner.forget(workspace, job_id)
    gate.opened.set()
    runner.wait(job_id)
    assert outcomes(workspace, job_id).keys() == parts(2).keys()


def test_too_many_waiting_batches_are_refused_and_their_files_stay(
    workspace, running, uploads, gate, monkeypatch
):
    monkeypatch.setattr(batch_runner, "MOST_WAITING", 2)
    runner = running(Scorer(before=gate))
    last = [start(runner, workspace, uploads({f"{number}.png": part()})) for number in range(2)][-1]
    files = uploads({"late.png": part()})
    with pytest.raises(InputError, match="Too many"):
        start(runner, workspace, files)
    assert files[0].exists()
    assert len(jobs.jobs(workspace)) == 2

    gate.opened.set()
    runner.wait(last)
    runner.wait(start(runner, workspace, files))
    assert len(jobs.jobs(workspace)) == 3


@pytest.mark.parametrize(
    ("spec", "content", "error"),
    [
        (BatchSpec(checkpoint="unheard-of"), part(), UnknownReleaseError),
        (BatchSpec(checkpoint="scorer", category="purple"), part(), InputError),
        (SPEC, None, InputError),
    ],
    ids=["checkpoint", "category", "no files"],
)
def test_what_cannot_be_a_batch_is_refused_while_its_owner_is_looking(
    workspace, running, uploads, spec, content, error
):
    files = [] if content is None else uploads({"a.png": content})
    with pytest.raises(error):
        start(running(Scorer()), workspace, files, spec)
    assert all(path.exists() for path in files)
    assert jobs.jobs(workspace) == []


def test_a_damaged_zip_is_refused_while_its_owner_is_looking(workspace, running, uploads):
    files = uploads({"a.zip": b"no zip"})
    with pytest.raises(InputError, match="zip"):
        start(running(Scorer()), workspace, files)
    assert files[0].exists()
    assert jobs.jobs(workspace) == []


def test_files_of_one_name_are_all_judged(workspace, running, uploads):
    files = [*uploads({"part.png": part(0.2, 1)}), *uploads({"part.png": part(0.9, 2)})]
    runner = running(Scorer())
    job_id = start(runner, workspace, files)
    runner.wait(job_id)
    assert outcomes(workspace, job_id) == {"part.png": "accept", "part-2.png": "reject"}


def test_a_file_that_is_named_twice_is_taken_once(workspace, running, uploads):
    (file,) = uploads({"part.png": part()})
    runner = running(Scorer())
    job_id = start(runner, workspace, [file, file])
    runner.wait(job_id)
    assert outcomes(workspace, job_id) == {"part.png": "accept"}


def test_zips_and_files_keep_the_order_in_which_they_were_sent(workspace, running, uploads, tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("x.png", part(0.2, 1))
    files = [*uploads({"z.zip": (tmp_path / "z.zip").read_bytes()}), *uploads({"a.png": part(0.2, 2)})]
    runner = running(Scorer())
    job_id = start(runner, workspace, files)
    runner.wait(job_id)
    assert list(outcomes(workspace, job_id)) == ["z/x.png", "a.png"]


def test_files_that_cannot_be_taken_over_leave_no_batch_that_waits_for_ever(
    workspace, running, uploads, monkeypatch, tmp_path
):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(batch_runner.Path, "hardlink_to", full)
    monkeypatch.setattr(batch_runner.shutil, "copyfile", full)
    with pytest.raises(StorageError) as caught:
        start(running(Scorer()), workspace, uploads(parts(2)))
    assert str(tmp_path) not in str(caught.value)
    (job,) = jobs.jobs(workspace)
    assert (job.state, job.error) == (JobState.FAILED, str(caught.value))
    assert list((tmp_path / "batches").rglob("*")) == []


def test_what_follows_a_batch_sees_its_files_once_all_are_confirmed(workspace, running, uploads):
    seen = []

    def finish(where, spec, files):
        seen.append((where, spec, [path.read_bytes() for path in files]))
        assert jobs.job(workspace, job_id).done == 2

    runner = running(Scorer(), finish=finish)
    contents = parts(2)
    spec = BatchSpec(checkpoint="scorer", product="gear")
    job_id = start(runner, workspace, uploads(contents), spec)
    runner.wait(job_id)
    assert seen == [(workspace, spec, list(contents.values()))]
    assert state(workspace, job_id) is JobState.DONE


def test_folder_labels_that_are_none_are_refused_before_anything_is_judged(workspace, running, uploads):
    scorer = Scorer()
    with pytest.raises(InputError, match="no folder names"):
        start(running(scorer), workspace, uploads(parts(2)), BatchSpec(checkpoint="scorer", has_labels=True))
    assert (jobs.jobs(workspace), scorer.asked) == ([], [])


def test_nothing_follows_a_batch_that_was_stopped(workspace, running, uploads, gate):
    finished = []
    runner = running(Scorer(before=gate), finish=lambda *arguments: finished.append(arguments))
    job_id = start(runner, workspace, uploads(parts(2)))
    assert gate.reached.wait(LONGEST)
    runner.stop(workspace, job_id)
    gate.opened.set()
    runner.wait(job_id)
    assert finished == []


def test_what_fails_to_follow_is_told_and_can_be_tried_again(workspace, running, uploads):
    turns = []

    def finish(where, spec, files):
        turns.append(len(files))
        if len(turns) == 1:
            raise InputError("A mask has another size than its picture.")

    scorer = Scorer()
    runner = running(scorer, finish=finish)
    job_id = start(runner, workspace, uploads(parts(3)))
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.done) == (JobState.FAILED, 3)
    assert facts.error == "A mask has another size than its picture."

    runner.resume(workspace, job_id)
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.DONE
    assert turns == [3, 3]
    assert len(scorer.asked) == 3


def test_a_bug_fails_its_batch_and_the_next_one_runs(workspace, running, uploads, caplog):
    def broken(asked):
        if not asked:
            scorer.asked.append("")
            raise RuntimeError("secret")

    scorer = Scorer(before=broken)
    runner = running(scorer)
    one = start(runner, workspace, uploads({"a.png": part()}))
    other = start(runner, workspace, uploads({"b.png": part()}))
    runner.wait(other)
    assert (state(workspace, one), state(workspace, other)) == (JobState.FAILED, JobState.DONE)
    assert "secret" not in jobs.job(workspace, one).error
    assert "secret" in caplog.text


def test_a_checkpoint_that_breaks_before_the_first_picture_fails_the_batch(
    workspace, running, uploads, monkeypatch, caplog
):
    def broken(self, name):
        if threading.current_thread().name.startswith("batch"):
            raise RuntimeError("no such kernel")
        return self.predictors[name]

    monkeypatch.setattr(Shelf, "predictor", broken)
    runner = running(Scorer())
    job_id = start(runner, workspace, uploads(parts(1)))
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.FAILED
    assert "no such kernel" in caplog.text


def test_of_two_that_resume_at_once_one_is_refused(workspace, running, uploads, gate, monkeypatch):
    scorer = Scorer(before=gate)
    runner = running(scorer)
    job_id = start(runner, workspace, uploads(parts(20)))
    assert gate.reached.wait(LONGEST)
    runner.stop(workspace, job_id)
    gate.opened.set()
    runner.wait(job_id)

    both_looked, read = threading.Barrier(2), jobs.job

    def looked(where, wanted):
        facts = read(where, wanted)
        with suppress(
            threading.BrokenBarrierError
        ):  # it breaks where the second one is kept out, as it should
            both_looked.wait(0.5)
        return facts

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "job", looked)
        said = side_by_side(*[lambda: runner.resume(workspace, job_id)] * 2)
    assert sorted(type(answer).__name__ for answer in said) == ["InputError", "NoneType"]
    runner.wait(job_id)
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.done, facts.total) == (JobState.DONE, 20, 20)


def test_a_batch_resumed_the_moment_it_stopped_is_known_to_run(
    workspace, running, uploads, gate, monkeypatch
):
    stopped, resumed, runs_again, say = *(threading.Event() for _ in range(3)), jobs.set_state

    def slowly(where, job_id, to, **options):
        say(where, job_id, to, **options)
        if to is JobState.STOPPED:
            stopped.set()
            assert resumed.wait(LONGEST)
        elif to is JobState.RUNNING and resumed.is_set():
            runs_again.set()

    monkeypatch.setattr(jobs, "set_state", slowly)
    later = Gate()
    runner = running(Scorer(before=lambda asked: later(asked) if gate.opened.is_set() else gate(asked)))
    job_id = start(runner, workspace, uploads(parts(16)))
    assert gate.reached.wait(LONGEST)
    runner.stop(workspace, job_id)
    gate.opened.set()
    assert stopped.wait(LONGEST)
    try:
        runner.resume(workspace, job_id)
        resumed.set()
        assert runs_again.wait(LONGEST)
        with pytest.raises(InputError, match="Stop it first"):
            runner.forget(workspace, job_id)
    finally:
        resumed.set()
        later.opened.set()
    runner.wait(job_id)
    assert state(workspace, job_id) is JobState.DONE


def test_a_batch_that_was_deleted_while_it_ran_leaves_no_files(
    workspace, running, uploads, gate, tmp_path, caplog
):
    runner = running(Scorer(before=gate))
    job_id = start(runner, workspace, uploads(parts(20)))
    assert gate.reached.wait(LONGEST)
    removal.delete_job(workspace, job_id, actor="retention")
    runner.discard(job_id)
    gate.opened.set()
    runner.wait(job_id)
    assert list((tmp_path / "batches").rglob("*")) == []
    assert jobs.jobs(workspace) == inspections(workspace) == []


def test_a_batch_that_looks_too_closely_is_refused_while_its_owner_is_looking(workspace, running, uploads):
    files = uploads(parts(1))
    with pytest.raises(InputError, match="tiles"):
        start(running(Scorer()), workspace, files, BatchSpec(checkpoint="scorer", tiles=99))
    assert files[0].exists()


def test_waiting_for_a_batch_that_is_not_at_work_returns_at_once(workspace, running):
    running(Scorer()).wait("0" * 32)


def test_stopping_a_batch_that_is_done_changes_nothing(workspace, running, uploads):
    runner = running(Scorer())
    job_id = start(runner, workspace, uploads(parts(1)))
    runner.wait(job_id)
    runner.stop(workspace, job_id)
    assert state(workspace, job_id) is JobState.DONE


def test_closing_stops_the_batch_at_hand_and_lets_go_of_who_waits(workspace, running, uploads, gate):
    runner = running(Scorer(before=gate))
    one = start(runner, workspace, uploads(parts(20)))
    other = start(runner, workspace, uploads({"b.png": part()}))
    assert gate.reached.wait(LONGEST)
    waiting = threading.Thread(target=runner.wait, args=(other,))
    waiting.start()
    closing = threading.Thread(target=runner.close)
    closing.start()
    gate.opened.set()
    closing.join(LONGEST)
    waiting.join(LONGEST)
    assert not closing.is_alive()
    assert not waiting.is_alive()
    assert state(workspace, one) is JobState.INTERRUPTED
    assert state(workspace, other) is JobState.INTERRUPTED
    with pytest.raises(InputError, match="closing down"):
        start(runner, workspace, uploads({"c.png": part()}))
