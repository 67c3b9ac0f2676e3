"""What limits would do, and everything there is to say about them."""

import json

import numpy as np
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import moved_to
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import limits
from mambaad_demo.storage.limits import Source
from mambaad_demo.workflow import calibrating
from mambaad_demo.workflow.calibrating import Measured
from mambaad_demo.workflow.limit_overview import overview, overview_json, standing_limits
from tests.workflow.gray_line import good_parts, inspect, line_predictor, part, say
from tests.workflow.stored import workspace

__all__ = ["workspace"]

DEFECTS = {f"bad {n}.png": part(0.3 + 0.05 * n, 50 + n) for n in range(4)}


@pytest.fixture(scope="module")
def predictor():
    return line_predictor()


@pytest.fixture
def filled(workspace, predictor):
    """Twenty good parts of 0.15 to 0.19, four defective ones of 0.3 to 0.45, one nobody looked at."""
    inspect(workspace, predictor, good_parts() | DEFECTS | {"new.png": part(0.25, 90)})
    say(workspace, good_parts(), Finding.GOOD)
    say(workspace, DEFECTS, Finding.DEFECT)
    return workspace


def tried(predictor, check, reject):
    calibration = moved_to(predictor.calibration_of("gray"), Limits(check=check, reject=reject))
    return Measured(
        category="gray", tiles=1, calibration=calibration, source=Source.CHECKPOINT, is_moved=True
    )


def test_limits_are_tried_on_labeled_and_on_all_stored_parts(filled, predictor):
    seen = overview(filled, predictor, "gray", tried(predictor, 0.22, 0.37))
    effect = seen.effect
    assert (effect.labeled_good.accept, effect.labeled_good.total) == (20, 20)
    assert (effect.labeled_defects.check, effect.labeled_defects.reject) == (2, 2)
    assert (effect.stored_after.accept, effect.stored_after.check, effect.stored_after.reject) == (20, 3, 2)
    assert effect.stored_before.reject == 25  # the checkpoint's own limits are far below
    assert not seen.is_in_force
    assert seen.standing == predictor.limits("gray")


def test_what_was_tried_on_comes_true_when_it_is_saved(filled, predictor):
    trial = tried(predictor, 0.22, 0.37)
    promised = overview(filled, predictor, "gray", trial).effect.stored_after
    calibrating.outcome(calibrating.put_in_force(filled, predictor, trial, actor="Mira"))
    seen = overview(filled, predictor, "gray")
    assert seen.effect.stored_before == seen.effect.stored_after == promised
    assert seen.is_in_force
    assert (seen.source, seen.is_moved) == (Source.CHECKPOINT, True)


def test_of_a_picture_the_newest_result_counts(filled, predictor):
    inspect(filled, predictor, DEFECTS)
    assert overview(filled, predictor, "gray").effect.labeled_defects.total == 4


def test_a_histogram_holds_every_score_between_its_ends(filled, predictor):
    seen = overview(filled, predictor, "gray", tried(predictor, 0.22, 0.25))
    histogram = seen.histogram
    assert histogram.photos.sum() == 20
    assert histogram.labeled_good.sum() == 20
    assert histogram.labeled_defects.sum() == 4
    low, high = seen.range
    assert low < 0.22 < 0.25 < high
    assert np.all(np.diff(histogram.edges) > 0)


def test_much_higher_defects_count_into_the_last_bin(workspace, predictor):
    inspect(workspace, predictor, {"bad.png": part(0.49, 1)})
    say(workspace, ["bad.png"], Finding.DEFECT)
    histogram = overview(workspace, predictor, "gray").histogram
    assert histogram.is_cut
    assert histogram.labeled_defects[-1] == 1
    assert histogram.edges[-1] < 0.49


def test_without_limits_there_is_no_promise_and_everything_is_to_be_checked(workspace):
    plain = line_predictor(calibrated=False)
    seen = overview(workspace, plain, "washer")
    assert (seen.calibration, seen.promise, seen.source, seen.limits) == (None, None, None, Limits())
    assert standing_limits(workspace, plain, "washer") is None
    assert seen.histogram.edges.shape == (49,)
    json.dumps(overview_json(seen), allow_nan=False)


def test_the_promise_tells_the_aim_from_what_can_be_shown(workspace, predictor):
    calibration = predictor.calibration_of("gray")
    aimed = calibrating.placed(
        Measured(category="gray", tiles=1, calibration=calibration, source=Source.CHECKPOINT),
        Rates(check=0.05, reject=0.001),
    )
    promise = overview(workspace, predictor, "gray", aimed).promise
    assert promise.reject == pytest.approx(0.001)
    assert promise.check == pytest.approx(0.05)
    assert promise.hidden == pytest.approx(1 - 0.05 ** (1 / 20))
    assert promise.missing == promise.needed - 20 > 100


def test_programs_get_plain_json_with_the_history(filled, predictor):
    limits.save(
        filled,
        predictor,
        "gray",
        predictor.calibration_of("gray"),
        source=Source.PHOTOS,
        actor="Mira",
        note="<b>",
    )
    limits.take_back(filled, predictor, "gray", actor="Ben")
    told = json.loads(json.dumps(overview_json(overview(filled, predictor, "gray")), allow_nan=False))
    assert told["source"] == "checkpoint"
    assert [(entry["taken_back"], entry["actor"], entry["note"]) for entry in told["history"]] == [
        (True, "Ben", ""), (False, "Mira", "<b>"),
    ]  # fmt: skip
    assert told["counts"]["labeled_defects"]["total"] == 4
    assert told["promise"]["photos_needed"]["there_are"] == 20
    assert len(told["histogram"]["edges"]) == len(told["histogram"]["photos"]) + 1


def test_others_see_nothing_of_it(filled, predictor):
    seen = overview(filled.of("others"), predictor, "gray")
    assert (seen.effect.stored_after.total, seen.labeled_good) == (0, 0)


def test_a_product_needs_a_name(workspace, predictor):
    with pytest.raises(InputError, match="name"):
        overview(workspace, predictor, "")
