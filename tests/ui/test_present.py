"""Predictions become what components take, with all text escaped."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.hub.self_test import SelfTest
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.ui import present
from mambaad_demo.ui.inspection import Inspection, Photo
from mambaad_demo.ui.samples import SamplePart
from tests.ui.fakes import CATEGORIES, calibration, prediction

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "${alert(1)}",
    "{{alert(1)}}",
    "</section><script>alert(1)</script>",
]


@pytest.fixture
def inspected(make_image):
    """A factory of inspections of a picture with one bright defect."""

    def make(name="part.png", *, defect=(20, 20, 16), size=(96, 80), **changes):
        return Inspection(
            source=Photo(Path(name)),
            prediction=prediction(make_image(*size, defect=defect) / 255, **changes),
            calibration=calibration(),
            self_test=SelfTest(passed=True, largest_difference=2e-6),
            categories=CATEGORIES,
        )

    return make


def picture(address):
    """The picture inside a data address."""
    return Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1])))


def test_viewer_gets_preview_heat_and_model_input_of_the_right_kind(inspected):
    value = present.viewer_value(inspected(), sample=None)

    assert (value["width"], value["height"], value["title"]) == (96, 80, "part.png")
    assert [picture(value[name]).format for name in ("preview", "heat", "seen")] == ["JPEG", "PNG", "JPEG"]
    assert picture(value["heat"]).mode == "P"
    (region,) = value["regions"]
    assert region["x"] <= 20 <= region["x"] + region["width"]
    assert region["outline"].startswith("M")


def test_viewer_value_is_plain_json(inspected):
    value = present.viewer_value(inspected(), sample=3)

    assert json.loads(json.dumps(value)) == value


def test_large_pictures_are_previewed_at_1600_pixels(inspected):
    value = present.viewer_value(inspected(size=(2000, 40), defect=None), sample=None)

    assert (value["width"], picture(value["preview"]).width, picture(value["heat"]).width) == (
        2000,
        1600,
        1600,
    )


@pytest.mark.parametrize("verdict", list(Verdict))
def test_verdict_card_shows_the_judgement_and_its_reasons(inspected, verdict):
    card = present.verdict_html(inspected(verdict=verdict, notes=("first of 12 pages",)))

    assert f"verdict-{verdict.value}" in card
    assert f"<h2>{verdict.value.title()}</h2>" in card
    assert "of 40 good parts" in card
    assert "check 0.400" in card
    assert "reject 0.500" in card
    assert "first of 12 pages" in card


def test_without_limits_there_is_no_score_bar_and_no_empty_promise(inspected):
    uncalibrated = inspected(limits=Limits(), verdict=Verdict.CHECK, percentile=None, regions=())

    assert "score-bar" not in present.verdict_html(uncalibrated)
    assert "without limits" in present.regions_html(uncalibrated)


def test_region_table_lists_place_size_area_and_peak(inspected):
    inspection = inspected()
    region = inspection.prediction.regions[0]
    table = present.regions_html(inspection)

    for cell in (f"{region.x}, {region.y}", f"{region.width} × {region.height}", f"{region.peak:#.3g}"):
        assert f"<td>{cell}</td>" in table
    assert "Show region 1" in table


def test_a_good_part_has_an_empty_region_table_in_words(inspected):
    assert "no area reaches the check limit" in present.regions_html(inspected(defect=None))


def test_the_top_bar_says_where_work_is_lost_without_attached_storage():
    assert "attached storage" not in present.chips_html(None, retention_minutes=60)
    assert "attached storage" in present.chips_html(None, retention_minutes=60, needs_storage=True)


def test_the_top_bar_names_product_checkpoint_and_limits_of_what_is_shown(inspected):
    inspection = inspected()
    limits = inspection.prediction.limits
    shown = present.chips_html(inspection, retention_minutes=60)
    chips = re.findall(r"<li><span>(.*?)</span> (.*?)</li>", shown)
    assert [name for name, _ in chips] == ["product", "checkpoint", "check · reject", "uploads kept"]
    assert dict(chips)["checkpoint"] == inspection.prediction.checkpoint
    assert dict(chips)["check · reject"] == f"{limits.check:#.3g} · {limits.reject:#.3g}"


def test_the_top_bar_says_where_there_are_no_limits(inspected):
    shown = present.chips_html(inspected(limits=Limits()), retention_minutes=60)
    assert "<li><span>check · reject</span> no limits</li>" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_people_is_escaped_wherever_it_is_shown(inspected, text):
    inspection = inspected(text, notes=(text,), category=text, category_source="given", checkpoint=text)
    sample = SamplePart(text, None, 0)
    markup = [
        present.verdict_html(inspection),
        present.footer_html(inspection),
        present.chips_html(inspection, retention_minutes=60),
        present.notice_html(text, kept=text),
        present.shelf_html({sample: b"x"}, chosen=None),
    ]

    for fragment in markup:
        assert "<img src=x" not in fragment
        assert "<script" not in fragment
        assert "alert(1)" in fragment


def test_footer_names_kernel_device_hash_and_self_test(inspected):
    footer = present.footer_html(inspected())

    for fact in ("model 214 ms", "kernel torch", "device cpu", "abababababab", "self-test passed"):
        assert fact in footer


def test_footer_says_in_how_many_tiles_a_large_photo_was_looked_at(inspected):
    assert "looked at in 48 tiles" in present.footer_html(inspected(tiles=48))
    assert "tiles" not in present.footer_html(inspected())


def test_what_the_model_saw_in_tiles_is_shown_small_enough_for_a_page(inspected):
    canvas = np.zeros((1540, 3136, 3), np.uint8)
    value = present.viewer_value(inspected(model_input=canvas), sample=None)
    assert picture(value["seen"]).size == (1600, 786)


def test_no_problem_means_no_notice():
    assert present.notice_html().strip() == ""


def test_the_suggested_product_is_named_in_the_list(inspected):
    assert present.category_choices(inspected())[0] == ("bottle cap (suggested)", "")
    assert present.category_choices(inspected(category_source="given"))[0] == (present.SUGGEST, "")
    assert present.category_choices(None) == [(present.SUGGEST, "")]


def test_every_download_can_be_read_again(inspected):
    shown = inspected().prediction
    content = {label: make(shown) for label, (_, make) in present.DOWNLOADS.items()}

    assert json.loads(content["JSON"])["verdict"] == "reject"
    assert np.load(io.BytesIO(content["Map NPY"])).shape == (80, 96)
    assert [Image.open(io.BytesIO(content[label])).size for label in ("Overlay PNG", "Mask PNG")] == [
        (96, 80)
    ] * 2


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("part.png", "part-mask.png"),
        ("bottle cap, crack", "bottle_cap_crack-mask.png"),
        ("../../etc/passwd", "passwd-mask.png"),
        ("<b>.tiff", "b-mask.png"),
        ("....", "part-mask.png"),
        ("ü" * 300 + ".png", "ü" * 60 + "-mask.png"),
    ],
)
def test_download_names_are_safe(title, name):
    assert present.download_name(title, "mask.png") == name


def test_the_reject_limit_is_the_middle_of_the_scale(inspected):
    shown = inspected().prediction

    assert present.scale_position(shown, shown.limits.reject) == pytest.approx(50)
    assert present.scale_position(shown, shown.pixel_median) == 0
    assert present.scale_position(shown, 9.9) == 100


def test_thousands_are_grouped():
    assert present.grouped(1234567) == "1\u202f234\u202f567"
