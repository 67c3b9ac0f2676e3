"""A checkpoint folder to damage, and a little Hub on this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mambaad_demo.hub.weights import file_sha256
from tests.hub.client import REVISION, hub, impatient, parts, pauses

__all__ = ["hub", "impatient", "parts", "pauses"]


@pytest.fixture
def rehash() -> Callable[[Path], None]:
    """Make `config.json` vouch for the files as they are now, as a forger would."""

    def update(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        for name in ("model", "golden"):
            config["sha256"][name] = file_sha256(folder / f"{name}.safetensors")
        config["sha256"]["calibration"] = file_sha256(folder / "calibration.json")
        (folder / "config.json").write_text(json.dumps(config))

    return update


class LittleHub(ThreadingHTTPServer):
    """Answers for one repository, owner/parts, the way the Hub does; `status` makes it fail."""

    folder: Path | None = None
    status: int = 200
    error_code: str | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: LittleHub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        body, name = b"{}", self.path.rpartition("/")[2].partition("?")[0]
        if self.server.status == 200 and self.server.folder is not None:
            body = self._listing() if "/api/" in self.path else (self.server.folder / name).read_bytes()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", REVISION)
        if self.server.error_code is not None:
            self.send_header("X-Error-Code", self.server.error_code)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _listing(self) -> bytes:
        names = sorted(path.name for path in self.server.folder.iterdir())
        if "/tree/" in self.path:
            entries: list[dict[str, Any]] = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self.server.folder / name).stat().st_size,
                    "oid": name,
                }
                for name in names
            ]
            return json.dumps(entries).encode()
        siblings = [{"rfilename": name} for name in names]
        return json.dumps({"id": "owner/parts", "sha": REVISION, "siblings": siblings}).encode()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def little_hub() -> Iterator[LittleHub]:
    """A running `LittleHub`."""
    server = LittleHub(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Hub library talk to the local server, whatever HF_HUB_OFFLINE says around the tests."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
