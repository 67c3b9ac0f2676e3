"""The journey of a new part in a real browser: photos, training, a closed tab, promotion, inspection."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.conftest import textured
from tests.e2e.conftest import running_app

MINUTE = 60_000


@pytest.fixture
def training_url(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[str]:
    """An app whose only checkpoint is a tiny one."""
    home = tmp_path / "home"
    home.mkdir()
    settings = {
        "MAMBAAD_CHECKPOINTS": str(tiny_checkpoint.parent),
        "MAMBAAD_KERNEL": "torch",
        "GRADIO_TEMP_DIR": str(tmp_path / "uploads"),
    }
    with running_app(home, settings) as (url, log):
        yield url
    assert "A handler failed" not in log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight good brackets and a broken file, as a zip."""
    path = tmp_path / "good.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(8):
            pixels = np.ascontiguousarray(textured(128, 112, seed=index)[:, ::-1])
            Image.fromarray(pixels).save(tmp_path / f"{index}.png")
            archive.write(tmp_path / f"{index}.png", f"bracket-{index}.png")
        archive.writestr("broken.png", b"\x89PNG\r\n\x1a\nnothing")
    return path


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("tab", name="Train", exact=True).click()
    return page


def test_a_new_part_is_taught_promoted_and_inspected(
    browser: Browser, training_url: str, photos: Path, tmp_path: Path
) -> None:
    page = opened(browser, training_url)
    page.set_input_files("#train-files input[type=file]", str(photos))
    product = page.locator("#train-input").get_by_label("Product")
    product.fill("bracket")
    product.press("Enter")
    page.get_by_role("button", name="Look at the photos").click()
    expect(page.locator("#train-preflight")).to_contain_text("broken.png", timeout=MINUTE)
    page.get_by_label("Own").check()
    page.locator("#train-input").get_by_label("Minutes").fill("0.1")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#train-status")).to_contain_text("bracket", timeout=MINUTE)
    page.close()  # the training does not notice

    page = opened(browser, training_url)
    expect(page.locator("#train-status")).to_contain_text("done", timeout=5 * MINUTE)
    expect(page.locator("#train-report")).to_contain_text("bracket-1")
    page.reload()
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#train-report")).to_contain_text("bracket-1")
    choose(page, "Version", "bracket-1")
    choose(page, "Product it judges", "bracket")
    page.get_by_role("button", name="Try on golden set").click()
    expect(page.locator("#train-result")).to_contain_text("golden set is empty", timeout=MINUTE)
    page.get_by_label("Change note").fill("first version for this part")
    page.get_by_role("button", name="Promote", exact=True).click()
    expect(page.locator("#train-result")).to_contain_text(
        "bracket-1 is now the active version", timeout=MINUTE
    )

    page.get_by_role("tab", name="Inspect", exact=True).click()
    choose(page, "Checkpoint", "bracket-1 (active for bracket)")
    expect(page.locator("footer, #footer, body")).to_contain_text("bracket-1", timeout=MINUTE)
    page.close()


def choose(page: Page, label: str, option: str) -> None:
    """Pick an entry of the visible dropdown of this label."""
    page.get_by_label(label, exact=True).locator("visible=true").first.click()
    page.get_by_role("option", name=option, exact=True).locator("visible=true").first.click()
