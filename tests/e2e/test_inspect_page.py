"""Journeys of a visitor on the Inspect page, in a real browser against the real app."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from mambaad_demo.data.sample_parts import render_part
from mambaad_demo.hub.checkpoints import EMBEDDED_ROOT
from mambaad_demo.ui.present import download_name
from mambaad_demo.ui.samples import SHELF

pytestmark = pytest.mark.browser

VERDICTS = {"Accept", "Check", "Reject"}
SAMPLES_DRAWN = "() => [...document.querySelectorAll('.sample img')].every((image) => image.naturalWidth > 0)"
COLORS = """() => {
    const canvas = document.querySelector('#viewer canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let i = 0; i < data.length; i += 388) seen.add(data[i] + ',' + data[i + 1] + ',' + data[i + 2]);
    return seen.size;
}"""


@pytest.fixture
def photo(tmp_path):
    """A photo of a defective part, as a camera would save it."""
    path = tmp_path / "my part.jpg"
    Image.fromarray(render_part("gear", seed=4711, defect="broken_tooth", side=384).image).save(
        path, quality=92
    )
    return path


def shot(visit):
    """The pixels of the viewer's canvas, as an address."""
    return visit.page.evaluate("() => document.querySelector('#viewer canvas').toDataURL()")


def choose_view(visit, view):
    visit.page.locator(f"#viewer input[value={view}]").check()


def test_page_opens_with_an_inspected_sample_part(visit):
    assert visit.title == SHELF[0].title
    assert visit.page.locator(".verdict h2").inner_text() in VERDICTS
    assert "good parts" in visit.page.locator(".verdict .rarity").inner_text()
    assert visit.page.evaluate(COLORS) > 50
    assert visit.page.evaluate(SAMPLES_DRAWN)
    assert "self-test passed" in visit.page.locator(".facts").inner_text()


def test_the_embedded_checkpoint_rejects_the_first_part_and_accepts_the_second(visit, checkpoints_root):
    if checkpoints_root != EMBEDDED_ROOT:
        pytest.skip("no embedded checkpoint in this tree")
    assert visit.page.locator(".verdict h2").inner_text() == "Reject"
    assert visit.page.locator(".region-button").count() >= 1
    visit.page.locator(".sample").nth(1).click()
    visit.wait_for_title(SHELF[1].title)

    assert visit.page.locator(".verdict h2").inner_text() == "Accept"
    assert visit.page.locator(".region-button").count() == 0


def test_another_sample_part_is_one_press_away(visit):
    visit.page.locator(".sample").nth(3).click()
    visit.wait_for_title(SHELF[3].title)

    assert visit.page.locator(".sample").nth(3).get_attribute("aria-pressed") == "true"
    assert visit.page.locator(".sample").nth(0).get_attribute("aria-pressed") == "false"


def test_an_uploaded_photo_gets_verdict_overlay_and_regions(visit, photo):
    visit.upload(photo)
    visit.wait_for_title("my part.jpg")

    assert visit.page.locator("#viewer .size").inner_text() == "384 × 384 px"
    assert visit.page.locator(".verdict h2").inner_text() in VERDICTS
    assert visit.page.locator("#photo button[aria-label*='Drop']").is_visible(), "ready for the next photo"
    with_heat = shot(visit)
    choose_view(visit, "original")
    assert shot(visit) != with_heat
    verdict = visit.page.locator(".verdict h2").inner_text()
    assert (visit.page.locator(".region-button").count() > 0) == (verdict != "Accept")


def test_views_opacity_and_zoom_need_no_server(visit):
    page = visit.page
    visit.requests.clear()

    pictures = [shot(visit)]
    page.locator(".opacity input").focus()
    for key in ("Home", "End"):
        page.keyboard.press(key)
        pictures.append(shot(visit))
    for view in ("original", "contours", "wipe", "seen"):
        choose_view(visit, view)
        pictures.append(shot(visit))
    page.get_by_role("button", name="Zoom in").click()
    pictures.append(shot(visit))

    assert len(set(pictures)) >= 5
    assert [url for url in visit.requests if not url.startswith("data:")] == []


def test_the_wipe_moves_with_keyboard_and_pointer(visit):
    page = visit.page
    choose_view(visit, "wipe")
    start = shot(visit)
    page.locator(".wipe input").focus()
    page.keyboard.press("Home")
    left = shot(visit)
    box = page.locator("#viewer canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 40)
    page.mouse.up()

    assert len({start, left, shot(visit)}) == 3


def test_choosing_the_product_judges_the_picture_again(visit):
    before = visit.page.locator(".verdict dl").inner_text()
    visit.page.get_by_role("combobox", name="Product").click()
    visit.page.get_by_role("option").last.click()
    visit.page.wait_for_function(
        "() => document.querySelector('.verdict dl').innerText.includes('chosen by you')"
    )

    assert "suggested" in before
    assert visit.title == SHELF[0].title


def test_a_16_bit_picture_arrives_unclipped(visit, tmp_path):
    path = tmp_path / "ramp.tiff"
    tifffile.imwrite(path, np.linspace(0, 4095, 200 * 150).astype(np.uint16).reshape(150, 200))
    visit.upload(path)
    visit.wait_for_title("ramp.tiff")

    assert "4095" in visit.page.locator(".verdict dl").inner_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zip.png", b"PK\x03\x04" + b"\0" * 60),
        ("empty.png", b""),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
    ],
)
def test_a_bad_file_is_refused_in_words_and_the_page_keeps_its_picture(visit, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    visit.upload(path)
    notice = visit.page.locator(".notice")
    notice.wait_for(timeout=60_000)

    assert name in notice.inner_text()
    assert SHELF[0].title in notice.inner_text()
    assert visit.title == SHELF[0].title


def test_too_large_a_file_is_refused_in_words(visit, tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(b"\0" * (9 * 2**20))
    visit.upload(path)

    visit.page.get_by_text("maximum allowed size").wait_for()


@pytest.mark.parametrize(
    "stem", ["<img src=x onerror=alert(1)>", "${alert(1)}", "{{alert(1)}}", "`+alert(1)+`"]
)
def test_a_file_name_is_only_ever_text(visit, photo, stem):
    path = photo.with_name(f"{stem}.jpg")
    path.write_bytes(photo.read_bytes())
    visit.upload(path)
    visit.page.wait_for_function("() => /alert/.test(document.querySelector('#viewer .name').textContent)")
    refused = photo.with_name(f"{stem}.png")
    refused.write_bytes(b"no picture")
    visit.upload(refused)
    visit.page.locator(".notice").wait_for()

    assert "alert" in visit.page.locator(".notice").inner_text()
    assert visit.page.locator("img[src='x']").count() == 0  # and no dialog: the fixture looks


def test_downloads_hold_what_they_promise(visit):
    def fetched(label):
        with visit.page.expect_download() as download:
            visit.page.get_by_role("button", name=label, exact=True).click()
        return download.value.suggested_filename, Path(download.value.path())

    name, path = fetched("JSON")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert name == download_name(SHELF[0].title, "inspection.json")
    assert {"verdict", "regions", "limits", "kernel", "sha256"} <= result.keys()
    anomaly_map = np.load(fetched("Map NPY")[1])
    assert anomaly_map.shape == (result["height"], result["width"])
    with Image.open(fetched("Overlay PNG")[1]) as overlay:
        assert overlay.size == (result["width"], result["height"])
    with Image.open(fetched("Mask PNG")[1]) as mask:
        assert mask.mode == "1"
    with Image.open(fetched("Map PNG, 16 bit")[1]) as map16:
        assert map16.mode.startswith("I;16")


def test_a_visitor_can_delete_what_was_uploaded_and_no_more(visit, photo, uploads_folder):
    of_others = set(uploads_folder.rglob("my part.jpg"))
    visit.upload(photo)
    visit.wait_for_title("my part.jpg")
    assert len(set(uploads_folder.rglob("my part.jpg")) - of_others) == 1
    visit.page.get_by_role("button", name="Delete my files now").click()
    visit.wait_for_title(SHELF[0].title)

    assert set(uploads_folder.rglob("my part.jpg")) == of_others


def test_a_picture_can_be_pasted(visit):
    visit.page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 80;
            canvas.getContext('2d').fillRect(10, 10, 30, 30);
            const blob = await new Promise((done) => canvas.toBlob(done));
            const data = new DataTransfer();
            data.items.add(new File([blob], 'pasted.png', { type: 'image/png' }));
            document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
        }"""
    )

    visit.wait_for_title("pasted.png")


def test_every_control_is_reached_by_keyboard_with_visible_focus(visit):
    page = visit.page
    page.evaluate("() => document.activeElement.blur()")
    reached, unmarked = [], []
    for _ in range(80):
        page.keyboard.press("Tab")
        name, is_marked = page.evaluate(
            """() => {
                const it = document.activeElement;
                if (it === document.body) return ['', true];
                const shown = it.matches('#viewer .modes input') ? it.nextElementSibling : it;
                const outlined = [shown, shown.parentElement].some((e) => {
                    const style = getComputedStyle(e);
                    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1.5;
                });
                const label = it.labels && it.labels[0] ? it.labels[0].innerText : '';
                return [it.getAttribute('aria-label') || label || it.title || it.innerText, outlined];
            }"""
        )
        if reached and name in ("", reached[0]):
            break
        reached.append(name)
        if not is_marked:
            unmarked.append(name)
    everything = " | ".join(reached)

    wanted = [
        "Switch between light and dark",
        "Inspect",
        "Drop",
        "camera",
        "clipboard",
        "Product",
        "Checkpoint",
    ]
    wanted += [
        SHELF[0].title,
        SHELF[-1].title,
        "Zoom to fit",
        "Overlay",
        "Opacity",
        "JSON",
        "Delete my files now",
    ]
    assert [name for name in wanted if name.lower() not in everything.lower()] == [], everything
    assert unmarked == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, scheme):
    visit.page.emulate_media(color_scheme=scheme)
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.open()

    assert visit.page.evaluate("() => document.documentElement.scrollWidth") == 390
