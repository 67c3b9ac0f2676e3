"""Who appraises the parts of a study: its checkpoint, and the people who decided on their pictures."""

from collections import defaultdict

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage import labels
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.studies.attribute_msa import Appraiser, Sheet, attribute_msa
from mambaad_demo.workflow.studies.study import Study

FINDINGS = {
    Verdict.ACCEPT: Finding.GOOD,
    Verdict.CHECK: Finding.UNSURE,
    Verdict.REJECT: Finding.DEFECT,
}
"""What a verdict says of a part; `check` says that a person should."""


def msa_sheet(workspace: Workspace, study: Study) -> Sheet:
    """The attribute agreement analysis of a study's parts: references as they were when it ran, decisions of
    people as they are now."""
    return attribute_msa(
        {part.sha256s[0]: part.reference for part in study.parts},
        [checkpoint_appraiser(study), *people(workspace, study)],
    )


def checkpoint_appraiser(study: Study) -> Appraiser:
    """The checkpoint, each shot a trial."""
    return Appraiser(
        name=study.spec.checkpoint,
        is_person=False,
        trials={
            part.sha256s[0]: tuple(FINDINGS[shot.verdict] for shot in part.shots) for part in study.parts
        },
    )


def people(workspace: Workspace, study: Study) -> list[Appraiser]:
    """Everybody who decided on a picture of the study, by name; hidden repeats are further trials."""
    part_of = {sha256: part.sha256s[0] for part in study.parts for sha256 in part.sha256s}
    trials: defaultdict[str, defaultdict[str, list[Finding]]] = defaultdict(lambda: defaultdict(list))
    for picture in stored_pictures(workspace, sha256s=part_of.keys()):
        for decision in _looks(labels.history(workspace, picture.id)):
            trials[decision.reviewer][part_of[picture.sha256]].append(decision.finding)
    return [Appraiser(name=name, is_person=True, trials=trials[name]) for name in sorted(trials)]


def _looks(history: list[StoredDecision]) -> list[StoredDecision]:
    """Decisions that are looks of their own: each reviewer's standing word, and their hidden repeats.

    An earlier word that was corrected is no look of its own, nor is one that was undone.
    """
    standing = [decision for decision in history if decision.undone_at is None]
    newest = {decision.reviewer: decision.id for decision in standing if not decision.is_repeat}
    return [
        decision for decision in standing if decision.is_repeat or newest[decision.reviewer] == decision.id
    ]
