"""Limits that people set: kept, in force, taken back, and stored results judged by them."""

import numpy as np
import pytest

from mambaad_demo.errors import CheckpointError, InputError
from mambaad_demo.pipeline.calibration import moved_to
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import good_percentile
from mambaad_demo.storage import audit, limits
from mambaad_demo.storage.inspections import VersionFacts, closeness, inspections
from mambaad_demo.storage.limits import Source
from mambaad_demo.storage.rejudging import stored_scores
from mambaad_demo.workflow.batches import BatchSpec
from tests.pipeline.conftest import stub_predictor
from tests.workflow.gray_line import NAME, inspect, line_predictor, part, score_of, verdicts
from tests.workflow.stored import inspected

STRICT = Limits(check=0.1, reject=0.2)
LOOSE = Limits(check=0.3, reject=0.4)
PARTS = {"a.png": part(0.05), "b.png": part(0.15, 1), "c.png": part(0.35, 2), "d.png": part(0.45, 3)}


@pytest.fixture(scope="module")
def predictor():
    return line_predictor()


def known(predictor, category="gray"):
    return predictor.checkpoint.calibration.categories[category]


def set_limits(workspace, predictor, pair, *, category="gray", **how):
    calibration = moved_to(known(predictor), pair)
    options = {"source": Source.PHOTOS, "actor": "Mira"} | how
    return limits.save(workspace, predictor, category, calibration, **options)


def test_nothing_set_leaves_the_predictor_as_it_is(workspace, predictor):
    assert limits.in_force(workspace, predictor) is predictor
    assert limits.newest(workspace, predictor, "gray") is None


def test_the_newest_set_is_in_force_and_all_are_kept(workspace, predictor):
    set_limits(workspace, predictor, STRICT, note="first =1+1")
    set_limits(workspace, predictor, LOOSE, is_moved=True, source=Source.LABELS)
    in_force = limits.in_force(workspace, predictor)
    assert in_force.limits("gray") == LOOSE
    assert in_force.limits("brown") == predictor.limits("brown")
    newest, first = limits.history(workspace, predictor, "gray")
    assert (newest.source, newest.is_moved, newest.actor) == (Source.LABELS, True, "Mira")
    assert (first.note, first.is_moved, first.calibration.reject) == ("first =1+1", False, STRICT.reject)
    assert newest.calibration == moved_to(known(predictor), LOOSE)
    assert limits.newest(workspace, predictor, "gray") == newest


def test_limits_belong_to_workspace_weights_category_and_tiles(workspace, predictor):
    set_limits(workspace, predictor, STRICT)
    other = workspace.of("others")
    assert limits.in_force(other, predictor) is predictor
    assert limits.history(other, predictor, "gray") == []
    assert limits.history(workspace, predictor.tiled(2), "gray") == []
    assert limits.history(workspace, predictor, "brown") == []
    set_limits(workspace, predictor.tiled(2), LOOSE)
    both = limits.in_force(workspace, predictor)
    assert (both.limits("gray"), both.tiled(2).limits("gray")) == (STRICT, LOOSE)


def test_what_was_judged_by_replaced_limits_catches_up_with_those_in_force(workspace, predictor):
    set_limits(workspace, predictor, LOOSE)
    judge = limits.in_force(workspace, predictor)
    assert limits.catch_up(workspace, judge) == (judge, ())
    set_limits(workspace, predictor, STRICT)
    with pytest.MonkeyPatch.context() as patch:  # a batch notices by itself
        patch.setattr(limits, "catch_up", lambda _, used: (used, ()))
        inspected(workspace, PARTS, predictor=judge, spec=BatchSpec(checkpoint=NAME, category="gray"))
    after, changed = limits.catch_up(workspace, judge)
    assert (after.limits("gray"), changed) == (STRICT, ("gray",))
    assert list(verdicts(workspace).values()) == ["accept", "check", "reject", "reject"]


def test_catching_up_leaves_the_results_of_others_alone(workspace, predictor):
    other = workspace.of("others")
    for one in (workspace, other):
        set_limits(one, predictor, LOOSE)
        inspect(one, predictor, PARTS)
    judge = limits.in_force(workspace, predictor)
    before = verdicts(other)
    set_limits(workspace, predictor, STRICT)
    limits.catch_up(workspace, judge)
    assert verdicts(other) == before
    assert verdicts(workspace) != before


def test_where_all_sets_were_taken_back_results_catch_up_with_the_checkpoints_own(workspace, predictor):
    set_limits(workspace, predictor, STRICT)
    judge = limits.in_force(workspace, predictor)
    limits.take_back(workspace, predictor, "gray", actor="Mira")
    after, changed = limits.catch_up(workspace, judge)
    assert (after.limits("gray"), changed) == (predictor.limits("gray"), ("gray",))


def test_taking_back_lets_the_checkpoints_own_limits_hold(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    before = {one.id: one for one in inspections(workspace)}
    set_limits(workspace, predictor, LOOSE)
    changed = limits.take_back(workspace, predictor, "gray", actor="Mira", note="wrong lamp")
    assert limits.in_force(workspace, predictor) is predictor
    assert limits.newest(workspace, predictor, "gray").calibration is None
    for one in inspections(workspace):
        was = before[one.id]
        assert (one.verdict, one.limits, one.calibration_sha256) == (
            was.verdict, was.limits, was.calibration_sha256,
        )  # fmt: skip
    assert changed.after[Verdict.REJECT] == sum(one.verdict is Verdict.REJECT for one in before.values())
    with pytest.raises(InputError, match="in force already"):
        limits.take_back(workspace, predictor, "gray", actor="Mira")


def test_stored_results_are_judged_by_the_new_limits(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    changed = set_limits(workspace, predictor, LOOSE)
    assert verdicts(workspace) == {"a.png": "accept", "b.png": "accept", "c.png": "check", "d.png": "reject"}
    assert (changed.before.total(), changed.after) == (
        4,
        {Verdict.ACCEPT: 2, Verdict.CHECK: 1, Verdict.REJECT: 1},
    )
    in_force = limits.in_force(workspace, predictor)
    for one in inspections(workspace):
        assert one.limits == LOOSE
        assert one.closeness == pytest.approx(closeness(one.score, LOOSE))
        assert one.percentile == pytest.approx(good_percentile(one.score, in_force.calibration_of("gray")))
        assert one.pixel_median == in_force.calibration_of("gray").pixel_quantiles["0.5"]
        assert one.calibration_sha256 == VersionFacts.of(in_force).calibration_sha256
        assert (one.regions == []) == (one.verdict is Verdict.ACCEPT)


def test_a_result_judged_later_is_the_same_as_one_judged_anew(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    set_limits(workspace, predictor, STRICT)
    inspect(workspace, predictor, PARTS)
    anew, later = inspections(workspace)[:4], inspections(workspace)[4:]
    for one, other in zip(anew, later, strict=True):
        for name in ("verdict", "limits", "percentile", "pixel_median", "closeness", "notes"):
            assert getattr(one, name) == getattr(other, name)
        assert one.calibration_sha256 == other.calibration_sha256
        assert one.embedding_distance == pytest.approx(other.embedding_distance)


def test_other_workspaces_tiles_and_checkpoints_are_left_alone(workspace, predictor):
    other = workspace.of("others")
    inspect(other, predictor, PARTS)
    inspect(workspace, predictor, PARTS, tiles=2)
    before = [*inspections(other), *inspections(workspace)]
    assert set_limits(workspace, predictor, LOOSE).after.total() == 0
    assert [*inspections(other), *inspections(workspace)] == before


def test_results_of_other_categories_follow_to_the_version_of_the_new_limits(workspace, predictor):
    inspect(workspace, predictor, {"brown.png": part(0.1, 9)}, category="brown")
    (before,) = inspections(workspace)
    set_limits(workspace, predictor, LOOSE)
    (after,) = inspections(workspace)
    assert (after.limits, after.verdict) == (before.limits, before.verdict)
    in_force = limits.in_force(workspace, predictor)
    assert (
        after.calibration_sha256 == VersionFacts.of(in_force).calibration_sha256 != before.calibration_sha256
    )


def test_parts_of_a_new_product_get_their_first_limits(workspace, predictor):
    inspect(workspace, predictor, PARTS, category=None, product="washer")
    guessed = {one.category for one in inspections(workspace)}
    assert "washer" not in guessed
    set_limits(workspace, predictor, LOOSE, category="washer")
    for one in inspections(workspace):
        assert (one.category, one.limits) == ("washer", LOOSE)
        assert one.embedding_distance is None  # it was to the centroid of what the model took it for
    limits.take_back(workspace, predictor, "washer", actor="Mira")
    for one in inspections(workspace):
        assert (one.verdict, one.limits, one.closeness) == (Verdict.CHECK, Limits(), None)
        assert any("washer has no limits yet" in note for note in one.notes)
    set_limits(workspace, predictor, LOOSE, category="washer")
    assert not any("no limits" in note for one in inspections(workspace) for note in one.notes)


def test_a_part_that_somebody_judged_as_another_category_keeps_it(workspace, predictor):
    inspect(workspace, predictor, PARTS, category="brown", product="gray")
    assert set_limits(workspace, predictor, LOOSE).after.total() == 0


def test_distances_to_a_centroid_that_moved_are_dropped(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    calibration = known(predictor).model_copy(update={"embedding": (0.1, 0.1, 0.1)})
    limits.save(workspace, predictor, "gray", calibration, source=Source.PHOTOS, actor="Mira")
    assert {one.embedding_distance for one in inspections(workspace)} == {None}


def test_one_line_of_the_trail_tells_what_changed(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    set_limits(workspace, predictor, LOOSE)
    (entry,) = [entry for entry in audit.entries(workspace) if entry.action == "limits set"]
    assert (entry.actor, entry.subject) == ("Mira", "limits stub gray")
    assert sum(entry.details["before"].values()) == 4
    assert entry.details["after"] == {"accept": 2, "check": 1, "reject": 1}
    assert (entry.details["source"], entry.details["reject"]) == ("photos", LOOSE.reject)


def test_a_failure_changes_nothing(workspace):
    unsaved = stub_predictor()
    calibration = known(unsaved)
    with pytest.raises(CheckpointError, match="no hashes"):
        limits.save(workspace, unsaved, "gray", calibration, source=Source.PHOTOS, actor="Mira")
    assert limits.history(workspace, unsaved, "gray") == []
    assert audit.entries(workspace) == []


@pytest.mark.parametrize("name", ["", "  \n", "x" * 101])
def test_a_category_has_a_name(workspace, predictor, name):
    with pytest.raises(InputError, match="1 to 100"):
        set_limits(workspace, predictor, LOOSE, category=name)


def test_stored_scores_are_those_that_would_be_judged(workspace, predictor):
    inspect(workspace, predictor, PARTS)
    inspect(workspace, predictor, {"brown.png": part(0.1, 9)}, category="brown")
    scores = [found.score for found in stored_scores(workspace, predictor, "gray")]
    assert scores == pytest.approx([score_of(score) for score in (0.05, 0.15, 0.35, 0.45)], abs=1e-6)
    assert np.isfinite(scores).all()
