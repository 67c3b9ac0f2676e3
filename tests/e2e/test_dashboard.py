"""From a zip of photos to labels, in a real browser against the real app."""

import io
import zipfile

import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from mambaad_demo.data.sample_parts import render_part

pytestmark = pytest.mark.browser

PARTS = 6


def photo(seed, defect=None):
    buffer = io.BytesIO()
    Image.fromarray(render_part("gear", seed=seed, defect=defect, side=192).image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Six gears and a file that is none, in a zip."""
    path = tmp_path_factory.mktemp("zip") / "gears of today.zip"
    with zipfile.ZipFile(path, "w") as file:
        for seed in range(PARTS):
            file.writestr(f"line 1/{seed}.png", photo(31_000 + seed, "broken_tooth" if seed % 2 else None))
        file.writestr("line 1/broken.png", b"no picture")
    return path


def open_tab(page, name):
    page.get_by_role("tab", name=name).click()


def inspect_all(page, archive):
    open_tab(page, "Batch")
    page.locator("#batch-files input[type=file]").set_input_files(archive)
    page.locator("#batch-files").get_by_text("gears of today").first.wait_for()
    page.get_by_role("button", name="Inspect all").click()
    page.locator("#batch-progress").get_by_text("done", exact=False).wait_for(timeout=120_000)


def shown(page):
    return page.locator(".review canvas").get_attribute("aria-label")


def press(page, key):
    """Press a key of the Review page and wait for what comes next."""
    before = shown(page)
    page.keyboard.press(key)
    page.wait_for_function(
        "before => document.querySelector('.review canvas').getAttribute('aria-label') !== before",
        arg=before,
    )


def start_review(page, name):
    page.locator("#reviewer").locator("input, textarea").fill(name)
    page.locator("#review-start").click()
    page.locator(".review .facts-list dd").first.wait_for()


def test_a_zip_becomes_a_grid_of_verdicts_then_labels(visit, archive, app_url, tmp_path):
    page = visit.page
    inspect_all(page, archive)
    expect(page.locator(".tile")).to_have_count(PARTS, timeout=60_000)
    expect(page.locator("#batch-progress")).to_contain_text("could not be read 1")

    page.locator(".tile").first.click()
    page.locator(".batch-detail .heat").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Result pack").click()
    download.value.save_as(tmp_path / "pack.zip")
    assert {"results.csv", "results.json", "settings.json", "SHA256SUMS"} <= set(
        zipfile.ZipFile(tmp_path / "pack.zip").namelist()
    )

    page.get_by_role("button", name="Review these").click()
    start_review(page, "Mira")
    press(page, "g")
    page.keyboard.press("m")
    box = page.locator(".review canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 30, box["y"] + box["height"] / 2)
    page.mouse.up()
    page.locator(".review .type").fill("broken tooth")
    page.locator(".review .type").press("Escape")
    press(page, "d")
    press(page, "z")
    expect(page.locator(".review .type")).to_have_value("broken tooth")
    page.keyboard.press("y")
    expect(page.locator(".review .history li")).to_contain_text("defect, broken tooth, with mask")

    client = Client(app_url, verbose=False, analytics_enabled=False, download_files=tmp_path / "answers")
    # Tests of other pages label in the same store.
    said = [one for one in client.predict("", api_name="/labels") if "Mira" in one["reviewers"]]
    assert sorted(one["finding"] for one in said) == ["defect", "good"]
    assert all(one["reviewers"].keys() == {"Mira"} for one in said)
    client.close()


def test_letters_typed_into_the_note_decide_nothing(visit, archive):
    page = visit.page
    inspect_all(page, archive)
    open_tab(page, "Review")
    start_review(page, "Typist")
    before, pace = shown(page), page.locator(".review .pace").inner_text()
    page.locator(".review .note").fill("")
    page.locator(".review .note").press_sequentially("good gdu zy")
    assert page.locator(".review .note").input_value() == "good gdu zy"
    assert (shown(page), page.locator(".review .pace").inner_text()) == (before, pace)


def test_a_client_can_run_a_batch_and_label_it(app_url, tmp_path):
    paths = []
    for seed in range(2):
        paths.append(tmp_path / f"=part{seed}.png")
        paths[-1].write_bytes(photo(32_000 + seed))
    client = Client(app_url, verbose=False, analytics_enabled=False, download_files=tmp_path / "answers")

    result, pack = client.predict(
        [handle_file(str(path)) for path in paths], "", "gear", "client gears", "", api_name="/batch"
    )
    sha256 = result["rows"][0]["sha256"]
    client.predict(sha256, "defect", "robot", "burr", "minor", "a note", None, api_name="/label")
    (said,) = client.predict("client gears", api_name="/labels")

    assert (result["state"], result["done"], result["refused"]) == ("done", 2, 0)
    assert zipfile.is_zipfile(pack)
    assert (said["sha256"], said["finding"], said["defect_type"]) == (sha256, "defect", "burr")
    client.close()
