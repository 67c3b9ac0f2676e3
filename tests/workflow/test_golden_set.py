"""Replaying the golden set: what is counted, what is refused, and that nothing is stored."""

import json
import threading
from types import SimpleNamespace

import pytest

from mambaad_demo.errors import CheckpointError, InputError, StorageError, UnknownCategoryError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.workflow.golden_set import (
    digest_of,
    golden_counts,
    members,
    replay,
    report_from_json,
)
from tests.storage.parts import everything
from tests.workflow.stored import workspace
from tests.workflow.versions import CATEGORY, CHECK, KNOWN, REJECT, Version, add_golden, know

__all__ = ["workspace"]


def replayed(workspace, version, **options):
    return replay(workspace, version, **{"product": CATEGORY, "category": CATEGORY} | options)


def test_a_report_counts_what_would_go_wrong(workspace):
    add_golden(workspace, KNOWN)
    report = replayed(workspace, Version("cap-1", check=0.15, reject=0.95))
    assert (report.escapes, report.doubtful, report.false_rejects, report.good_checked) == (0, 2, 0, 2)
    report = replayed(workspace, Version("cap-2", check=0.7, reject=0.8))
    assert (report.escapes, report.doubtful, report.false_rejects, report.good_checked) == (1, 0, 0, 0)
    report = replayed(workspace, Version("cap-3", check=0.1, reject=0.3))
    assert (report.escapes, report.doubtful, report.false_rejects, report.good_checked) == (0, 0, 1, 1)
    assert (report.known(Finding.GOOD), report.known(Finding.DEFECT)) == (2, 2)


def test_a_report_says_what_was_judged_with_what(workspace):
    add_golden(workspace, KNOWN)
    version = Version("cap-1")
    report = replayed(workspace, version)
    assert (report.checkpoint, report.checkpoint_sha256) == ("cap-1", version.checkpoint.sha256)
    assert (report.calibration_sha256, report.limits) == ("ef" * 32, Limits(check=CHECK, reject=REJECT))
    crack = next(one for one in report.pictures if one.name == "crack.png")
    assert (crack.finding, crack.verdict) == (Finding.DEFECT, Verdict.REJECT)
    assert crack.score == pytest.approx(0.9, abs=1 / 255)
    assert [one.name for one in report.pictures] == list(KNOWN)


def test_a_report_returns_from_json_equal(workspace):
    add_golden(workspace, KNOWN)
    report = replayed(workspace, Version("cap-1"))
    assert report_from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report


@pytest.mark.parametrize("content", [None, {}, {"pictures": "all"}, "<script>"])
def test_a_report_in_another_form_is_refused(content):
    with pytest.raises(StorageError, match="Replay the set"):
        report_from_json(content)


def test_only_golden_pictures_of_the_product_are_replayed(workspace):
    add_golden(workspace, KNOWN)
    add_golden(workspace, {"tooth.png": (0.8, Finding.DEFECT)}, product="gear", start=9)
    assert [one.name for one in replayed(workspace, Version("cap-1"), product="gear").pictures] == [
        "tooth.png"
    ]
    assert golden_counts(workspace) == {
        "cap": {Finding.GOOD: 2, Finding.DEFECT: 2},
        "gear": {Finding.DEFECT: 1},
    }
    assert replayed(workspace.of("others"), Version("cap-1")).pictures == ()


def test_the_digest_depends_on_pictures_and_findings_but_not_on_their_order(workspace):
    add_golden(workspace, KNOWN)
    pictures = members(workspace, CATEGORY)
    report = replayed(workspace, Version("cap-1"))
    assert report.digest == digest_of(pictures) == digest_of(reversed(pictures))
    assert report.digest != digest_of(pictures[1:])
    know(workspace, pictures[0].image_id, Finding.DEFECT)
    assert report.digest != digest_of(members(workspace, CATEGORY))


def test_a_replay_stores_nothing(workspace):
    add_golden(workspace, KNOWN)
    before = everything(workspace.database), len(inspections(workspace))
    replayed(workspace, Version("cap-1"))
    assert (everything(workspace.database), len(inspections(workspace))) == before


def test_progress_tells_how_many_pictures_are_judged(workspace):
    scores = {f"{number}.png": (0.2, Finding.GOOD) for number in range(6)}
    add_golden(workspace, scores)
    told = []
    version = Version("cap-1")
    replayed(workspace, version, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 6), (4, 6), (6, 6)]
    assert version.turns == [4, 2]


def test_an_empty_golden_set_gives_an_empty_report(workspace):
    version = Version("cap-1")
    report = replayed(workspace, version)
    assert (report.pictures, report.escapes, version.turns) == ((), 0, [])


def test_the_model_works_on_its_own_thread(workspace):
    add_golden(workspace, KNOWN)
    version = Version("cap-1")
    judge, threads = version.predict_batch, []

    def remembering(images, *, category):
        threads.append(threading.current_thread().name)
        return judge(images, category=category)

    version.predict_batch = remembering
    replayed(workspace, version)
    assert all(name.startswith("model") for name in threads)
    assert threads


def test_a_picture_whose_file_is_gone_is_an_error_and_not_left_out(workspace):
    add_golden(workspace, KNOWN)
    workspace.files.delete(FileKind.PICTURE, members(workspace, CATEGORY)[1].sha256)
    with pytest.raises(InputError, match=r"'dull.png' cannot be judged: A file of the store is missing"):
        replayed(workspace, Version("cap-1"))


def test_a_picture_that_cannot_be_judged_is_an_error_and_not_left_out(workspace):
    add_golden(workspace, KNOWN)
    version = Version("cap-1")
    judge = version.predict_batch

    def refusing(images, *, category):
        return [*judge(images, category=category)[:-1], InputError("It has too many pixels.")]

    version.predict_batch = refusing
    with pytest.raises(InputError, match=r"'crack.png' cannot be judged: It has too many pixels"):
        replayed(workspace, version)


def test_a_version_that_does_not_know_the_category_is_not_asked_to_guess(workspace):
    add_golden(workspace, KNOWN)
    version = Version("gear-1", categories=("gear",))
    with pytest.raises(UnknownCategoryError, match="gear-1 does not know the category 'cap'"):
        replayed(workspace, version)
    assert version.turns == []


def test_a_version_without_limits_leaves_every_part_to_a_person(workspace):
    add_golden(workspace, KNOWN)
    report = replayed(workspace, Version("cap-1", check=None, reject=None))
    assert (report.doubtful, report.good_checked, report.limits) == (2, 2, Limits())
    assert report_from_json(report.to_json()) == report


def test_a_checkpoint_without_hashes_is_refused(workspace):
    version = Version("cap-1")
    version.checkpoint.config = SimpleNamespace(sha256=None, resize="letterbox")
    with pytest.raises(CheckpointError, match="has no hashes"):
        replayed(workspace, version)
