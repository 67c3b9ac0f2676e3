"""The Models & Health page in a real browser: readable at both widths, worked by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit

pytestmark = pytest.mark.browser


def open_tab(visit: Visit) -> None:
    """Open the page, from the menu where there is no room for its tab."""
    tab = visit.page.get_by_role("tab", name="Models & Health").first
    if not tab.is_visible():
        visit.page.locator(".overflow-menu > button").first.click()
        tab = visit.page.locator(".overflow-dropdown button", has_text="Models & Health")
    tab.click()
    visit.page.locator(".health-checkpoint").first.wait_for(timeout=60_000)


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_facts_fit_the_screen(visit, width, theme):
    page = visit.page
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{visit.url}/?__theme={theme}")
    page.locator(".verdict h2").wait_for()
    open_tab(visit)

    for part in ("Server", "At work or waiting", "Disk", "Deleted when", "Checkpoints", "Packages"):
        expect(page.get_by_role("heading", name=part, exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_self_test_and_the_model_card_are_reached_by_keyboard(visit):
    page = visit.page
    open_tab(visit)

    page.get_by_role("button", name="Run the self-test now").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#health-told")).to_have_text(re.compile("passed the self-test"), timeout=120_000)
    expect(page.locator(".health-checkpoint h4 .tone").first).to_have_text("Passed")

    page.get_by_role("button", name="Model card").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#health-card-text h1")).to_have_text("mambaad")
