"""Releases that a page fetches from the Hub when they are chosen, in a real browser against a Hub on this
machine."""

import shutil
import threading

import pytest
from playwright.sync_api import expect

from benchmarks.hub_server import hub_server
from tests.e2e.conftest import Visit, running_app

pytestmark = pytest.mark.browser

REPO, REVISION, RELEASE = "mira/parts", "0123456789abcdef0123456789abcdef01234567", "factory_parts"
ENTRY = f"""
[[release]]
name = "{RELEASE}"
kind = "folder"
decoder = "mambaad"
encoder = "tf_efficientnet_lite0"
repo = "{REPO}"
revision = "{REVISION}"
license = "apache-2.0"
"""


@pytest.fixture(scope="module")
def hub():
    """A Hub; what went wrong with it in a test is over for the next one."""
    with hub_server() as running:
        yield running


@pytest.fixture
def release_visit(browser, hub, checkpoints_root, tmp_path):
    """A visitor of an app with one embedded checkpoint, which is also a release that is not here yet."""
    root = tmp_path / "checkpoints"
    shutil.copytree(checkpoints_root / "mambaad", root / "mambaad")
    (root / "manifest.toml").write_text(f"schema_version = 1\n{ENTRY}", encoding="utf-8")
    files = {path.name: path.read_bytes() for path in (root / "mambaad").iterdir()}
    hub.heal()
    hub.add_repo(REPO, {REVISION: files})
    settings = {
        "MAMBAAD_CHECKPOINTS": str(root),
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "cache"),
    }
    home = tmp_path / "home"
    home.mkdir()
    with running_app(home, settings) as (url, _):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        visitor = Visit(context.new_page(), url)
        visitor.open()
        yield visitor
        context.close()
    assert visitor.errors == []


def choose(visit, name):
    """Choose a checkpoint on the Inspect page by mouse."""
    visit.page.get_by_role("combobox", name="Checkpoint").locator("visible=true").click()
    visit.page.get_by_role("option", name=name, exact=True).locator("visible=true").click()


def test_a_release_that_is_refused_is_asked_for_once_told_once_and_can_be_chosen_again(hub, release_visit):
    page = release_visit.page
    hub.fault("*", status=403)
    release_visit.requests.clear()

    choose(release_visit, RELEASE)
    expect(page.locator("#notice")).to_contain_text("The Hub refused mira/parts (status 403)")
    asked = [url for url in release_visit.requests if "/queue/join" in url]
    expect(page.get_by_role("combobox", name="Checkpoint").first).to_have_value("mambaad")
    hub.heal()
    choose(release_visit, RELEASE)
    expect(page.locator("#inspect-footer")).to_contain_text(RELEASE, timeout=60_000)

    assert len(asked) == 1
    expect(page.locator("#notice .notice")).to_have_count(0)
    expect(page.locator(".toast-body")).to_have_count(0)


@pytest.fixture
def held(hub, monkeypatch):
    """An event; until it is set, nothing comes of the weights."""
    goes_on = threading.Event()
    receive = hub.receive

    def late(request):
        if request.line.startswith("GET") and request.path.endswith("model.safetensors"):
            goes_on.wait(60)
        return receive(request)

    monkeypatch.setattr(hub, "receive", late)
    yield goes_on
    goes_on.set()


def test_the_compare_page_says_how_far_a_release_is_and_then_compares_it(release_visit, held):
    page = release_visit.page

    page.get_by_role("tab", name="Compare").click()
    notice = page.locator("#compare-input .notice")
    expect(notice).to_contain_text(f"Fetching {RELEASE} from the Hub", timeout=30_000)
    expect(notice.locator("progress")).to_be_visible()
    held.set()

    expect(page.locator("#compare-column-1 .pill")).to_be_visible(timeout=60_000)
    expect(page.locator("#compare-column-1")).to_contain_text(RELEASE)
    expect(notice).to_have_count(0)
