"""What the Dockerfile says beside what it copies: how a container tells that it is well."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

DOCKERFILE = Path(__file__).resolve().parents[1] / "Dockerfile"


class Monitor(ThreadingHTTPServer):
    """Answers `/healthz` as it is told to, and every other address with 200."""

    status = 200


class Answer(BaseHTTPRequestHandler):
    """One answer of the monitor."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/healthz" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    server = Monitor(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def is_healthy(environ: dict[str, str]) -> bool:
    """What the health check of the container says."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", "")
    (command,) = re.findall(r"^HEALTHCHECK.* CMD\s+(\[.*\])$", text, re.MULTILINE)
    program, *arguments = json.loads(command)
    assert program == "python"
    done = subprocess.run([sys.executable, *arguments], env=environ, capture_output=True, timeout=60)
    return done.returncode == 0


@pytest.mark.parametrize("name", ["PORT", "GRADIO_SERVER_PORT"])
def test_a_container_is_well_while_its_server_says_so_whatever_its_port_and_proxy(monitor, name):
    environ = {name: str(monitor.server_port), "http_proxy": "http://127.0.0.1:1"}

    assert is_healthy(environ)
    monitor.status = 503
    assert not is_healthy(environ)


def test_a_container_without_a_server_is_not_well(monitor):
    assert is_healthy({"PORT": str(monitor.server_port), "GRADIO_SERVER_PORT": "1"})
    assert not is_healthy({"PORT": "1"})
