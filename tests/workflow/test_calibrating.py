"""From good parts to limits in force."""

import zipfile

import pytest

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import limits_from_scores, moved_to
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.storage import labels, limits
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.limits import Source
from mambaad_demo.workflow import calibrating
from mambaad_demo.workflow.batches import Progress
from mambaad_demo.workflow.calibrating import (
    Measured,
    good_pictures,
    measure_labeled,
    measure_photos,
    outcome,
)
from tests.workflow.gray_line import good_parts, inspect, line_predictor, part, say, score_of
from tests.workflow.stored import image_ids, workspace

__all__ = ["workspace"]

RATES = Rates(check=0.1, reject=0.02)


@pytest.fixture(scope="module")
def predictor():
    return line_predictor()


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in good_parts().items():
        (folder / name).write_bytes(content)
    return folder


def passes(predictor, monkeypatch):
    """Pictures in each call of the network from now on."""
    counts, measure = [], calibrating.GoodParts.measure

    def counting(self, runner, inputs):
        counts.append(len(inputs))
        measure(self, runner, inputs)

    monkeypatch.setattr(calibrating.GoodParts, "measure", counting)
    return counts


def test_photos_give_limits_at_the_rates_asked_for(predictor, photos):
    *told, measured = measure_photos(predictor, [photos], "washer", rates=RATES)
    scores = measured.calibration.scores
    assert scores == pytest.approx(sorted(score_of(0.15 + 0.01 * (n % 5)) for n in range(20)), abs=1e-6)
    expected = limits_from_scores(scores, RATES)
    assert (measured.calibration.check, measured.calibration.reject) == pytest.approx(
        (expected.check, expected.reject)
    )
    assert (measured.source, measured.tiles, measured.refused) == (Source.PHOTOS, 1, ())
    assert [step.done for step in told] == [0, 8, 16, 20]
    assert {step.total for step in told} == {20}


def test_photos_of_a_known_category_give_what_the_checkpoint_would_hold(predictor, tmp_path, photos):
    one = outcome(measure_photos(predictor, [photos], "gray")).calibration
    other = outcome(measure_photos(predictor, sorted(photos.iterdir()), "gray")).calibration
    assert one == other
    assert len(one.embedding) == 3


def test_what_is_no_picture_or_comes_twice_is_left_out_by_name(predictor, photos, tmp_path):
    (photos / "zz twice.png").write_bytes((photos / "good 00.png").read_bytes())
    archive = tmp_path / "good.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("<b>.png", b"nothing")
        file.writestr("more.png", part(0.16, 100))
    measured = outcome(measure_photos(predictor, [photos, archive], "gray"))
    assert measured.calibration.images == 21
    refused = dict(measured.refused)
    assert "counts once" in refused["photos/zz twice.png"]
    assert set(refused) == {"photos/zz twice.png", "good/<b>.png"}


def test_limits_never_rest_on_pictures_in_folders_of_defects_or_tests(predictor, photos, tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in good_parts().items():
            file.writestr(f"gray/train/good/{name}", content)
        for number in range(3):
            file.writestr(f"gray/test/bent/{number}.png", part(0.4, 200 + number))
        file.writestr("gray/test/good/0.png", part(0.16, 300))
    measured = outcome(measure_photos(predictor, [archive], "gray"))
    flat = outcome(measure_photos(predictor, [photos], "gray"))
    assert measured.calibration == flat.calibration
    assert measured.notes[0].startswith("4 pictures in folders of defects or tests were left aside")
    assert flat.notes == ()


def test_too_few_too_many_and_nameless_are_refused(predictor, photos, monkeypatch):
    with pytest.raises(TooFewImagesError, match="'gray' has 2"):
        outcome(measure_photos(predictor, sorted(photos.iterdir())[:2], "gray"))
    with pytest.raises(InputError, match="name"):
        outcome(measure_photos(predictor, [photos], " "))
    monkeypatch.setattr(calibrating, "MOST_PHOTOS", 19)
    with pytest.raises(InputError, match="20 pictures"):
        outcome(measure_photos(predictor, [photos], "gray"))


def test_whoever_stops_iterating_stops_measuring(predictor, photos, monkeypatch):
    counts = passes(predictor, monkeypatch)
    steps = measure_photos(predictor, [photos], "gray")
    assert next(steps).done == 0
    assert next(steps).done == 8
    steps.close()
    assert counts == [8]


def test_tiles_are_looked_at_as_closely_as_asked(predictor, photos):
    measured = outcome(measure_photos(predictor.tiled(2), [photos], "gray"))
    assert measured.tiles == 2


def test_labeled_pictures_of_a_known_category_are_not_judged_again(workspace, predictor, monkeypatch):
    inspect(workspace, predictor, good_parts() | {"bad.png": part(0.4, 99)})
    say(workspace, good_parts(), Finding.GOOD)
    say(workspace, ["bad.png"], Finding.DEFECT)
    counts = passes(predictor, monkeypatch)
    measured = outcome(measure_labeled(workspace, predictor, "gray", rates=RATES))
    assert counts == []
    assert measured.source is Source.LABELS
    assert measured.calibration.images == 20
    stored = sorted(one.score for one in inspections(workspace) if one.name != "bad.png")
    assert list(measured.calibration.scores) == stored
    assert measured.calibration.embedding == predictor.calibration_of("gray").embedding
    distances = sorted(one.embedding_distance for one in inspections(workspace) if one.name != "bad.png")
    assert measured.calibration.embedding_distances == pytest.approx(distances)


def test_labeled_pictures_without_a_usable_result_are_measured(workspace, predictor, monkeypatch):
    inspect(workspace, predictor, good_parts())
    say(workspace, good_parts(), Finding.GOOD)
    (first, *_) = inspections(workspace)
    workspace.files.delete(FileKind.MAP, first.map_sha256)
    counts = passes(predictor, monkeypatch)
    again = outcome(measure_labeled(workspace, predictor, "gray", rates=RATES))
    assert counts == [1]
    monkeypatch.undo()
    assert again.calibration.images == 20
    assert list(again.calibration.scores) == sorted(one.score for one in inspections(workspace))


def test_a_new_product_is_measured_from_its_stored_pictures(workspace, predictor, monkeypatch):
    inspect(workspace, predictor, good_parts(), category=None, product="washer")
    say(workspace, good_parts(), Finding.GOOD)
    counts = passes(predictor, monkeypatch)
    measured = outcome(measure_labeled(workspace, predictor, "washer", rates=RATES))
    assert sum(counts) == 20
    assert list(measured.calibration.scores) == pytest.approx(
        sorted(one.score for one in inspections(workspace))
    )


def test_a_picture_whose_file_is_gone_is_left_out(workspace, predictor):
    inspect(workspace, predictor, good_parts(), category=None, product="washer")
    say(workspace, good_parts(), Finding.GOOD)
    first = next(one for one in inspections(workspace) if one.name == "good 00.png")
    workspace.files.delete(FileKind.PICTURE, first.sha256)
    measured = outcome(measure_labeled(workspace, predictor, "washer", rates=RATES))
    assert measured.calibration.images == 19
    assert [name for name, _ in measured.refused] == ["good 00.png"]


def test_good_means_what_most_say_or_what_is_to_be_taught(workspace, predictor):
    inspect(workspace, predictor, good_parts(6), product="gray")
    ids = image_ids(workspace)
    say(workspace, ["good 00.png", "good 01.png", "good 02.png"], Finding.GOOD)
    say(workspace, ["good 03.png"], Finding.DEFECT)
    labels.decide(workspace, ids["good 04.png"], Label(finding=Finding.GOOD), reviewer="Ben", is_taught=True)
    labels.decide(workspace, ids["good 02.png"], Label(finding=Finding.DEFECT), reviewer="Ben")
    names = [picture.name for picture in good_pictures(workspace, predictor, "gray")]
    assert names == ["good 00.png", "good 01.png", "good 04.png"]
    assert good_pictures(workspace.of("others"), predictor, "gray") == []


def test_parts_that_a_version_may_have_learned_from_set_no_limits(workspace, predictor):
    version = line_predictor(trained_on="gray")
    inspect(workspace, predictor, good_parts(8), product="gray")
    say(workspace, good_parts(8), Finding.GOOD)
    say(workspace, ["good 02.png", "good 05.png"], Finding.GOOD, is_taught=True)
    other = line_predictor(trained_on="brown")
    assert (
        len(good_pictures(workspace, other, "gray")) == len(good_pictures(workspace, predictor, "gray")) == 8
    )
    names = [picture.name for picture in good_pictures(workspace, version, "gray")]
    assert names == [f"good {n:02d}.png" for n in (0, 1, 3, 4, 6, 7)]
    measured = outcome(measure_labeled(workspace, version, "gray", rates=RATES))
    assert measured.calibration.images == 6
    (note,) = measured.notes
    assert note.startswith("Parts taught as good were left out (2): stub was trained on this product")
    assert outcome(measure_labeled(workspace, predictor, "gray", rates=RATES)).notes == ()


def test_parts_that_the_base_of_a_version_may_have_learned_from_set_no_limits_either(workspace):
    inspect(workspace, line_predictor(), good_parts(8), product="gray")
    say(workspace, good_parts(8), Finding.GOOD)
    say(workspace, ["good 02.png"], Finding.GOOD, is_taught=True)
    version = line_predictor(trained_on="brown", learned=("gray", "brown"))
    measured = outcome(measure_labeled(workspace, version, "gray", rates=RATES))
    assert measured.calibration.images == 7
    assert len(measured.notes) == 1
    assert len(good_pictures(workspace, line_predictor(trained_on="brown", learned=("brown",)), "gray")) == 8


def test_of_too_many_labeled_pictures_the_newest_set_the_limits(workspace, predictor, monkeypatch):
    inspect(workspace, predictor, {f"old {n}.png": part(0.3, 90 + n) for n in range(2)}, product="gray")
    inspect(workspace, predictor, good_parts(5), product="gray")
    say(workspace, [*good_parts(5), "old 0.png", "old 1.png"], Finding.GOOD)
    monkeypatch.setattr(calibrating, "MOST_PHOTOS", 5)
    measured = outcome(measure_labeled(workspace, predictor, "gray", rates=RATES))
    expected = sorted(score_of(0.15 + 0.01 * n) for n in range(5))
    assert list(measured.calibration.scores) == pytest.approx(expected, abs=1e-6)
    assert measured.notes == ("Of 7 pictures labeled good the newest 5 were taken.",)


def test_putting_limits_in_force_judges_first_and_draws_regions_after(workspace, predictor):
    inspect(workspace, predictor, good_parts(3) | {"bad.png": part(0.45, 99)})
    known = predictor.calibration_of("gray")
    tried = Measured(
        category="gray",
        tiles=1,
        calibration=moved_to(known, Limits(check=0.01, reject=0.5)),
        source=Source.CHECKPOINT,
        is_moved=True,
    )
    steps = calibrating.put_in_force(workspace, predictor, tried, actor="Mira", note="why")
    first = next(steps)
    assert isinstance(first, Progress)
    assert {one.verdict for one in inspections(workspace)} == {Verdict.CHECK}
    changed = outcome(steps)
    assert changed.after == {Verdict.CHECK: 4}
    (entry,) = limits.history(workspace, predictor, "gray")
    assert (entry.is_moved, entry.note) == (True, "why")
    inspect(workspace, predictor, {"bad again.png": part(0.45, 99)})
    *_, drawn, fresh = inspections(workspace)
    assert drawn.regions == fresh.regions != []
    back = outcome(calibrating.take_back(workspace, predictor, "gray", actor="Mira"))
    assert back.before == {Verdict.CHECK: 5}


def test_limits_placed_again_rest_on_the_same_parts(predictor, photos):
    measured = outcome(measure_photos(predictor, [photos], "gray"))
    strict = calibrating.placed(measured, Rates(check=0.01, reject=0.001))
    assert strict.calibration.scores == measured.calibration.scores
    assert strict.calibration.reject > measured.calibration.reject
