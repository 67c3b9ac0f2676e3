"""Evaluation: folders of labeled parts become the seven metrics."""

import json

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.folders import find_categories
from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.ops.metrics import evaluate_maps
from mambaad_demo.pipeline import evaluation
from mambaad_demo.pipeline.evaluation import CategoryReport, Report, evaluate


@pytest.fixture
def parts(tmp_path):
    """Category `plate`: 3 good and 3 defective parts of other shapes than square, with exact masks."""
    generator = np.random.default_rng(0)
    root = tmp_path / "parts" / "plate"
    for folder in ("train/good", "test/good", "test/spot", "ground_truth/spot"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        good = generator.integers(120, 137, (60, 90, 3), dtype=np.uint8)
        Image.fromarray(good).save(root / f"train/good/{number}.png")
        Image.fromarray(good).save(root / f"test/good/{number}.png")
        mask = np.zeros((60, 90), bool)
        mask[20:40, 30 + number : 60 + number] = True
        bad = np.where(mask[..., None], np.uint8(240), good)
        Image.fromarray(bad).save(root / f"test/spot/{number}.png")
        Image.fromarray(mask).save(root / f"ground_truth/spot/{number}_mask.png")
    return root


@pytest.mark.parametrize("rule", ["predictor", "squared"])
@pytest.mark.parametrize("protocol", ["exact", "ader"])
def test_a_detector_that_sees_the_defects_scores_high(rule, protocol, parts, request):
    runner = request.getfixturevalue(rule).runner
    resize = "letterbox" if rule == "predictor" else "square"

    report = evaluate(runner, find_categories([parts]), resize=resize, protocol=protocol)

    plate = report.categories["plate"]
    assert (plate.n_good, plate.n_defect) == (3, 3)
    assert plate.metrics["image_auroc"] == 1
    assert plate.metrics["pixel_auroc"] > 0.99
    assert plate.metrics["pixel_ap"] > 0.95


def test_without_masks_pixel_metrics_are_undefined_and_so_is_their_mean(predictor, parts):
    for path in (parts / "ground_truth/spot").iterdir():
        path.unlink()
    (parts / "ground_truth/spot").rmdir()
    (parts / "ground_truth").rmdir()

    report = evaluate(predictor.runner, find_categories([parts]), resize="letterbox").to_json()

    plate = json.loads(json.dumps(report))["categories"]["plate"]
    assert plate["image_auroc"] == 1
    assert plate["pixel_auroc"] is None
    assert plate["mad"] is None
    assert report["mean"]["au_pro"] is None


def test_an_unreadable_picture_stops_the_evaluation(predictor, parts):
    (parts / "test/good/1.png").write_bytes(b"no picture")

    with pytest.raises(InputError, match=r"1\.png"):
        evaluate(predictor.runner, find_categories([parts]), resize="letterbox")


def test_a_category_without_test_images_is_refused(predictor, parts):
    for path in sorted((parts / "test").rglob("*.png")):
        path.unlink()

    with pytest.raises(TooFewImagesError, match="plate"):
        evaluate(predictor.runner, find_categories([parts]), resize="letterbox")


def test_means_run_over_the_categories_that_define_a_metric():
    names = ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "au_pro")
    full = CategoryReport(metrics=dict.fromkeys(names, 0.8), n_good=1, n_defect=1)
    images_only = CategoryReport(
        metrics=dict.fromkeys(names) | {"image_auroc": 0.6, "image_ap": 0.6, "image_f1_max": 0.6},
        n_good=1,
        n_defect=1,
    )

    mean = Report(categories={"full": full, "images": images_only}).mean()

    assert mean["image_auroc"] == pytest.approx(0.7)
    assert mean["pixel_ap"] == pytest.approx(0.8)
    assert mean["mad"] == pytest.approx(0.8)
    assert images_only.mad is None


def test_progress_is_told_after_each_category(predictor, parts):
    seen = []

    evaluate(
        predictor.runner,
        find_categories([parts]),
        resize="letterbox",
        progress=lambda name, report: seen.append((name, report.n_defect)),
    )

    assert seen == [("plate", 3)]


def test_in_tiles_a_defect_of_three_pixels_is_neither_lost_from_the_mask_nor_from_the_score(
    predictor, tmp_path, monkeypatch
):
    """In a photo of 2000 pixels and a frame of 300: shrunk by the mean, the mask would be empty."""
    root = tmp_path / "parts" / "plate"
    for folder in ("train/good", "test/good", "test/dot", "ground_truth/dot"):
        (root / folder).mkdir(parents=True)
    good = np.full((1200, 2000, 3), 128, np.uint8)
    mask = np.zeros((1200, 2000), bool)
    mask[333:336, 1444:1447] = True
    Image.fromarray(good).save(root / "test/good/0.png")
    Image.fromarray(good).save(root / "train/good/0.png")
    Image.fromarray(np.where(mask[..., None], np.uint8(250), good)).save(root / "test/dot/0.png")
    Image.fromarray(mask).save(root / "ground_truth/dot/0_mask.png")
    monkeypatch.setattr(evaluation, "_LARGEST_FRAME", 300)
    seen = []

    def measure(maps, masks, protocol, *, labels):
        seen.append((maps, masks))
        return evaluate_maps(maps, masks, protocol, labels=labels)

    monkeypatch.setattr(evaluation, "evaluate_maps", measure)
    report = evaluate(predictor.runner, find_categories([root]), resize="letterbox", tiles=16)

    ((maps, masks),) = seen
    assert maps.shape == masks.shape == (2, 300, 300)
    assert masks.sum() >= 1
    (dotted,) = [sample.path for sample in find_categories([root])[0].test if sample.is_anomalous]
    score = predictor.tiled(16).predict(dotted).image_score
    assert maps.max() == pytest.approx(score)
    assert report.categories["plate"].metrics["image_auroc"] == 1
    assert report.categories["plate"].metrics["pixel_auroc"] > 0.99
