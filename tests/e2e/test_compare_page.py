"""Journeys of a visitor on the Compare page, in a real browser against the real app."""

import pytest
from PIL import Image

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
