"""A batch: nothing twice, nothing lost, no bad file ends it; on both databases where that rests on them."""

import io
import threading
import time
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import CheckpointError, InputError, StorageError, UnknownCategoryError
from mambaad_demo.pipeline.calibration import moved_to
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import jobs, limits
from mambaad_demo.storage.inspections import inspections, sha256_of
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.storage.tables import Job
from mambaad_demo.workflow import batches
from mambaad_demo.workflow.batches import BatchSpec, Progress, new_batch, pictures_of, run_batch
from tests.databases import new_store, postgresql, store
from tests.databases import workspace as either
from tests.workflow.gray_line import line_predictor
from tests.workflow.gray_line import part as gray_part
from tests.workflow.stored import SPEC, Scorer, inspected, outcomes, part, parts, pictures, workspace

__all__ = ["either", "new_store", "postgresql", "store", "workspace"]


class BrokenError(Exception):
    """A bug."""


def begun(workspace, spec=SPEC):
    return new_batch(workspace, spec, name="batch", actor="test")


def zipped(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def run_all(workspace, job_id, predictor, contents):
    return list(run_batch(workspace, job_id, predictor, pictures(contents)))


def test_each_picture_is_judged_and_confirmed_once_in_the_order_given(workspace):
    contents = {f"{20 - number} part.png": part(0.45, number) for number in range(20)}
    scorer = Scorer()

    job_id = inspected(workspace, contents, predictor=scorer)

    items = jobs.items(workspace, job_id)
    assert [item.name for item in items] == list(contents)
    assert [item.position for item in items] == list(range(20))
    assert [item.inspection.sha256 for item in items] == scorer.asked == [*map(sha256_of, contents.values())]
    assert jobs.job(workspace, job_id).state is JobState.DONE
    assert jobs.job(workspace, job_id).finished_at is not None


def test_progress_tells_only_what_is_confirmed_and_ends_at_the_total(workspace):
    contents = parts(19) | {"bad.png": b"no picture"}
    job_id = begun(workspace)
    steps, stored = [], []
    for step in run_batch(workspace, job_id, Scorer(), pictures(contents)):
        steps.append(step)
        stored.append(jobs.job(workspace, job_id))

    assert steps[0] == Progress(done=0, total=20, refused=0)
    assert steps[-1] == Progress(done=20, total=20, refused=1)
    assert [step.done for step in steps] == [facts.done for facts in stored]
    assert [step.refused for step in steps] == [facts.refused for facts in stored]
    assert {facts.state for facts in stored} == {JobState.RUNNING}
    assert {facts.total for facts in stored} == {20}


def test_a_stopped_batch_goes_on_with_the_rest_alone(either):
    contents, first, second = parts(20), Scorer(), Scorer()
    job_id = begun(either)
    steps = run_batch(either, job_id, first, pictures(contents))
    next(steps)
    done = next(steps).done
    steps.close()
    assert jobs.job(either, job_id).state is JobState.STOPPED
    assert 0 < done == len(outcomes(either, job_id)) < 20

    resumed = run_all(either, job_id, second, contents)

    hashes = [sha256_of(content) for content in contents.values()]
    assert second.asked == hashes[done:]
    assert (resumed[0].done, resumed[-1].done) == (done, 20)
    assert list(outcomes(either, job_id)) == list(contents)
    assert len(inspections(either)) == 20
    assert jobs.job(either, job_id).state is JobState.DONE


def test_a_batch_stopped_before_its_first_picture_is_stopped(workspace):
    job_id = begun(workspace)
    steps = run_batch(workspace, job_id, Scorer(), pictures(parts(3)))
    next(steps)
    steps.close()
    assert jobs.job(workspace, job_id).state is JobState.STOPPED


def test_a_bug_in_the_middle_keeps_what_was_confirmed_and_tells_no_details(either):
    def broken(asked):
        if asked >= 16:
            raise BrokenError("secret /srv/path")

    contents = parts(20)
    job_id = begun(either)
    with pytest.raises(BrokenError):
        run_all(either, job_id, Scorer(before=broken), contents)

    facts = jobs.job(either, job_id)
    assert facts.state is JobState.FAILED
    assert "secret" not in facts.error
    assert list(outcomes(either, job_id)) == list(contents)[: facts.done]
    assert facts.done == 16

    rest = Scorer()
    run_all(either, job_id, rest, contents)
    assert len(rest.asked) == 4
    assert list(outcomes(either, job_id)) == list(contents)
    assert jobs.job(either, job_id).error is None


def test_a_store_that_fails_keeps_what_it_confirmed_before(either, monkeypatch):
    confirm, calls = jobs.add_items, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise StorageError("The disk of the store is full.")
        confirm(*arguments, **options)

    contents = parts(18)
    job_id = begun(either)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add_items", failing)
        with pytest.raises(StorageError, match="full"):
            run_all(either, job_id, Scorer(), contents)

    facts = jobs.job(either, job_id)
    assert (facts.state, facts.done) == (JobState.FAILED, 8)
    assert facts.error == "The disk of the store is full."

    rest = Scorer()
    run_all(either, job_id, rest, contents)
    assert len(rest.asked) == 10
    assert list(outcomes(either, job_id)) == list(contents)


def test_a_chunk_that_fails_half_way_is_confirmed_as_a_whole_or_not_at_all(either, monkeypatch):
    add, calls = jobs.add_inspection, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) == 13:
            raise BrokenError
        return add(*arguments, **options)

    contents = parts(20)
    job_id = begun(either)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add_inspection", failing)
        with pytest.raises(BrokenError):
            run_all(either, job_id, Scorer(), contents)
    assert list(outcomes(either, job_id)) == list(contents)[:8]
    assert len(inspections(either)) == 8


def test_what_has_to_follow_comes_after_the_last_picture_and_before_the_end(workspace):
    seen = []

    def finish():
        facts = jobs.job(workspace, job_id)
        seen.append((facts.state, facts.done))

    job_id = begun(workspace)
    list(run_batch(workspace, job_id, Scorer(), pictures(parts(9)), finish=finish))
    assert seen == [(JobState.RUNNING, 9)]


def test_where_what_has_to_follow_fails_the_batch_can_be_resumed_without_judging_again(workspace):
    def failing():
        raise InputError("A mask has another size than its picture.")

    job_id = begun(workspace)
    with pytest.raises(InputError):
        list(run_batch(workspace, job_id, Scorer(), pictures(parts(9)), finish=failing))
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.done) == (JobState.FAILED, 9)
    assert facts.error == "A mask has another size than its picture."

    again, finished = Scorer(), []
    list(run_batch(workspace, job_id, again, pictures(parts(9)), finish=lambda: finished.append(1)))
    assert (again.asked, finished) == ([], [1])
    assert jobs.job(workspace, job_id).state is JobState.DONE


@pytest.mark.parametrize("confirmed", [False, True], ids=["before", "after"])
def test_a_crash_around_the_commit_repeats_nothing_that_was_confirmed(either, monkeypatch, confirmed):
    confirm = jobs.add_items

    def crashing(*arguments, **options):
        if confirmed:
            confirm(*arguments, **options)
        raise KeyboardInterrupt

    contents = parts(10)
    job_id = begun(either)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add_items", crashing)
        with pytest.raises(KeyboardInterrupt):
            run_all(either, job_id, Scorer(), contents)
    assert jobs.job(either, job_id).state is JobState.STOPPED
    run_all(either, job_id, Scorer(), contents)
    assert list(outcomes(either, job_id)) == list(contents)
    assert len(inspections(either)) == 10


def test_one_bad_file_is_an_error_of_its_own_row(either, tmp_path):
    def damaged():
        raise InputError("part 3.png is damaged in the zip file.")

    missing = tmp_path / "gone.png"
    listed = [
        *pictures({"good 1.png": part(0.2)}),
        *pictures({"text.png": b"PK\x03\x04 no picture", "empty.png": b"", "cut.png": part(0.2)[:200]}),
        Picture(name="damaged.png", is_anomalous=None, read=damaged),
        Picture(name="gone.png", is_anomalous=None, read=lambda: missing),
        *pictures({"good 2.png": part(0.9, 2)}),
    ]
    job_id = begun(either)
    steps = list(run_batch(either, job_id, Scorer(), listed))

    said = outcomes(either, job_id)
    assert list(said) == [picture.name for picture in listed]
    assert (said["good 1.png"], said["good 2.png"]) == ("accept", "reject")
    assert said["damaged.png"] == "part 3.png is damaged in the zip file."
    assert len({said[name] for name in ("text.png", "empty.png", "cut.png", "gone.png")}) >= 2
    assert str(tmp_path) not in " ".join(said.values())
    assert steps[-1] == Progress(done=7, total=7, refused=5)
    facts = jobs.job(either, job_id)
    assert (facts.refused, facts.verdicts) == (5, {"accept": 1, "reject": 1})
    assert facts.state is JobState.DONE


def test_a_batch_of_nothing_but_bad_files_is_done(workspace):
    job_id = inspected(workspace, {f"{number}.png": b"no" for number in range(9)})
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.done, facts.refused) == (JobState.DONE, 9, 9)


def test_refused_pictures_are_not_tried_again(workspace):
    contents = {"bad.png": b"no"} | parts(9)
    job_id = begun(workspace)
    steps = run_batch(workspace, job_id, Scorer(), pictures(contents))
    next(steps), next(steps)
    steps.close()
    rest = Scorer()
    steps = run_all(workspace, job_id, rest, contents)
    assert len(rest.asked) == 2
    assert {step.refused for step in steps} == {1}


def test_few_pictures_are_held_at_a_time_whatever_the_batch_holds(workspace):
    read = []

    def reading(content):
        read.append(content)
        return content

    listed = [
        Picture(name=name, is_anomalous=None, read=partial(reading, content))
        for name, content in parts(48).items()
    ]
    scorer = Scorer()
    ahead = [len(read) - step.done for step in run_batch(workspace, begun(workspace), scorer, listed)]
    assert max(ahead) <= 24
    assert max(scorer.turns) == 8  # others wait no longer than that for the model


def test_large_files_come_in_smaller_turns(workspace):
    scorer = Scorer()
    inspected(workspace, {f"{number}.png": bytes(17 * 10**6) for number in range(3)}, predictor=scorer)
    assert scorer.turns == [1, 1, 1]


def test_the_model_works_on_its_own_thread(workspace):
    scorer = Scorer()
    inspected(workspace, parts(9), predictor=scorer)
    assert all(name.startswith("model") for name in scorer.threads)


def test_the_product_that_somebody_named_wins_over_the_category(workspace):
    inspected(workspace, {"a.png": part()}, spec=BatchSpec(checkpoint="scorer", category="gear"))
    assert [(one.product, one.category) for one in inspections(workspace)] == [("gear", "gear")]

    named = BatchSpec(checkpoint="scorer", category="gear", product="  pinion\n7 ")
    inspected(workspace, {"a.png": part()}, spec=named)
    assert {(one.product, one.category) for one in inspections(workspace)} == {("pinion 7", "gear")}

    inspected(workspace, {"a.png": part()})
    assert {one.product for one in inspections(workspace)} == {"pinion 7"}


def test_the_same_picture_in_two_batches_is_one_image_with_two_inspections(either):
    first = inspected(either, {"a.png": part(0.45)})
    second = inspected(either, {"other name.png": part(0.45)}, predictor=Scorer(name="newer"))

    one, other = inspections(either)
    assert one.image_id == other.image_id
    assert (one.checkpoint, other.checkpoint) == ("scorer", "newer")
    assert list(outcomes(either, first)) == ["a.png"]
    assert list(outcomes(either, second)) == ["other name.png"]


def test_the_same_bytes_twice_in_a_batch_are_two_rows_of_one_image(workspace):
    job_id = inspected(workspace, {"a.png": part(), "b.png": part()})
    first, second = jobs.items(workspace, job_id)
    assert first.inspection.image_id == second.inspection.image_id
    assert first.inspection.id != second.inspection.id


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (BatchSpec(checkpoint="scorer", category="purple"), UnknownCategoryError),
        (BatchSpec(checkpoint="scorer", tiles=99), InputError),
    ],
    ids=["category", "tiles"],
)
def test_what_the_checkpoint_cannot_do_fails_the_batch_with_the_reason(workspace, spec, error):
    job_id = begun(workspace, spec)
    with pytest.raises(error) as caught:
        run_all(workspace, job_id, Scorer(), parts(3))
    facts = jobs.job(workspace, job_id)
    assert (facts.state, facts.done) == (JobState.FAILED, 0)
    assert facts.error == str(caught.value)


def test_a_checkpoint_without_hashes_fails_the_batch(workspace):
    scorer = Scorer()
    scorer.checkpoint.config.sha256 = None
    job_id = begun(workspace)
    with pytest.raises(CheckpointError):
        run_all(workspace, job_id, scorer, parts(1))
    assert jobs.job(workspace, job_id).state is JobState.FAILED


def test_a_batch_looks_as_closely_as_it_was_asked_to(workspace):
    inspected(workspace, {"a.png": part()}, spec=BatchSpec(checkpoint="scorer", tiles=3))
    inspected(workspace, {"a.png": part()})
    assert [one.tiles for one in inspections(workspace)] == [3, 1]


def test_a_batch_of_another_workspace_cannot_be_run(workspace):
    job_id = begun(workspace)
    with pytest.raises(InputError):
        run_all(workspace.of("stranger"), job_id, Scorer(), parts(1))
    assert jobs.job(workspace, job_id).state is JobState.WAITING


def test_a_batch_deleted_while_it_runs_ends_with_an_error_of_ours(either):
    job_id = begun(either)
    steps = run_batch(either, job_id, Scorer(), pictures(parts(9)))
    next(steps)
    with either.database.writing() as session:
        session.delete(session.get(Job, job_id))
    with pytest.raises(InputError, match="no longer here"):
        next(steps)
    assert inspections(either) == []


def test_two_that_work_on_one_batch_confirm_each_picture_once(either):
    contents, failed = parts(24), []
    job_id = begun(either)

    def work():
        try:
            run_all(either, job_id, Scorer(), contents)
        except BaseException as error:  # shown by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list(outcomes(either, job_id)) == list(contents)
    assert len(inspections(either)) == 24


def test_a_spec_takes_no_unknown_words():
    with pytest.raises(ValueError, match="extra"):
        BatchSpec(checkpoint="scorer", command="rm")


class TestPicturesOf:
    """Files, folders and zip files as one list."""

    def test_zips_folders_and_files_stand_together_with_their_names_before_them(self, tmp_path):
        folder = tmp_path / "shift 2"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "b.png").write_bytes(part(0.2, 1))
        (folder / "notes.txt").write_text("not looked at")
        archive = zipped(
            tmp_path / "shift 1.ZIP", {"a.png": part(0.2, 2), "x/readme.md": b"", "x/c.jpg": b""}
        )
        alone = tmp_path / "d.png"
        alone.write_bytes(part(0.2, 3))

        listed = pictures_of([archive, folder, alone])

        assert [one.name for one in listed] == [
            "shift 1/a.png",
            "shift 1/x/c.jpg",
            "shift 2/deep/b.png",
            "d.png",
        ]
        assert [one.name for one in pictures_of([archive])] == ["a.png", "x/c.jpg"]
        assert listed[0].read() == part(0.2, 2)
        assert listed[2].read().read_bytes() == part(0.2, 1)

    def test_two_zips_of_one_name_are_both_kept(self, tmp_path):
        for folder in ("monday", "tuesday"):
            (tmp_path / folder).mkdir()
        listed = pictures_of(
            [
                zipped(tmp_path / "monday" / "shift.zip", {"a.png": b"1", "b.png": b"2"}),
                zipped(tmp_path / "tuesday" / "shift.zip", {"a.png": b"3"}),
            ]
        )
        assert len({one.name for one in listed}) == 3
        assert [one.read() for one in listed] == [b"1", b"2", b"3"]

    def test_two_files_of_one_name_are_both_kept_each_under_its_own(self, tmp_path):
        paths = []
        for number, name in enumerate(["part.png", "part.png", "part-2.png", "part.png", "part"]):
            folder = tmp_path / str(number)
            folder.mkdir()
            paths.append(folder / name)
            paths[-1].write_bytes(part(0.2, number))

        listed = pictures_of(paths)

        assert [one.name for one in listed][:2] == ["part.png", "part-2.png"]
        assert len({one.name for one in listed}) == 5
        assert [one.read() for one in listed] == paths
        assert [one.name for one in pictures_of(paths)] == [one.name for one in listed]

    def test_a_file_of_unknown_kind_is_listed_so_that_it_is_refused_by_name(self, tmp_path):
        for name in ("notes.txt", "noend", "part.gif"):
            (tmp_path / name).write_bytes(b"text")
        listed = pictures_of([tmp_path / "notes.txt", tmp_path / "noend", tmp_path / "part.gif"])
        assert [one.name for one in listed] == ["notes.txt", "noend", "part.gif"]

    def test_names_from_strangers_become_printable_and_lead_nowhere(self, tmp_path):
        entries = {
            "../../etc/passwd.png": b"1",
            "/root/x.png": b"2",
            "C:\\win\\y.png": b"3",
            "a\nb\x07c.png": b"4",
            "=cmd|' /C calc'!A0.png": b"5",
            "<img src=x onerror=alert(1)>.png": b"6",
            "${7*7}{{7*7}} 🚀.png": b"7",
            "line\u2028sep.png": b"8",
        }
        listed = pictures_of([zipped(tmp_path / "hostile.zip", entries)])

        names = [one.name for one in listed]
        assert len(set(names)) == len(entries)
        assert all(name.isprintable() for name in names)
        assert not any(name.startswith("/") or ".." in name.split("/") or "\\" in name for name in names)
        assert {one.read() for one in listed} == set(entries.values())

    def test_a_name_that_is_no_text_is_listed_as_one(self, tmp_path, either):
        path = tmp_path / "part\udcff.png"
        path.write_bytes(part())
        listed = pictures_of([path])
        job_id = begun(either)
        list(run_batch(either, job_id, Scorer(), listed))
        assert outcomes(either, job_id) == {listed[0].name: "accept"}
        listed[0].name.encode()

    def test_names_stay_the_same_in_the_store_so_that_a_resumed_batch_knows_them(self, tmp_path, workspace):
        names = ["  spaces .png", "tab\tinside.png", "a\r\nb.png", "x" * 200 + ".png", "\u00a0.png", "é.png"]
        for name in names:
            (tmp_path / name).write_bytes(part(0.2, len(name)))
        listed = pictures_of([tmp_path / name for name in names])
        job_id = begun(workspace)
        list(run_batch(workspace, job_id, Scorer(), listed))
        again = Scorer()
        list(run_batch(workspace, job_id, again, listed))
        assert again.asked == []
        assert set(outcomes(workspace, job_id)) == {one.name for one in listed}

    def test_entries_that_look_alike_once_cleaned_are_all_kept(self, tmp_path):
        entries = {"x.png": b"1", "../x.png": b"2", "a/x.png": b"3", "a\\x.png": b"4", "./x.png": b"5"}
        listed = pictures_of([zipped(tmp_path / "x.zip", entries)])
        assert len({one.name for one in listed}) == 5
        assert {one.read() for one in listed} == set(entries.values())

    def test_thousands_of_equal_names_are_numbered_without_delay(self, tmp_path, monkeypatch):
        same = [Picture(name="part.png", is_anomalous=None, read=bytes)] * 5000
        monkeypatch.setattr(batches, "list_set", lambda path, at_most: same)
        start = time.thread_time()
        listed = pictures_of([tmp_path / "same.zip"])
        assert time.thread_time() - start < 3  # 15 s where each name is tried from 2 on
        assert len({one.name for one in listed}) == 5000

    def test_a_damaged_entry_is_refused_alone(self, tmp_path, workspace):
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("a.png", part(0.2, 1))
            archive.writestr("b.png", part(0.2, 2))
        content = bytearray(path.read_bytes())
        content[content.index(part(0.2, 2)) + 50] ^= 0xFF
        path.write_bytes(content)
        job_id = begun(workspace)
        list(run_batch(workspace, job_id, Scorer(), pictures_of([path])))
        said = outcomes(workspace, job_id)
        assert said["a.png"] == "accept"
        assert "b.png is damaged" in said["b.png"]

    @pytest.mark.parametrize(
        "content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "bare"]
    )
    def test_a_zip_that_is_none_or_holds_nothing_is_refused(self, tmp_path, content):
        path = tmp_path / "set.zip"
        path.write_bytes(content)
        with pytest.raises(InputError):
            pictures_of([path])

    def test_too_many_pictures_are_refused_however_they_are_split(self, tmp_path, monkeypatch):
        monkeypatch.setattr(batches, "MOST_PICTURES", 4)
        first = zipped(tmp_path / "1.zip", {f"{number}.png": b"" for number in range(3)})
        second = zipped(tmp_path / "2.zip", {f"{number}.png": b"" for number in range(2)})
        assert len(pictures_of([first])) == 3
        with pytest.raises(InputError, match="5 pictures; send at most 4"):
            pictures_of([first, second])


class TestLimitsSavedMeanwhile:
    """Forty gray parts that score 0.3, accepted by the limits the batch begins with."""

    def run(self, workspace, change):
        """Run with limits that are changed when sixteen parts are confirmed."""
        plain = line_predictor()
        self.save(workspace, plain, Limits(check=0.4, reject=0.45))
        job_id = begun(workspace, BatchSpec(checkpoint="stub", category="gray"))
        contents = {f"{number:02d}.png": gray_part(0.3, number) for number in range(40)}
        for step in run_batch(workspace, job_id, limits.in_force(workspace, plain), pictures(contents)):
            if step.done == 16:
                change(workspace, plain)
        return jobs.items(workspace, job_id)

    def save(self, workspace, predictor, pair):
        calibration = moved_to(predictor.checkpoint.calibration.categories["gray"], pair)
        limits.save(workspace, predictor, "gray", calibration, source=limits.Source.PHOTOS, actor="Mira")

    def test_they_judge_every_part_of_the_batch(self, workspace):
        strict = Limits(check=0.1, reject=0.2)

        items = self.run(workspace, lambda *where: self.save(*where, strict))

        assert len(items) == 40
        assert {item.inspection.verdict for item in items} == {Verdict.REJECT}
        assert {item.inspection.limits for item in items} == {strict}
        assert len({item.inspection.calibration_sha256 for item in items}) == 1
        assert all(item.inspection.regions for item in items)

    def test_where_they_are_taken_back_the_checkpoints_own_judge_every_part(self, workspace):
        items = self.run(workspace, lambda *where: limits.take_back(*where, "gray", actor="Mira"))

        assert {item.inspection.limits for item in items} == {line_predictor().limits("gray")}


def test_the_real_predictor_end_to_end(workspace, tiny_checkpoint, tmp_path, make_image):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(make_image(seed=number, defect=(10, 20, 30) if number == 3 else None)).save(
            folder / f"{number}.png"
        )
    Image.new("L", (4000, 3300)).save(folder / "too large.png")  # 13.2 megapixels
    buffer = io.BytesIO()
    Image.fromarray(make_image(50, 120, seed=9)).save(buffer, "JPEG")
    archive = zipped(
        tmp_path / "more.zip", {"tall.jpg": buffer.getvalue(), "cut.jpg": buffer.getvalue()[:99]}
    )
    (tmp_path / "notes.txt").write_text("no picture")
    predictor = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch")
    job_id = begun(workspace, BatchSpec(checkpoint="tiny", category="plate"))
    listed = pictures_of([folder, archive, tmp_path / "notes.txt"])

    steps = list(run_batch(workspace, job_id, predictor, listed))

    items = {item.name: item for item in jobs.items(workspace, job_id)}
    refused = [name for name, item in items.items() if item.inspection is None]
    assert refused == ["photos/too large.png", "more/cut.jpg", "notes.txt"]
    assert "megapixels" in items["photos/too large.png"].error
    assert steps[-1] == Progress(done=9, total=9, refused=3)
    for number in (0, 3):
        expected = predictor.predict(folder / f"{number}.png", category="plate")
        kept = items[f"photos/{number}.png"].inspection
        assert kept.score == pytest.approx(expected.image_score, rel=1e-4)  # another batch size, other sums
        assert (kept.verdict, kept.limits) == (expected.verdict, expected.limits)
        assert (kept.width, kept.height, kept.sha256) == (96, 80, expected.sha256)
    assert (items["more/tall.jpg"].inspection.width, items["more/tall.jpg"].inspection.height) == (50, 120)
    assert np.isfinite([item.inspection.score for item in items.values() if item.inspection]).all()
