"""Checkpoint and people as appraisers of a study's parts."""

import pytest

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import labels
from mambaad_demo.workflow.studies.appraisers import checkpoint_appraiser, msa_sheet, people
from mambaad_demo.workflow.studies.repeatability import run_study
from mambaad_demo.workflow.studies.study import ShotKind
from tests.workflow.studies.line import part, scripted, spec, study


@pytest.fixture
def judged(line):
    """A good and a defective part that mira decided on; two shots each."""
    good = line.add("good.png", Finding.GOOD)
    bad = line.add("bad.png", Finding.DEFECT)
    scores = [0.3, 0.45, *[0.3] * 6, 0.6, 0.3, *[0.3] * 6]
    *_, found = run_study(line.workspace, scripted(scores), spec())
    return found, good, bad


def test_each_shot_is_a_trial_of_the_checkpoint_and_check_decides_nothing():
    machine = checkpoint_appraiser(study(part(0.5, 0.9, 1.5)))
    assert not machine.is_person
    assert machine.trials == {"cd" * 32: (Finding.GOOD, Finding.UNSURE, Finding.DEFECT)}


def test_hidden_repeats_are_trials(line, judged):
    found, good, bad = judged
    line.decide(good, Finding.DEFECT, is_repeat=True)
    line.decide(good, Finding.GOOD, is_repeat=True)
    (mira,) = people(line.workspace, found)
    assert mira.trials[good.sha256] == [Finding.GOOD, Finding.DEFECT, Finding.GOOD]
    assert mira.trials[bad.sha256] == [Finding.DEFECT]


def test_words_that_were_corrected_or_undone_are_no_trials(line, judged):
    found, good, _ = judged
    line.decide(good, Finding.UNSURE)
    line.decide(good, Finding.DEFECT, reviewer="jo")
    labels.undo(line.workspace, reviewer="jo")
    (mira,) = people(line.workspace, found)
    assert mira.trials[good.sha256] == [Finding.UNSURE]


def test_decisions_on_other_pictures_do_not_count(line, judged):
    found, *_ = judged
    line.add("another.png", Finding.GOOD, reviewer="stranger")
    assert [person.name for person in people(line.workspace, found)] == ["mira"]


def test_decisions_in_another_workspace_do_not_count(line, judged):
    found, *_ = judged
    assert people(line.workspace.of("others"), found) == []


def test_decisions_on_any_stored_shot_are_trials_of_the_part(line):
    first = line.add("a_1.png", Finding.GOOD)
    line.add("a_2.png", Finding.GOOD)
    line.add("a_3.png", Finding.GOOD, reviewer="jo")
    *_, found = run_study(line.workspace, scripted([0.3] * 3), spec(kind=ShotKind.STORED, shots=3))
    trials = {person.name: person.trials for person in people(line.workspace, found)}
    assert trials == {
        "jo": {first.sha256: [Finding.GOOD]},
        "mira": {first.sha256: [Finding.GOOD, Finding.GOOD]},
    }


def test_the_sheet_holds_checkpoint_and_people(line, judged):
    found, good, bad = judged
    for inspection in (good, bad):
        line.decide(inspection, Finding.DEFECT, reviewer="jo")
    sheet = msa_sheet(line.workspace, found)
    machine, jo, mira = sheet.appraisals
    assert [machine.name, jo.name, mira.name] == ["mambaad", "jo", "mira"]
    assert (machine.miss.count, machine.miss.total) == (1, 2)
    assert (jo.false_alarm.count, jo.own) == (1, 0)
    assert (mira.own, mira.effectiveness) == (2, None)  # the references are her own word
