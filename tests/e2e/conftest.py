"""The real app in a process of its own, and Chromium to look at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from mambaad_demo.hub.checkpoints import EMBEDDED_ROOT, embedded_names, save_checkpoint
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.hub.self_test import pattern_images
from mambaad_demo.models.detector import DetectorConfig, build_detector
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.inference import ModelInput

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 180


@pytest.fixture(scope="session")
def checkpoints_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoints; a tiny network with random weights where there are none yet."""
    if "mambaad" in embedded_names(EMBEDDED_ROOT):
        return EMBEDDED_ROOT
    root = tmp_path_factory.mktemp("checkpoints")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = build_detector(
            DetectorConfig(
                decoder_options={
                    "dims": (16, 8, 4, 2),
                    "depths": (2, 2, 2, 2),
                    "directions": 2,
                    "state_dim": 2,
                },
                encoder="test_efficientnet",
                encoder_weights="checkpoint",
                fusion_blocks=1,
                input_side=64,
            )
        )
    detector.kernel = "torch"
    generator = np.random.default_rng(0)
    good = [
        ModelInput.from_pixels(
            generator.uniform(0.45, 0.55, (64, 64, 3)).astype(np.float32), side=64, resize="letterbox"
        )
        for _ in range(6)
    ]
    calibration = calibrate(detector, {"plate": iter(good), "tile": iter(good)})
    config = CheckpointConfig(name="mambaad", detector={}, categories=("plate", "tile"), training={})
    save_checkpoint(root / "mambaad", detector, config, calibration, pattern_images(64))
    return root


@pytest.fixture(scope="session")
def uploads_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the app keeps what visitors send."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="session")
def app_url(
    checkpoints_root: Path, uploads_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the running app."""
    settings = {"MAMBAAD_CHECKPOINTS": str(checkpoints_root), "GRADIO_TEMP_DIR": str(uploads_folder)}
    with running_app(tmp_path_factory.mktemp("home"), settings) as (url, log):
        yield url
    written = log.read_text(encoding="utf-8", errors="replace")
    assert "A handler failed" not in written, written[-4000:]
    assert "Warning" not in written, written[-4000:]


@pytest.fixture(scope="session")
def space(checkpoints_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app as it runs on a Space, among strangers."""
    settings = {
        "MAMBAAD_CHECKPOINTS": str(checkpoints_root),
        "SPACE_ID": "owner/space",
        "GRADIO_SERVER_NAME": "127.0.0.1",
    }
    with running_app(tmp_path_factory.mktemp("space"), settings) as (url, log):
        yield url
    assert "A handler failed" not in log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running_app(
    home: Path,
    settings: Mapping[str, str],
    *,
    python: Sequence[str] = (sys.executable,),
    root: Path = ROOT,
) -> Iterator[tuple[str, Path]]:
    """Address and log of an app in a process of its own; arguments as for `started_app`."""
    with started_app(home, settings, python=python, root=root) as (_, url, log):
        yield url, log


@contextmanager
def started_app(
    home: Path,
    settings: Mapping[str, str],
    *,
    python: Sequence[str] = (sys.executable,),
    root: Path = ROOT,
) -> Iterator[tuple["subprocess.Popen[bytes]", str, Path]]:
    """Process, address and log of an app, which is ended where the test has not done so.

    Args:
        home: an empty folder for all that it writes.
        settings: environment variables besides this process's own.
        python: the interpreter and its options.
        root: where `app.py` lies.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PORT": str(port),
        "MAMBAAD_HOME": str(home),
        "MAMBAAD_MAX_UPLOAD_MB": "8",
        "HF_HUB_OFFLINE": "1",
        **settings,
    }
    log = home / "app.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*python, "app.py"], cwd=root, env=environment, stdout=output, stderr=output
        )
    try:
        _wait_until_it_answers(url, process, log)
        yield process, url, log
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=20).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"The app did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


@pytest.fixture(scope="module")  # while it lives, Playwright's event loop keeps others out of this thread
def browser() -> Iterator[Browser]:
    """Chromium; without it the test is skipped, unless REQUIRE_BROWSER=1 asks for it."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail("REQUIRE_BROWSER=1, but there is no chromium. Install Debian's package chromium.")
        pytest.skip("no chromium here; install Debian's package chromium to run the browser tests")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """One visitor on the page, and what the browser asked for meanwhile."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.locator(".verdict h2").wait_for()
        self.page.locator(".sample").first.wait_for(timeout=60_000)

    def upload(self, path: Path) -> None:
        self.page.locator("#photo input[type=file]").set_input_files(path)

    @property
    def title(self) -> str:
        """Name of the picture on the page."""
        return self.page.locator("#viewer .name").inner_text()

    def wait_for_title(self, title: str) -> None:
        self.page.wait_for_function(
            "title => document.querySelector('#viewer .name').textContent === title",
            arg=title,
            timeout=60_000,
        )


@pytest.fixture
def visit(browser: Browser, app_url: str) -> Iterator[Visit]:
    """A visitor who has just opened the page; nothing may be asked of another host meanwhile."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    visitor = Visit(context.new_page(), app_url)
    visitor.open()
    yield visitor
    foreign = [url for url in visitor.requests if not url.startswith((app_url, "data:", "blob:"))]
    context.close()
    assert (foreign, visitor.dialogs, visitor.errors) == ([], [], [])
