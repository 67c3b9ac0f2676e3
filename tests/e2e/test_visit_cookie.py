"""The cookie of a visit in a real browser, on a Space and on one's own machine."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.visitors import Visitor, picture

pytestmark = pytest.mark.browser


def test_no_script_of_the_page_reads_the_cookie(visit):
    (cookie,) = visit.page.context.cookies()

    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("visit", True, "Lax")
    assert visit.page.evaluate("document.cookie") == ""


def test_on_a_space_a_browser_finds_its_batch_again_after_a_reload_and_another_does_not(browser, space):
    pages = {}
    for who in ("mira", "jo"):
        context = browser.new_context()
        pages[who] = Visit(context.new_page(), space)
        pages[who].open()
    (cookie,) = pages["mira"].page.context.cookies()
    in_her_name = Visitor(space)
    in_her_name.http.headers["Cookie"] = f"visit={cookie['value']}"
    sent = [in_her_name.upload(picture())]
    assert in_her_name.ask("batch", sent, "", "", "her parts", "").is_granted
    in_her_name.http.close()

    for who, shown in (("mira", "part.png"), ("jo", "No pictures here")):
        page = pages[who].page
        page.reload()
        page.get_by_role("tab", name="Batch").click()
        expect(page.locator("#batch-grid")).to_contain_text(shown, timeout=30_000)
        page.context.close()


def test_a_tab_whose_cookie_another_tab_replaced_starts_anew_and_goes_on(browser, app_url):
    context = browser.new_context()
    first, second = (Visit(context.new_page(), app_url) for _ in range(2))
    first.open()
    context.clear_cookies()  # as if both had asked for the page before either had its cookie
    second.open()

    with first.page.expect_navigation():
        first.page.get_by_role("tab", name="Batch").click()
    first.page.locator(".sample").nth(1).click(timeout=60_000)
    expect(first.page.locator(".verdict h2")).to_be_visible(timeout=60_000)
    first.page.get_by_role("tab", name="Batch").click()

    listed = re.compile(r"No pictures here|\d+ to \d+ of")  # tests of other pages inspect in the same store
    expect(first.page.locator("#batch-grid")).to_contain_text(listed, timeout=30_000)
    context.close()
