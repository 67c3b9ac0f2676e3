"""Many clients at once on one server, and what survives when it is ended under that load.

    python -m benchmarks.load --clients 50 --inspections 20
    python -m benchmarks.load --clients 20 --inspections 20 --end TERM

A client that finds the queue full waits, as its answer asks for, and tries again. With `--end` a batch and
a labeling client are at work too; the signal comes when half of the inspections are done, then the server
starts again and everything that it confirmed before is looked for.
"""

import argparse
import itertools
import json
import signal
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving import call, inspect, resident_megabytes, running, upload
from mambaad_demo.ui.samples import SHELF, SampleShelf, sample_set

_WARM = 20
_PAUSE_SECONDS = 1.0
_FULL = 503
_BATCH_OF = ("gear", "tablet", "screw", "leather")


@dataclass
class Tally:
    """What the clients saw; written by all of their threads."""

    milliseconds: list[float] = field(default_factory=list)
    """Of answered inspections, waits before a full queue included."""
    full: int = 0
    """How often the queue had no room."""
    errors: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    """Reviewers whose label the server has confirmed."""
    is_over: threading.Event = field(default_factory=threading.Event)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--inspections", type=int, default=20, help="of each client")
    parser.add_argument("--end", choices=("TERM", "KILL"), help="signal in the middle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = _pictures(Path(folder))
        home = Path(folder) / "home"
        home.mkdir()
        report = (
            _ended(home, pictures, options)
            if options.end
            else _loaded(home, pictures, options.clients, options.inspections)
        )
    print(json.dumps({"clients": options.clients, "inspections": options.inspections, **report}, indent=2))


def _pictures(folder: Path) -> list[Path]:
    shelf, files = SampleShelf(), []
    for number, part in enumerate(SHELF):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(shelf.photo(part))
    return files


def _loaded(home: Path, pictures: list[Path], clients: int, inspections: int) -> dict[str, Any]:
    with running(home) as (url, process):
        alone = Tally()
        _client(url, pictures, _WARM, alone)
        alone.milliseconds.clear()
        _client(url, pictures, inspections, alone)
        before = resident_megabytes(process.pid)
        tally, started = Tally(), time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            for number in range(clients):
                pool.submit(_client, url, pictures[number % len(pictures) :] + pictures, inspections, tally)
        seconds = time.perf_counter() - started
        return {
            "alone": _latency(alone),
            "together": _latency(tally),
            "answered": len(tally.milliseconds),
            "errors": len(tally.errors),
            "first_errors": tally.errors[:3],
            "queue_full": tally.full,
            "per_second": round(len(tally.milliseconds) / seconds, 2),
            "megabytes_before": round(before),
            "megabytes_after": round(resident_megabytes(process.pid)),
        }


def _client(url: str, pictures: list[Path], inspections: int, tally: Tally) -> None:
    """One client, one inspection after the other."""
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=600) as client:
        for number in range(inspections):
            started = time.perf_counter()
            while not tally.is_over.is_set():
                try:
                    inspect(client, pictures[number % len(pictures)])
                except httpx.HTTPStatusError as error:
                    if error.response.status_code != _FULL:
                        tally.errors.append(str(error))
                        break
                    tally.full += 1
                    time.sleep(_PAUSE_SECONDS)
                except (httpx.TransportError, RuntimeError, ValueError) as error:
                    tally.errors.append(f"{type(error).__name__}: {error}")
                    break
                else:
                    tally.milliseconds.append((time.perf_counter() - started) * 1000)
                    break


def _latency(tally: Tally) -> dict[str, float]:
    if len(tally.milliseconds) < 2:
        return {}
    cuts = statistics.quantiles(tally.milliseconds, n=20, method="inclusive")
    return {"median_ms": round(statistics.median(tally.milliseconds)), "p95_ms": round(cuts[-1])}


def _ended(home: Path, pictures: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    tally = Tally()
    half = options.clients * options.inspections // 2
    with running(home) as (url, process), httpx.Client(base_url=f"{url}/gradio_api", timeout=600) as client:
        batch = _begin_batch(client, home)
        sent = [[upload(client, pictures[0])], "", "", "", ""]
        sha256 = call(client, "batch", sent)[0]["rows"][0]["sha256"]
        confirmed = 0
        with ThreadPoolExecutor(options.clients + 1) as pool:
            pool.submit(_labeler, url, sha256, tally)
            for _ in range(options.clients):
                pool.submit(_client, url, pictures, options.inspections, tally)
            while len(tally.milliseconds) < half:
                confirmed = call(client, "batch", [[], "", "", "", batch])[0]["done"]
            answered, began = len(tally.milliseconds), time.perf_counter()
            process.send_signal(signal.SIGTERM if options.end == "TERM" else signal.SIGKILL)
            tally.is_over.set()
            code = process.wait(timeout=120)
            seconds = time.perf_counter() - began
    return {
        "signal": options.end,
        "exit_code": code,
        "seconds_to_end": round(seconds, 1),
        "answered_before": answered,
        "answered_after_the_signal": len(tally.milliseconds) - answered,
        "unanswered": len(tally.errors),
        "labels_confirmed": len(tally.labels),
        "batch_rows_confirmed": confirmed,
        **_survivors(home, tally, batch),
    }


def _begin_batch(client: httpx.Client, home: Path) -> str:
    """Start a batch long enough to be at work for a while; returns its id."""
    files = []
    for picture in (one for category in _BATCH_OF for one in sample_set(category)):
        path = home / f"{picture.name}.jpg"
        content = picture.read()
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        files.append(upload(client, path))
    asked = client.post("/call/batch", json={"data": [files, "", "", "load", ""]}).raise_for_status().json()
    with client.stream("GET", f"/call/batch/{asked['event_id']}") as answers:
        first = next(line for line in answers.iter_lines() if line.startswith("data: ["))
    return str(json.loads(first.removeprefix("data: "))[0]["batch"])


def _labeler(url: str, sha256: str, tally: Tally) -> None:
    """One person after another labels the same picture."""
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=600) as client:
        for number in itertools.count():
            if tally.is_over.is_set():
                return
            try:
                call(client, "label", [sha256, "good", f"person {number}", "", "", "", None])
            except (httpx.HTTPError, RuntimeError, ValueError):
                return
            tally.labels.append(f"person {number}")


def _survivors(home: Path, tally: Tally, batch: str) -> dict[str, Any]:
    """What a new server on the same folder knows."""
    with running(home) as (url, _), httpx.Client(base_url=f"{url}/gradio_api", timeout=600) as client:
        labeled = call(client, "labels", [""])[0]
        said = {name for one in labeled for name in one["reviewers"]}
        found = call(client, "batch", [[], "", "", "", batch])[0]
        return {
            "labels_lost": len(set(tally.labels) - said),
            "batch_after": found["state"],
            "batch_rows_after": found["done"],
            "batch_rows_of": found["total"],
            "self_test_passed": call(client, "health", [])[0]["self_test"]["passed"],
        }


if __name__ == "__main__":
    main()
