"""Decisions by keyboard in Chromium: what each costs, whether all arrive, and what a killed tab loses.

Drives the Review page of a server that holds a batch of at least as many parts, with one or two reviewers at
once; reads the decisions back through `/labels`. Prints JSON.

    python -m benchmarks.reviewing --url http://127.0.0.1:7860 --decisions 200
"""

import argparse
import json
import shutil
import statistics
import time
from typing import Any

from gradio_client import Client
from playwright.sync_api import Browser, Page, sync_playwright

KEYS = "ggdgug"
"""Pressed in turn."""
FINDINGS = {"g": "good", "d": "defect", "u": "unsure"}
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
_SHOWN = "document.querySelector('.review canvas').getAttribute('aria-label')"
_PACE = "document.querySelector('.review .pace').textContent"


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--decisions", type=int, default=200)
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        report = _alone(browser, options.url, options.decisions)
        report |= _together(browser, options.url)
        report |= _killed_tab(browser, options.url)
        browser.close()
    said = Client(options.url, verbose=False).predict("", api_name="/labels")
    found = {one["file"]: one["reviewers"].get("alone") for one in said}
    report["decisions_missing_from_labels"] = sum(
        found.get(name) != finding for name, finding in report.pop("pressed").items()
    )
    print(json.dumps(report, indent=2))


class Reviewer:
    """One person at the Review page; times what the browser waits for."""

    def __init__(self, browser: Browser, url: str, name: str) -> None:
        self.page: Page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        self.server_ms: list[float] = []
        self.seen: list[str] = []
        self.page.goto(url)
        self.page.get_by_role("tab", name="Review").click()
        self.page.locator("#reviewer").locator("input, textarea").fill(name)
        self.page.locator("#review-start").click()
        self.page.wait_for_function("document.querySelector('.review .facts-list dd')")
        self.page.on("requestfinished", self._note)

    def press(self, key: str) -> float:
        """Milliseconds from the key to the next part on the screen."""
        before = self.page.evaluate(_PACE), self.page.evaluate(_SHOWN)
        self.seen.append(before[1])
        start = time.perf_counter()
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            f"before => {_PACE} !== before[0] || {_SHOWN} !== before[1]", arg=list(before)
        )
        return 1000 * (time.perf_counter() - start)

    def _note(self, request: Any) -> None:
        if request.method == "POST" and "/run/" in request.url:
            self.server_ms.append(request.timing["responseEnd"] - request.timing["requestStart"])


def _alone(browser: Browser, url: str, decisions: int) -> dict[str, Any]:
    """One reviewer; every tenth decision is undone and redone."""
    reviewer = Reviewer(browser, url, "alone")
    waits = []
    pressed: dict[str, str] = {}
    for number in range(decisions):
        key = KEYS[number % len(KEYS)]
        name = reviewer.page.evaluate(_SHOWN).rpartition(",")[0]
        pressed.setdefault(name, FINDINGS[key])  # a part that comes again is a hidden repeat
        waits.append(reviewer.press(key))
        if number % 10 == 9:
            reviewer.press("z")
            reviewer.press("y")
            reviewer.press("n")
    return {
        "decisions": decisions,
        "different_parts": len(pressed),
        "pressed": pressed,
        "pace_shown": reviewer.page.evaluate(_PACE),
        "key_to_next_part_ms": _spread(waits),
        "server_ms": _spread(reviewer.server_ms),
    }


def _together(browser: Browser, url: str, decisions: int = 20) -> dict[str, Any]:
    """Two reviewers of one queue, turn by turn, then whose parts overlap."""
    first, second = Reviewer(browser, url, "first"), Reviewer(browser, url, "second")
    for _ in range(decisions):
        first.press("g")
        second.press("d")
    return {"two_reviewers": 2 * decisions, "shown_to_both": len(set(first.seen) & set(second.seen))}


def _killed_tab(browser: Browser, url: str) -> dict[str, Any]:
    """Decide, type a note without deciding, lose the tab, come back."""
    reviewer = Reviewer(browser, url, "killed")
    for _ in range(5):
        reviewer.press("g")
    note = reviewer.page.locator(".review .note")
    with reviewer.page.expect_response(lambda response: "/run/" in response.url):
        note.fill("half a thought")
    reviewer.page.close()
    again = Reviewer(browser, url, "killed")
    return {
        "after_killed_tab": again.page.evaluate(_PACE),
        "draft_after_killed_tab": again.page.locator(".review .note").input_value(),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "p95": round(statistics.quantiles(values, n=20)[-1], 1),
    }


if __name__ == "__main__":
    main()
