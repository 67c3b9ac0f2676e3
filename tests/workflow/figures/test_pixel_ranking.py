"""The seven metrics from the store: those of `pipeline.evaluation`, and what they rest on."""

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.folders import find_categories
from mambaad_demo.errors import StorageError
from mambaad_demo.ops.metrics import METRICS, evaluate_maps
from mambaad_demo.pipeline.evaluation import evaluate
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import inspections, labels
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import Judged, VersionFacts
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.workflow.figures import labeled_maps
from mambaad_demo.workflow.figures.labeled_scores import labeled_set, versions
from mambaad_demo.workflow.figures.pixel_ranking import PIXEL_METRICS, full_ranking
from tests.pipeline.conftest import stub_predictor
from tests.workflow.figures.labeled_store import VERSION, other


@pytest.fixture
def parts(tmp_path):
    """Category `plate`: 6 good and 6 defective parts of two shapes, with exact masks."""
    generator = np.random.default_rng(0)
    root = tmp_path / "parts" / "plate"
    for folder in ("train/good", "test/good", "test/spot", "ground_truth/spot"):
        (root / folder).mkdir(parents=True)
    for number in range(6):
        size = (60, 90) if number % 2 else (100, 70)
        good = generator.integers(90, 167, (*size, 3), dtype=np.uint8)
        mask = np.zeros(size, bool)
        mask[20:40, 30 + number : 60 + number] = True
        bad = np.where(mask[..., None], good + np.uint8(25 + 5 * number), good)
        Image.fromarray(good).save(root / f"train/good/{number}.png")
        Image.fromarray(good).save(root / f"test/good/{number}.png")
        Image.fromarray(bad).save(root / f"test/spot/{number}.png")
        Image.fromarray(mask).save(root / f"ground_truth/spot/{number}_mask.png")
    return root


def fill(store, predictor, category):
    """Inspect and label the test pictures of a category."""
    checkpoint = predictor.checkpoint
    facts = other(side=checkpoint.detector.side, resize=checkpoint.config.resize)
    if checkpoint.config.sha256 is not None:
        facts = VersionFacts.of(predictor)
    for sample in category.test:
        judged = Judged(
            name=sample.path.name, content=sample.path.read_bytes(), prediction=predictor.predict(sample.path)
        )
        map_sha256 = inspections.write_files(store.workspace, judged)
        with store.workspace.database.writing() as session:
            row = inspections.add_inspection(
                session,
                store.workspace,
                judged,
                version=facts,
                tiles=predictor.tiles,
                map_sha256=map_sha256,
            )
        mask = sample.mask_path and mask_png(np.asarray(Image.open(sample.mask_path)) > 0)
        label = Label(finding=Finding.DEFECT if sample.is_anomalous else Finding.GOOD, mask=mask)
        image_id = inspections.inspection(store.workspace, row).image_id
        labels.decide(store.workspace, image_id, label, reviewer="mira")


def ranked(store):
    found = inspections.inspections(store.workspace)
    labeled = labeled_set(versions(found)[0], found, labels.labeled_images(store.workspace))
    return full_ranking(store.workspace, labeled)


def values(ranking):
    return {name: ranking.metrics[name].value for name in METRICS}


@pytest.mark.parametrize("kind", ["letterbox", "square", "tiles", "network"])
def test_the_seven_metrics_are_those_of_an_evaluation_of_the_same_folder(kind, store, parts, request):
    """To 1e-5: the evaluation runs pictures in batches, which moves the last digits of a map."""
    if kind == "network":
        predictor = Predictor.from_checkpoint(str(request.getfixturevalue("tiny_checkpoint")), device="cpu")
    else:
        rule = {"square": "square"}.get(kind, "letterbox")
        predictor = stub_predictor(resize=rule, tiles=3 if kind == "tiles" else 1)
    (category,) = find_categories([parts])
    fill(store, predictor, category)

    ranking = ranked(store)

    report = evaluate(
        predictor.runner, [category], resize=predictor.checkpoint.config.resize, tiles=predictor.tiles
    )
    expected = report.categories["plate"]
    assert values(ranking) == pytest.approx(expected.metrics, abs=1e-5)
    assert None not in values(ranking).values()
    assert (ranking.n_good, ranking.n_masked, ranking.n_without_mask) == (6, 6, 0)
    assert all(0 <= one.interval.low <= one.interval.high <= 1 for one in intervals(ranking))
    assert ranking.pixels is not None


def intervals(ranking):
    found = [ranking.metrics[name] for name in PIXEL_METRICS]
    assert all(one.interval.low is not None for one in found)
    return found


def speckled(store, *, count, masked):
    """Good and defective pictures; the first `masked` defective ones have masks. Returns maps and masks."""
    random = np.random.default_rng(1)
    maps, masks = [], []
    for number in range(2 * count):
        is_defective = number >= count
        mask = np.zeros((16, 16), bool)
        mask[4:9, 5:12] = is_defective
        anomaly_map = (random.random((16, 16)) + 0.5 * mask).astype(np.float32)
        has_mask = is_defective and number < count + masked
        image = store.inspect(float(anomaly_map.max()), anomaly_map=anomaly_map)
        store.say(image, Finding.DEFECT if is_defective else Finding.GOOD, mask=mask if has_mask else None)
        maps.append(anomaly_map)
        masks.append(mask)
    return np.stack(maps), np.stack(masks)


def test_defects_without_a_mask_are_left_out_of_pixel_metrics_and_counted(store):
    maps, masks = speckled(store, count=6, masked=5)

    ranking = ranked(store)

    used = np.arange(12) < 11
    labels = np.arange(12) >= 6
    expected = evaluate_maps(maps[used], masks[used]) | {
        name: value
        for name, value in evaluate_maps(maps, None, labels=labels).items()
        if name.startswith("image_")
    }
    assert values(ranking) == pytest.approx(expected)
    assert (ranking.n_good, ranking.n_masked, ranking.n_without_mask) == (6, 5, 1)


def test_without_any_mask_pixel_metrics_are_undefined_and_say_what_to_do(store):
    speckled(store, count=6, masked=0)
    ranking = ranked(store)
    assert ranking.metrics["image_auroc"].value is not None
    assert all(ranking.metrics[name].interval is None for name in PIXEL_METRICS)
    assert "Draw where the defects are" in ranking.metrics["au_pro"].reason
    assert ranking.pixels is None


def test_a_mask_too_small_for_the_model_leaves_pixel_metrics_undefined(store):
    dot = np.zeros((400, 400), bool)
    dot[200, 200] = True
    image = store.inspect(0.7, size=(400, 400))
    store.say(image, Finding.DEFECT, mask=dot)
    store.add(0.2, Finding.GOOD)
    estimate = ranked(store).metrics["pixel_auroc"]
    assert (estimate.interval, "no defective" in estimate.reason) == (None, True)


def test_too_many_pixels_are_left_to_the_command_line(store, monkeypatch):
    maps, _ = speckled(store, count=6, masked=6)
    monkeypatch.setattr(labeled_maps, "MOST_PIXELS", maps.size - 1)
    ranking = ranked(store)
    assert ranking.metrics["image_auroc"].value is not None
    assert "train.evaluate" in ranking.metrics["pixel_ap"].reason
    assert (ranking.n_good, ranking.n_masked) == (6, 6)


def test_a_map_that_is_gone_is_no_map_to_skip(store):
    speckled(store, count=2, masked=2)
    store.workspace.files.delete(FileKind.MAP, next(store.workspace.files.names(FileKind.MAP)))
    with pytest.raises(StorageError, match="Restore it from a backup"):
        ranked(store)


def test_nothing_labeled_is_nothing_measured(store):
    store.inspect(0.2)
    ranking = ranked(store)
    assert all(estimate.interval is None and estimate.reason for estimate in ranking.metrics.values())
    assert set(ranking.metrics) == set(METRICS)


def test_letterboxed_pictures_are_scored_in_the_square_and_without_their_padding(store):
    """The padding of a wide picture, rows 0 to 3 and 12 to 15, is brighter than anything in it."""
    anomaly_map = np.full((16, 16), 0.9, np.float32)
    anomaly_map[4:12] = 0.2
    assert VERSION.side == 16
    for finding in (Finding.GOOD, Finding.DEFECT):
        image = store.inspect(0.2, anomaly_map=anomaly_map, size=(64, 32))
        store.say(image, finding, mask=np.eye(32, 64) > 0 if finding is Finding.DEFECT else None)
    found = inspections.inspections(store.workspace)
    labeled = labeled_set(versions(found)[0], found, labels.labeled_images(store.workspace))
    maps = labeled_maps.labeled_maps(store.workspace, labeled.decided)
    assert maps.scores == pytest.approx([0.2, 0.2])
