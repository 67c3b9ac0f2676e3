"""What reports say of batches and studies."""

from datetime import UTC, datetime

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage import jobs
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.jobs import Refused
from mambaad_demo.workflow.report import contents
from mambaad_demo.workflow.report.contents import batch_report, study_report
from mambaad_demo.workflow.studies.appraisers import msa_sheet
from mambaad_demo.workflow.studies.repeatability import limits_in_force
from tests.storage.parts import PRODUCT, VERSION, judged
from tests.workflow.studies.line import BAD, LIMITS, part, scripted, study


@pytest.fixture
def batch(line):
    """A batch of five parts, one of them refused; two of the others are decided on."""
    job_id = jobs.create_job(line.workspace, kind=jobs.BATCH, name="Monday", spec={}, actor="mira")
    scores = {"a.png": 0.2, "b.png": 0.45, "c.png": 0.6, "d.png": 0.9}
    items = [
        judged(number, name=name, image_score=score, verdict=LIMITS.verdict(score))
        for number, (name, score) in enumerate(scores.items())
    ]
    listed = enumerate([*items, Refused(name="e.png", error="It is damaged.")])
    jobs.add_items(line.workspace, job_id, list(listed), version=VERSION, tiles=1)
    inspected = [item.inspection for item in jobs.items(line.workspace, job_id) if item.inspection]
    line.decide(inspected[2], Finding.GOOD)
    line.decide(inspected[3], Finding.DEFECT)
    line.decide(inspected[0], Finding.DEFECT)
    return job_id


def test_verdicts_are_counted_by_what_people_found(line, batch):
    table = batch_report(line.workspace, batch).verdicts
    assert table.columns == ("good", "defect", "not decided")
    assert table.count(Verdict.REJECT, "good") == 1
    assert table.count(Verdict.REJECT) == 2
    assert table.count(column="not decided") == 1
    assert table.count() == 4
    assert (table.false_rejects.count, table.false_rejects.total) == (1, 1)
    assert (table.escapes.count, table.escapes.total) == (1, 2)


def test_reviewers_who_disagree_leave_a_part_divided(line, batch):
    inspected = jobs.items(line.workspace, batch)[2].inspection
    line.decide(inspected, Finding.DEFECT, reviewer="jo")
    table = batch_report(line.workspace, batch).verdicts
    assert table.count(Verdict.REJECT, "divided") == 1
    assert table.false_rejects is None


def test_rejected_parts_come_before_checked_ones_the_highest_scores_first(line, batch):
    report = batch_report(line.workspace, batch)
    assert [(shown.name, shown.verdict) for shown in report.parts] == [
        ("d.png", Verdict.REJECT),
        ("c.png", Verdict.REJECT),
        ("b.png", Verdict.CHECK),
    ]
    assert report.parts[0].multiple == pytest.approx(1.8)
    assert report.parts[0].thumbnail.startswith(b"\xff\xd8")
    assert report.more_parts == 0


def test_at_most_so_many_parts_are_shown_and_the_rest_is_counted(line, batch, monkeypatch):
    monkeypatch.setattr(contents, "MOST_PICTURES", 1)
    report = batch_report(line.workspace, batch)
    assert ([shown.name for shown in report.parts], report.more_parts) == (["d.png"], 2)


def test_a_deleted_thumbnail_leaves_a_gap_and_no_error(line, batch):
    (first, *_) = batch_report(line.workspace, batch).parts
    line.workspace.files.delete(FileKind.THUMBNAIL, first.sha256)
    assert batch_report(line.workspace, batch).parts[0].thumbnail is None


def test_refused_pictures_are_listed_with_the_reason(line, batch):
    assert batch_report(line.workspace, batch).refused == (("e.png", "It is damaged."),)


def test_hashes_and_limits_are_those_of_the_inspections(line, batch):
    report = batch_report(line.workspace, batch)
    facts = dict(report.facts)
    assert facts["Checkpoint SHA-256"] == VERSION.sha256
    assert facts["Calibration SHA-256"] == VERSION.calibration_sha256
    assert facts["Ran on"] == "cpu, kernel torch, float32, MambaAD Inspector 0.1.0"
    (limits,) = report.limits
    assert (limits.category, limits.check, limits.reject, limits.reject_rate) == (PRODUCT, 0.4, 0.5, None)


def test_rates_are_told_where_the_limits_are_still_the_same(line, batch):
    known = limits_in_force(scripted([]), PRODUCT)
    (limits,) = batch_report(line.workspace, batch, known_limits=[known]).limits
    assert limits.reject_rate == 0.01
    (limits,) = batch_report(
        line.workspace, batch, known_limits=[limits_in_force(scripted([]), "circuit_board")]
    ).limits
    assert limits.reject_rate is None


def test_a_batch_without_a_single_picture_has_a_report(line):
    job_id = jobs.create_job(line.workspace, kind=jobs.BATCH, name="nothing", spec={}, actor="mira")
    report = batch_report(line.workspace, job_id)
    assert (report.products, report.limits, report.verdicts.count()) == ((), (), 0)


def test_a_batch_of_others_has_no_report(line, batch):
    with pytest.raises(InputError, match="no longer here"):
        batch_report(line.workspace.of("others"), batch)


def test_a_study_reports_its_first_shots_and_the_parts_that_change(line):
    found = study(
        part(0.5, 0.6, name="steady"),
        part(0.9, 1.1, name="doubtful", sha256="ef" * 32),
        part(1.5, 1.6, name="bad", reference=BAD, sha256="01" * 32),
    )
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    report = study_report(line.workspace, found, msa_sheet(line.workspace, found), made_at=at)
    assert report.made_at == at
    assert report.verdicts.count(Verdict.CHECK, "good") == 1
    assert report.verdicts.count(Verdict.REJECT, "defect") == 1
    assert [shown.name for shown in report.parts] == ["doubtful"]
    assert dict(report.facts)["Checkpoint SHA-256"] == VERSION.sha256
    assert report.limits == found.limits


def test_what_a_study_does_not_show_depends_on_how_it_was_run(line):
    found = study(part(0.5, 0.6))
    report = study_report(line.workspace, found, msa_sheet(line.workspace, found))
    assert any("made by software" in sentence for sentence in report.does_not_show)
    assert any("being near a limit" in sentence for sentence in report.does_not_show)
    assert any("Decisions of 0 people" in sentence for sentence in report.rests_on)
