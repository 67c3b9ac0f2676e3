"""The predictor: pictures in, judged predictions at their own size out."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mambaad_demo import Prediction, Predictor
from mambaad_demo.errors import (
    ImageTooLargeError,
    NonFiniteMapError,
    UnknownCategoryError,
    UnreadableImageError,
)
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.predictor import good_percentile


def test_a_good_part_is_accepted_and_has_no_regions(predictor, good_part):
    prediction = predictor.predict(good_part, category="gray")

    assert prediction.verdict is Verdict.ACCEPT
    assert prediction.regions == ()
    assert prediction.image_score < prediction.limits.check < prediction.limits.reject
    assert not prediction.anomaly_mask.any()


def test_a_defect_is_rejected_where_it_is(predictor, bad_part):
    prediction = predictor.predict(bad_part, category="gray")

    assert prediction.verdict is Verdict.REJECT
    assert prediction.percentile == pytest.approx(100 * 20 / 21)
    (region,) = prediction.regions
    assert (region.x, region.y) == pytest.approx((60, 10), abs=3)
    assert (region.width, region.height) == pytest.approx((20, 20), abs=5)  # resizing spreads it
    assert 60 <= region.peak_x < 80
    assert 10 <= region.peak_y < 30
    assert region.peak == pytest.approx(prediction.anomaly_map[region.peak_y, region.peak_x])
    assert prediction.anomaly_mask.sum() == pytest.approx(region.area)


@pytest.mark.parametrize("size", [(33, 17), (64, 64), (301, 97), (90, 400)])
@pytest.mark.parametrize("rule", ["predictor", "squared"])
def test_the_map_has_the_size_of_the_picture_and_its_maximum_lies_on_the_defect(rule, size, request):
    width, height = size
    part = np.full((height, width, 3), 128, np.uint8)
    y, x = height // 4, width // 2
    part[y : y + height // 4 + 1, x : x + width // 4 + 1] = 0

    prediction = request.getfixturevalue(rule).predict(part)

    assert prediction.anomaly_map.shape == (height, width) == prediction.image.shape[:2]
    assert prediction.anomaly_map.dtype == np.float32
    peak_y, peak_x = np.unravel_index(prediction.anomaly_map.argmax(), (height, width))
    assert y <= peak_y <= y + height // 4
    assert x <= peak_x <= x + width // 4
    assert prediction.model_input.shape == (64, 64, 3)
    for region in prediction.regions:
        assert 0 <= region.x < region.x + region.width <= width
        assert 0 <= region.y < region.y + region.height <= height


def test_padding_of_a_letterboxed_picture_does_not_score(predictor):
    part = np.full((20, 200, 3), 128, np.uint8)
    prediction = predictor.predict(part)
    geometry_rows = 64 * 20 // 200

    assert prediction.image_score < 0.01
    assert geometry_rows < 64 // 2  # so most of the model input is padding


def test_a_borderline_score_still_marks_one_region(predictor):
    check = predictor.limits("gray").check
    spot = np.zeros((50, 50, 3), np.float32)
    spot[25, 25] = 1.0
    scale = check / predictor.predict(0.5 + 0.4 * spot, category="gray").image_score

    prediction = predictor.predict(0.5 + 0.4 * scale * 1.0001 * spot, category="gray")

    assert prediction.verdict is Verdict.CHECK
    assert prediction.anomaly_map.max() < check  # resizing to the picture took the peak away
    (region,) = prediction.regions
    assert (region.peak_x, region.peak_y) == (25, 25)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "pillow", "array"])
def test_every_kind_of_source_gives_the_same_judgement(kind, predictor, bad_part, tmp_path):
    path = tmp_path / "part.png"
    Image.fromarray(bad_part).save(path)
    sources = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "pillow": Image.fromarray(bad_part),
        "array": bad_part,
    }

    prediction = predictor.predict(sources[kind])

    assert prediction.image_score == pytest.approx(predictor.predict(bad_part).image_score, abs=1e-6)
    assert prediction.file == ("part.png" if kind in ("path", "text") else None)


def test_the_nearest_category_is_suggested_with_its_margin(predictor, good_part):
    gray = predictor.predict(good_part)
    brown = predictor.predict(np.clip(good_part + np.float32([15, 0, -15]), 0, 255).astype(np.uint8))

    assert (gray.category, brown.category) == ("gray", "brown")
    assert gray.category_source == brown.category_source == "suggested"
    assert 0.5 < gray.category_margin <= 1
    assert gray.notes == brown.notes == ()


def test_a_given_category_is_kept_and_a_better_one_is_noted(predictor, good_part):
    prediction = predictor.predict(good_part, category="brown")

    assert (prediction.category, prediction.category_source) == ("brown", "given")
    assert prediction.category_margin == 0
    assert prediction.limits == predictor.limits("brown")
    assert any("looks more like gray" in note for note in prediction.notes)


def test_a_picture_far_from_everything_is_noted(predictor):
    prediction = predictor.predict(np.full((50, 50, 3), (0, 200, 90), np.uint8))

    assert any("none of the products" in note for note in prediction.notes)


def test_an_unknown_category_is_refused_with_the_known_ones(predictor, good_part):
    with pytest.raises(UnknownCategoryError, match="gray, brown"):
        predictor.predict(good_part, category="bottle")
    with pytest.raises(UnknownCategoryError):
        predictor.predict_batch([good_part], category="bottle")


def test_without_calibration_it_shows_a_map_but_asks_a_person(uncalibrated, bad_part):
    prediction = uncalibrated.predict(bad_part)
    result = prediction.to_json()

    assert prediction.verdict is Verdict.CHECK
    assert prediction.category == "unknown"
    assert result["limits"] == {"check": None, "reject": None}
    assert result["percentile"] is None
    assert result["regions"] == []
    assert any("no limits yet" in note for note in prediction.notes)


def test_the_result_is_json_with_the_promised_keys(predictor, bad_part):
    result = json.loads(json.dumps(predictor.predict(bad_part).to_json()))

    promised = (
        "file sha256 width height checkpoint decoder encoder category category_source image_score percentile "
        "limits verdict regions timings_ms kernel device version"
    )
    assert result.keys() >= set(promised.split())
    assert result["regions"][0].keys() == {
        "x", "y", "width", "height", "area", "peak", "peak_x", "peak_y",
    }  # fmt: skip
    assert result["timings_ms"].keys() == {"decode", "preprocess", "model", "map", "total"}
    assert (result["width"], result["height"]) == (96, 80)


def test_a_batch_keeps_its_order_and_holds_errors_as_values(predictor, good_part, bad_part, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    huge = Image.new("L", (5000, 3000))

    results = predictor.predict_batch([good_part, tmp_path / "broken.png", bad_part, huge, good_part] * 5)

    kinds = [type(result) for result in results]
    assert kinds == [Prediction, UnreadableImageError, Prediction, ImageTooLargeError, Prediction] * 5
    assert [result.verdict.value for result in results[:3:2]] == ["accept", "reject"]


def test_a_batch_judges_as_single_calls_do(predictor, good_part, bad_part):
    batch = predictor.predict_batch([good_part, bad_part])

    assert [result.image_score for result in batch] == [
        predictor.predict(good_part).image_score,
        predictor.predict(bad_part).image_score,
    ]


def test_a_stream_reads_only_a_few_pictures_ahead(predictor, good_part):
    read = 0

    def pictures():
        nonlocal read
        for _ in range(100):
            read += 1
            yield good_part

    next(predictor.predict_stream(pictures()))

    assert read <= 8


def test_an_empty_batch_is_an_empty_list(predictor):
    assert predictor.predict_batch([]) == []


def test_two_requests_at_once_get_their_own_answers(tiny_checkpoint, make_image):
    shared = Predictor.from_checkpoint(tiny_checkpoint, device="cpu", kernel="torch")
    images = [make_image(seed=seed, width=60 + 10 * seed) for seed in range(6)]
    alone = [shared.predict(image) for image in images]

    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(shared.predict, images * 2))

    for one, other in zip(alone * 2, together, strict=True):
        assert other.sha256 == one.sha256
        np.testing.assert_allclose(other.anomaly_map, one.anomaly_map, atol=1e-6)


def test_n_good_parts_show_no_more_than_n_in_n_plus_one(predictor):
    calibration = predictor.checkpoint.calibration.categories["gray"]

    assert good_percentile(10.0, calibration) == pytest.approx(100 * 20 / 21)
    assert good_percentile(0.0, calibration) == 0.0
    assert good_percentile(calibration.scores[10], calibration) == pytest.approx(100 * 10 / 21)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_no_number_gets_no_verdict(predictor, good_part, monkeypatch, value):
    detector = predictor.checkpoint.detector
    monkeypatch.setattr(detector, "maps_from_features", lambda f: f[0].new_full((1, 64, 64), value))

    with pytest.raises(NonFiniteMapError, match="doctor"):
        predictor.predict(good_part)
