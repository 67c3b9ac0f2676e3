"""What two reports over the golden set say about a version."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.workflow.golden_set import GoldenPicture, GoldenReport, digest_of
from mambaad_demo.workflow.promotion_gate import compare

GOOD, DEFECT = Finding.GOOD, Finding.DEFECT
ACCEPT, CHECK, REJECT = Verdict.ACCEPT, Verdict.CHECK, Verdict.REJECT


def report(*pictures, checkpoint="cap-2", limits=None):
    """A report over pictures given as (finding, verdict); the first one is called 0."""
    judged = tuple(
        GoldenPicture(sha256=f"{n:064x}", name=str(n), finding=finding, score=0.5, verdict=verdict)
        for n, (finding, verdict) in enumerate(pictures)
    )
    return GoldenReport(
        product="cap",
        category="cap",
        checkpoint=checkpoint,
        checkpoint_sha256="ab" * 32,
        calibration_sha256="ef" * 32,
        limits=Limits(check=0.4, reject=0.5) if limits is None else limits,
        tiles=1,
        digest=digest_of(judged),
        pictures=judged,
        kernel="torch",
        device="cpu",
        app_version="0",
        replayed_at=datetime(2026, 5, 4, tzinfo=UTC),
    )


def names(pairs):
    return [pair.after.name for pair in pairs]


@pytest.mark.parametrize(
    ("before", "after", "is_blocked"),
    [
        (REJECT, ACCEPT, True),
        (CHECK, ACCEPT, True),
        (ACCEPT, ACCEPT, False),
        (ACCEPT, REJECT, False),
        (REJECT, CHECK, False),
        (REJECT, REJECT, False),
    ],
)
def test_a_version_is_blocked_when_a_defect_is_accepted_that_was_not_before(before, after, is_blocked):
    gate = compare(report((GOOD, ACCEPT), (DEFECT, before)), report((GOOD, ACCEPT), (DEFECT, after)))
    assert gate.is_blocked is is_blocked
    assert gate.headline.startswith("Blocked" if is_blocked else "Passed")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_without_an_earlier_report_any_escape_blocks(verdict):
    assert compare(None, report((GOOD, ACCEPT), (DEFECT, verdict))).is_blocked is (verdict is ACCEPT)


def test_good_parts_never_block():
    gate = compare(report((GOOD, ACCEPT), (DEFECT, REJECT)), report((GOOD, REJECT), (DEFECT, REJECT)))
    assert not gate.is_blocked
    assert names(gate.new_false_rejects) == ["0"]
    assert gate.sentences == ("1 good part is rejected (false rejects), but not before.",)


def test_what_got_worse_and_better_is_told_apart():
    before = report((DEFECT, REJECT), (DEFECT, ACCEPT), (DEFECT, ACCEPT), (GOOD, REJECT), (GOOD, ACCEPT))
    after = report((DEFECT, ACCEPT), (DEFECT, ACCEPT), (DEFECT, CHECK), (GOOD, CHECK), (GOOD, REJECT))
    gate = compare(before, after)
    assert names(gate.new_escapes) == ["0"]
    assert names(gate.escapes) == ["0", "1"]
    assert names(gate.cured_escapes) == ["2"]
    assert names(gate.cured_false_rejects) == ["3"]
    assert names(gate.new_false_rejects) == ["4"]
    assert [pair.is_changed for pair in gate.pairs] == [True, False, True, True, True]
    assert gate.headline == "Blocked: 1 defective part that did not get through before would be accepted."
    assert gate.sentences == (
        "1 defective part is no longer accepted.",
        "1 good part is rejected (false rejects), but not before.",
        "1 good part is no longer rejected.",
    )


def test_defects_that_are_only_to_be_checked_are_told():
    before = report((GOOD, ACCEPT), (DEFECT, REJECT), (DEFECT, REJECT))
    gate = compare(before, report((GOOD, ACCEPT), (DEFECT, CHECK), (DEFECT, CHECK)))
    assert gate.sentences == ("2 defective parts are only to be checked, no longer rejected.",)


def test_an_escape_that_was_known_before_passes_but_is_said():
    same = report((GOOD, ACCEPT), (DEFECT, ACCEPT), (DEFECT, ACCEPT))
    assert compare(same, same).headline == (
        "Passed: nothing new gets through, but 2 defective parts are still accepted."
    )


def test_an_empty_golden_set_does_not_block_but_warns_loudly():
    gate = compare(None, report())
    assert not gate.is_blocked
    assert gate.headline == "Nothing was tried: the golden set is empty."
    assert gate.warnings == (
        "Nothing stands between a bad version and production: mark known parts as golden on the Review page.",
    )


@pytest.mark.parametrize(("finding", "lacks"), [(GOOD, "defective"), (DEFECT, "good")])
def test_a_golden_set_of_one_kind_warns(finding, lacks):
    (warning,) = compare(None, report((finding, CHECK))).warnings
    assert f"holds no {lacks} part" in warning


def test_without_a_known_defect_nothing_is_called_passed():
    assert compare(None, report((GOOD, ACCEPT))).headline == (
        "Nothing blocks it, but no known defect was tried."
    )


def test_a_whole_golden_set_brings_no_warning():
    assert compare(None, report((GOOD, ACCEPT), (DEFECT, REJECT))).warnings == ()


def test_a_version_without_limits_warns():
    gate = compare(None, report((GOOD, CHECK), (DEFECT, CHECK), limits=Limits()))
    (warning,) = gate.warnings
    assert warning.startswith("cap-2 has no limits for cap")


def test_reports_over_different_sets_are_not_compared_silently():
    before, after = report((GOOD, ACCEPT)), report((GOOD, ACCEPT), (DEFECT, ACCEPT))
    gate = compare(before, after)
    assert gate.is_blocked
    assert any("different golden sets" in warning for warning in gate.warnings)


def test_a_part_that_was_taken_for_good_before_is_a_new_escape():
    before = report((GOOD, ACCEPT))
    after = replace(before, pictures=(replace(before.pictures[0], finding=DEFECT),))
    assert compare(before, after).is_blocked
