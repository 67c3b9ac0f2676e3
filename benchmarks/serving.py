"""The app over HTTP: what a request costs beside the model, and whether memory stays flat."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.timing import Row, spread

ROOT = Path(__file__).resolve().parents[1]
_SIDE, _REQUESTS, _WARM = 1024, 20, 50
_START_SECONDS = 300


def rows(inspections: int) -> list[Row]:
    """Overhead of a warm request with a 1024x1024 JPEG, and growth of the server's memory."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "part.jpg"
        pixels = np.random.default_rng(0).normal(128, 20, (_SIDE // 8, _SIDE // 8, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).resize((_SIDE, _SIDE)).save(picture, quality=92)
        with running(Path(folder)) as (url, process):
            extra, sizes = [], {}
            with httpx.Client(base_url=f"{url}/gradio_api", timeout=60) as client:
                for number in range(1, inspections + 1):
                    start = time.perf_counter()
                    result = inspect(client, picture)
                    elapsed = (time.perf_counter() - start) * 1000
                    if _WARM < number <= _WARM + _REQUESTS:
                        extra.append(elapsed - result["timings_ms"]["model"])
                    if number in (_WARM, inspections):
                        sizes[number] = resident_megabytes(process.pid)
    overhead = spread(extra)
    growth = 100 * (sizes[inspections] / sizes[_WARM] - 1)
    return [
        Row(
            name="app overhead of a request",
            target="<= 150 ms",
            value=overhead["median"],
            met=overhead["median"] <= 150,
            note=f"request minus model time, {_SIDE}x{_SIDE} JPEG, {_REQUESTS} warm requests, "
            "one kept connection",
            spread=overhead,
        ),
        Row(
            name=f"memory of the server over {inspections} inspections",
            target="<= 5 % growth after the first 50",
            value=round(growth, 2),
            met=growth <= 5,
            note=f"{sizes[_WARM]:.0f} MB after {_WARM}, {sizes[inspections]:.0f} MB after {inspections}",
        ),
    ]


def inspect(client: httpx.Client, picture: Path) -> dict[str, Any]:
    """Upload a picture, ask for its inspection and wait for the result, all on one kept connection as a
    browser does; `gradio_client` opens a new one for each step.

    Raises:
        RuntimeError: the server refused.
        httpx.HTTPStatusError: it has no room in its queue (503), for example.
    """
    result: dict[str, Any] = call(client, "inspect", [upload(client, picture), "", ""])[0]
    return result


def upload(client: httpx.Client, picture: Path) -> dict[str, Any]:
    """Send a file; returns what names it in a call."""
    with picture.open("rb") as content:
        (path,) = client.post("/upload", files={"files": (picture.name, content)}).raise_for_status().json()
    return {"path": path, "orig_name": picture.name, "meta": {"_type": "gradio.FileData"}}


def call(client: httpx.Client, endpoint: str, data: list[Any]) -> list[Any]:
    """Call an endpoint and wait for its last answer.

    Raises:
        RuntimeError: the server refused.
    """
    asked = client.post(f"/call/{endpoint}", json={"data": data}).raise_for_status().json()
    *_, event, answer = client.get(f"/call/{endpoint}/{asked['event_id']}").text.strip().splitlines()
    if event != "event: complete":
        raise RuntimeError(f"The server refused: {answer}")
    result: list[Any] = json.loads(answer.removeprefix("data: "))
    return result


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The app on a free port with its own home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PORT": str(port),
        "MAMBAAD_HOME": str(folder),
        "GRADIO_TEMP_DIR": str(folder / "uploads"),
        "HF_HUB_OFFLINE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        _wait(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=20).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("The app did not start; run 'python app.py' to see why.")


def resident_megabytes(pid: int) -> float:
    """Resident memory; the median of a few looks, since it breathes."""
    looks = []
    for _ in range(5):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        looks.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024)
        time.sleep(0.1)
    return statistics.median(looks)
