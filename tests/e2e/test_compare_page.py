"""Journeys of a visitor on the Compare page, in a real browser against the real app."""

import io
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from mambaad_demo.data.sample_parts import render_part
from mambaad_demo.hub.checkpoints import embedded_names
from mambaad_demo.ui.samples import SHELF

pytestmark = pytest.mark.browser

ALL_MEASURED = """() => {
    const table = document.querySelector('#compare-costs tbody');
    return table && !table.innerText.includes('being measured');
}"""


@pytest.fixture
def compared(visit):
    """The visitor has opened the Compare tab and seen everything arrive."""
    visit.page.get_by_role("tab", name="Compare").click()
    visit.page.wait_for_function(ALL_MEASURED, timeout=120_000)
    return visit


def columns(visit):
    return visit.page.locator("#compare-columns section:has(.pill)")


def test_the_tab_compares_the_picture_of_the_inspect_page(compared, checkpoints_root):
    names = embedded_names(checkpoints_root)[:3]
    assert columns(compared).count() == len(names)
    assert compared.page.locator("#compare-costs tbody tr").count() == len(names)
    picture = columns(compared).first.get_by_role("img").first
    assert SHELF[0].title in picture.get_attribute("aria-label")
    assert compared.page.locator("#compare-agreement .vote").inner_text()
    compared.page.locator("#compare-scores .bars .point").first.wait_for()


def test_an_own_photo_is_compared_by_all_checkpoints(compared, tmp_path):
    path = tmp_path / "another part.jpg"
    Image.fromarray(render_part("gear", seed=4711, defect="broken_tooth", side=384).image).save(path)
    compared.page.locator("#compare-photo input[type=file]").set_input_files(path)
    pictures = compared.page.locator("#compare-columns [role=img][aria-label^='another part']")
    pictures.nth(columns(compared).count() - 1).wait_for(timeout=60_000)


def test_leaving_a_checkpoint_out_leaves_its_column_out(compared, checkpoints_root):
    names = embedded_names(checkpoints_root)[:3]
    if len(names) < 2:
        pytest.skip("one checkpoint only")
    compared.page.get_by_label(names[-1], exact=True).uncheck()
    compared.page.wait_for_function(
        "count => document.querySelectorAll('#compare-columns section .pill').length === count",
        arg=len(names) - 1,
        timeout=60_000,
    )


def test_the_page_fits_a_phone(compared):
    compared.page.set_viewport_size({"width": 390, "height": 844})
    assert compared.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_labeled_zip_is_compared_with_intervals(compared, tmp_path):
    archive = tmp_path / "gears.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, defect in (("good", None), ("broken", "broken_tooth")):
            for seed in range(3):
                pixels = render_part("gear", seed=9000 + seed, defect=defect, side=256).image
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                file.writestr(f"{name}/{seed}.png", buffer.getvalue())
    page = compared.page
    page.locator("#compare-set-zip input[type=file]").set_input_files(archive)
    page.locator("#compare-set-zip").get_by_text("gears").first.wait_for()
    expect(page.get_by_label("Set", exact=True)).to_have_value("the zip file")
    page.get_by_role("button", name="Compare the set").click()
    result = page.locator("#compare-set-result")
    result.get_by_text("3 good and 3 defective pictures").wait_for(timeout=120_000)
    result.get_by_role("columnheader", name="AUROC").wait_for()
    page.locator("#compare-set-scores .points .point").first.wait_for()


def test_a_set_can_be_stopped(compared):
    page = compared.page
    page.get_by_role("button", name="Compare the set").click()
    page.locator(".set-progress progress").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("#compare-set-result").get_by_text("Stopped").wait_for()
    page.get_by_role("button", name="Compare the set").wait_for()
