"""Stored inspections drawn: the same pictures that the prediction itself would give."""

import io

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.pipeline import overlay
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import jobs
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.workflow import rendering
from mambaad_demo.workflow.batches import BatchSpec
from tests.workflow.stored import Scorer, inspected, part, workspace

__all__ = ["workspace"]


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def predictor(_saved_tiny_checkpoint):
    return Predictor.from_checkpoint(_saved_tiny_checkpoint, device="cpu", kernel="torch")


def both(workspace, predictor, content, **spec):
    """A prediction, and what the store makes of it."""
    kept = jobs.items(
        workspace,
        inspected(
            workspace, {"a.png": content}, predictor=predictor, spec=BatchSpec(checkpoint="tiny", **spec)
        ),
    )[0].inspection
    judge = predictor.tiled(spec["tiles"]) if "tiles" in spec else predictor
    return judge.predict(content, category=spec.get("category")), kept


SIZES = [(64, 64), (96, 80), (50, 120), (16, 300), (257, 129)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_mask_is_the_predictions_own_to_the_bit(
    workspace, predictor, make_image, monkeypatch, width, height
):
    content = png(make_image(width, height, defect=(2, 2, 12)))
    seen = predictor.predict(content).anomaly_map
    limits = Limits(check=float(seen.min() + seen.max()) / 2, reject=float(seen.max()))
    monkeypatch.setattr(predictor, "limits", lambda category: limits)

    prediction, kept = both(workspace, predictor, content)

    mask = rendering.predicted_mask_at(workspace, kept, width, height)
    assert mask.any()
    assert not mask.all()
    assert np.array_equal(mask, prediction.anomaly_mask)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_overlay_blends_the_predictions_own_levels(workspace, predictor, make_image, width, height):
    content = png(make_image(width, height, defect=(2, 2, 12)))
    prediction, kept = both(workspace, predictor, content, category="plate")
    preview = pixels_of(rendering.preview_jpeg(workspace, kept))
    expected = overlay.blended(preview, overlay.levels(prediction))
    buffer = io.BytesIO()
    Image.fromarray(expected).save(buffer, "JPEG", quality=88)
    assert rendering.overlay_jpeg(workspace, kept) == buffer.getvalue()


def test_the_heat_map_is_the_predictions_own_where_no_pixel_is_resized(workspace, predictor, make_image):
    content = png(make_image(64, 64, defect=(20, 20, 20)))
    prediction, kept = both(workspace, predictor, content, category="plate")
    assert rendering.heat_png(workspace, kept) == overlay.heat_png(prediction)


@pytest.mark.parametrize(("width", "height"), [(96, 48), (48, 96), (300, 299)])
def test_the_heat_map_is_cut_to_the_picture(workspace, predictor, make_image, width, height):
    _, kept = both(workspace, predictor, png(make_image(width, height)))
    with Image.open(io.BytesIO(rendering.heat_png(workspace, kept))) as heat:
        assert heat.size == (round(64 * width / max(width, height)), round(64 * height / max(width, height)))


def test_tiles_are_put_together_again(workspace, predictor, make_image):
    content = png(make_image(200, 90, defect=(20, 20, 20)))
    prediction, kept = both(workspace, predictor, content, tiles=3)
    preview = pixels_of(rendering.preview_jpeg(workspace, kept))
    drawn = pixels_of(rendering.overlay_jpeg(workspace, kept)).astype(int)
    expected = overlay.blended(preview, overlay.levels(prediction)).astype(int)
    assert np.abs(drawn - expected).max() < 30  # JPEG
    assert np.abs(drawn - expected).mean() < 3


def test_a_large_picture_is_drawn_at_the_size_of_its_preview(workspace):
    content = part(0.9, width=2100, height=1000)
    inspected(workspace, {"a.png": content})
    (kept,) = inspections(workspace)
    assert pixels_of(rendering.preview_jpeg(workspace, kept)).shape == (488, 1024, 3)
    assert pixels_of(rendering.overlay_jpeg(workspace, kept)).shape == (488, 1024, 3)
    assert max(pixels_of(rendering.thumbnail_jpeg(workspace, kept.sha256)).shape) == 128


def test_a_good_part_stays_cold(workspace):
    inspected(workspace, {"a.png": part(0.05, width=64, height=48)})
    (kept,) = inspections(workspace)
    plain = pixels_of(rendering.preview_jpeg(workspace, kept)).astype(int)
    drawn = pixels_of(rendering.overlay_jpeg(workspace, kept)).astype(int)
    assert np.abs(drawn - plain).mean() < 3  # one more JPEG
    assert not rendering.predicted_mask_at(workspace, kept, 64, 48).any()
    with Image.open(io.BytesIO(rendering.heat_png(workspace, kept))) as heat:
        assert np.asarray(heat.convert("RGBA"))[..., 3].max() == 0


@pytest.mark.parametrize("score", [0.4, 0.45, 0.5, 0.9])
def test_a_part_that_is_not_accepted_has_something_marked_at_every_size(workspace, score):
    inspected(workspace, {"a.png": part(score + 0.002, width=300, height=200)})
    (kept,) = inspections(workspace)
    assert kept.verdict is not Verdict.ACCEPT
    for width, height in ((300, 200), (30, 20), (7, 5), (1, 1)):
        mask = rendering.predicted_mask_at(workspace, kept, width, height)
        assert (mask.shape, mask.dtype) == ((height, width), bool)
        assert mask.any()


def test_without_limits_nothing_is_marked_and_the_colors_are_the_fixed_ones(workspace):
    scorer = Scorer(limits=Limits())
    content = part(0.9, width=64, height=64)
    inspected(workspace, {"a.png": content}, predictor=scorer)
    (kept,) = inspections(workspace)
    assert not rendering.predicted_mask_at(workspace, kept, 64, 64).any()
    (prediction,) = scorer.predict_batch([content])
    preview = pixels_of(rendering.preview_jpeg(workspace, kept))
    expected = overlay.blended(preview, overlay.levels(prediction)).astype(int)
    drawn = pixels_of(rendering.overlay_jpeg(workspace, kept)).astype(int)
    assert np.abs(preview.astype(int) - expected).mean() > 15
    assert np.abs(drawn - expected).mean() < 6  # one more JPEG of noise
