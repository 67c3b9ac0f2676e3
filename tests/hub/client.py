"""The real Hub client, led to a Hub on this machine: fixtures and facts that all tests of it share.

The client reads HF_ENDPOINT and its like once, at import; here the values it read are replaced. Its pauses
between retries are recorded instead of slept.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from benchmarks.hub_server import Hub, hub_server
from mambaad_demo.hub.manifest import Release, ReleaseFile
from mambaad_demo.hub.remote import HubReference

REPO = "mira/parts"
REVISION = "0123456789abcdef0123456789abcdef01234567"
MANIFEST = f"""schema_version = 1
[[release]]
name = "parts"
kind = "folder"
decoder = "mambaad"
encoder = "test_efficientnet"
license = "apache-2.0"
repo = "{REPO}"
revision = "{REVISION}"
"""
"""A release of the repository, as a manifest names it."""
OTHER_REVISION = "fedcba9876543210fedcba9876543210fedcba98"
REFERENCE = HubReference(repo=REPO, revision=REVISION)
TOKEN = "hf_TheTokenOfMira"
SENDS_OLD_STYLE = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""The Hub library sends large files in a way that its HTTP library advises against."""


class Pauses:
    """Records how long each thread of the client would have slept."""

    def __init__(self) -> None:
        self._slept: Counter[int] = Counter()

    def sleep(self, seconds: float) -> None:
        self._slept[threading.get_ident()] += seconds

    @property
    def longest(self) -> float:
        """Seconds; the client's threads sleep at the same time."""
        return max(self._slept.values(), default=0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """What the client would have slept between its tries; it does not sleep."""
    recorded = Pauses()
    for module in ("utils._http", "file_download"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", recorded)
    return recorded


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: Pauses) -> Iterator[Hub]:
    """A running Hub that the client takes for its own, with an empty cache and nobody logged in."""
    with hub_server() as running:
        for name, value in {
            "HF_HUB_OFFLINE": False,  # whatever it says around the tests
            "ENDPOINT": running.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": running.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "no token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DISABLE_TELEMETRY": True,  # or the first test of a process sees it asked for
        }.items():
            monkeypatch.setattr(constants, name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        forget_listings(monkeypatch)
        yield running
        close_session()


@pytest.fixture
def parts(hub: Hub, tiny_checkpoint: Path) -> dict[str, bytes]:
    """The files of a tiny checkpoint, published as mira/parts."""
    files = contents(tiny_checkpoint)
    hub.add_repo(REPO, {REVISION: files})
    return files


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every request a tenth of a second, so that a Hub that says nothing is given up soon."""
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.1)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def forget_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the client with what is on disk, as after a restart."""
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})


def published(**changes: object) -> Release:
    """A release of weights in the authors' format, as the manifest would name it."""
    values = {
        "name": "parts",
        "kind": "published",
        "decoder": "mambaad",
        "encoder": "resnet34",
        "repo": REPO,
        "revision": REVISION,
        "files": (ReleaseFile(path="weights/parts.pth"),),
        "license": "apache-2.0",
    }
    return Release.model_validate(values | changes)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is not None and current not in seen:
            seen.append(current)
            waiting += [current.__cause__, current.__context__]
    return iter(seen)
