"""Trying a version: what it is compared with, whatever became of the version before."""

import pytest

from mambaad_demo.errors import UnknownCategoryError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage import promotions
from mambaad_demo.workflow.golden_set import members
from mambaad_demo.workflow.promotion import promote, trying
from tests.storage.parts import everything
from tests.workflow.stored import workspace
from tests.workflow.versions import CATEGORY, KNOWN, Version, Versions, add_golden, know

__all__ = ["workspace"]


def told(workspace, version, catalog, **options):
    """Progress, and the trial."""
    steps, progress = trying(workspace, version, category=CATEGORY, load=catalog.predictor, **options), []
    while True:
        try:
            progress.append(next(steps))
        except StopIteration as end:
            return progress, end.value


def tried(workspace, version, catalog, **options):
    return told(workspace, version, catalog, **options)[1]


def activate(workspace, version, catalog):
    promote(
        workspace, version, category=CATEGORY, note="first", actor="Mira", load=catalog.predictor, base=None
    )


@pytest.fixture
def catalog(workspace):
    """cap-1 is active and finds all defects; cap-2 would accept the scratch."""
    add_golden(workspace, KNOWN)
    versions = Versions(Version("mambaad"), Version("cap-1"), Version("cap-2", check=0.7, reject=0.8))
    activate(workspace, versions.predictor("cap-1"), versions)
    return versions


def test_the_active_version_is_replayed_too(workspace, catalog):
    progress, trial = told(workspace, catalog.predictor("cap-2"), catalog)
    assert trial.before.checkpoint == "cap-1"
    assert [pair.after.name for pair in trial.gate.new_escapes] == ["scratch.png"]
    assert trial.notes == ("Compared with cap-1, the active version.",)
    assert progress == [Progress(done=done, total=8) for done in (0, 4, 4, 8)]


def test_a_trial_knows_which_promotion_was_the_newest(workspace, catalog):
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert trial.seen == promotions.history(workspace, CATEGORY)[0].id
    assert tried(workspace.of("others"), catalog.predictor("cap-2"), catalog).seen == promotions.NOTHING


def test_a_trial_stores_nothing(workspace, catalog):
    before = everything(workspace.database)
    tried(workspace, catalog.predictor("cap-2"), catalog)
    assert everything(workspace.database) == before


def test_limits_in_force_today_count_not_those_of_the_promotion(workspace, catalog):
    catalog.versions["cap-1"] = Version("cap-1", check=0.7, reject=0.8)
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert (trial.before.escapes, trial.gate.is_blocked) == (1, False)


def test_a_changed_golden_set_is_said_and_the_version_before_is_replayed_on_it(workspace, catalog):
    add_golden(workspace, {"dent.png": (0.75, Finding.DEFECT)}, start=9)
    pictures = {member.name: member.image_id for member in members(workspace, CATEGORY)}
    know(workspace, pictures["fine.png"], Finding.GOOD, is_golden=False)
    know(workspace, pictures["dull.png"], Finding.DEFECT)
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert trial.before.digest == trial.after.digest
    assert trial.notes == (
        "Compared with cap-1, the active version, which was replayed on the golden set of today.",
        "The golden set has changed since cap-1 was promoted: 1 joined, 1 left, 1 known as something else "
        "now.",
    )


def test_the_recorded_report_stands_in_for_a_version_that_is_gone(workspace, catalog):
    del catalog.versions["cap-1"]
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert (trial.before.checkpoint, trial.before.escapes) == ("cap-1", 0)
    assert trial.gate.is_blocked
    gone, recorded = trial.notes
    assert gone.startswith("cap-1, the active version, cannot be replayed. There is no checkpoint")
    assert recorded == "Compared with what was recorded at its promotion."


def test_other_weights_under_the_name_of_the_active_version_are_not_taken_for_it(workspace, catalog):
    catalog.versions["cap-1"] = Version("cap-1", weights="other", check=0.95, reject=0.99)
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert trial.before.escapes == 0
    assert "Other weights lie under its name now." in trial.notes[0]


def test_a_record_over_another_golden_set_is_not_compared_with(workspace, catalog):
    del catalog.versions["cap-1"]
    add_golden(workspace, {"dent.png": (0.75, Finding.DEFECT)}, start=9)
    trial = tried(workspace, catalog.predictor("cap-2"), catalog)
    assert trial.before is None
    assert trial.gate.is_blocked
    assert trial.notes[-1] == "There is nothing to compare with, so any escape blocks."


def test_the_active_version_is_compared_with_itself(workspace, catalog):
    version = catalog.predictor("cap-1")
    version.turns.clear()
    trial = tried(workspace, version, catalog)
    assert trial.before is trial.after
    assert trial.notes == ("cap-1 is the active version itself.",)
    assert version.turns == [4]


def test_while_nothing_is_active_the_default_checkpoint_is_compared_with(workspace):
    add_golden(workspace, KNOWN)
    catalog = Versions(Version("mambaad", check=0.7, reject=0.8), Version("cap-1", check=0.7, reject=0.8))
    trial = tried(workspace, catalog.predictor("cap-1"), catalog)
    assert trial.before.checkpoint == "mambaad"
    assert not trial.gate.is_blocked
    assert trial.notes == ("No version of cap is active. Compared with mambaad, which stands in.",)


@pytest.mark.parametrize(
    ("base", "note"),
    [
        (None, "No version of cap is active: there is nothing"),
        (Version("mambaad", categories=("gear",)), "mambaad has no limits for it: there is nothing"),
        (Version("mambaad", check=None, reject=None), "mambaad has no limits for it: there is nothing"),
        (Version("else"), "mambaad, which would stand in, cannot be loaded: there is nothing"),
    ],
)
def test_a_default_that_cannot_judge_the_category_is_not_compared_with(workspace, base, note):
    add_golden(workspace, KNOWN)
    version = Version("cap-1", check=0.7, reject=0.8)
    catalog = Versions(version, *([base] if base else []))
    trial = tried(workspace, version, catalog, base="mambaad" if base else None)
    assert trial.before is None
    assert trial.gate.is_blocked
    assert note in trial.notes[0]


def test_the_default_checkpoint_itself_lets_nothing_new_through(workspace):
    add_golden(workspace, KNOWN)
    version = Version("mambaad", check=0.7, reject=0.8)
    trial = tried(workspace, version, Versions(version))
    assert trial.gate.escapes
    assert not trial.gate.is_blocked


def test_golden_pictures_of_another_product_can_be_chosen(workspace):
    add_golden(workspace, {"old.png": (0.9, Finding.DEFECT)}, product="cap, second line")
    version = Version("cap-1")
    trial = tried(workspace, version, Versions(version), product="cap, second line", base=None)
    assert (trial.after.product, trial.after.category) == ("cap, second line", "cap")
    assert [one.name for one in trial.after.pictures] == ["old.png"]
    assert trial.notes[-1] == "Tried on the golden set of cap, second line."
    add_golden(workspace, KNOWN, start=9)
    trial = tried(workspace, version, Versions(version), product="cap, second line", base=None)
    assert trial.notes[-1].endswith("The golden set of cap itself, 4 pictures, was not tried.")


def test_a_version_that_does_not_know_the_category_is_refused_at_once(workspace, catalog):
    with pytest.raises(UnknownCategoryError, match="gear-1 does not know the category 'cap'"):
        tried(workspace, Version("gear-1", categories=("gear",)), catalog)
