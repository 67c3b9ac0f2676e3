"""The app asked to end while it works: answers are given, work is kept, the process goes in good order."""

import json
import signal

import httpx
import numpy as np
import pytest
from PIL import Image

from mambaad_demo.hub.checkpoints import embedded_names
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.storage import jobs
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.storage.workspace import SHARED, Workspace
from mambaad_demo.workflow.batch_runner import BatchRunner
from tests.e2e.conftest import started_app

PICTURES = 48
ENDS_WITHIN = 30  # seconds


@pytest.fixture
def app(tmp_path, checkpoints_root):
    with started_app(tmp_path, {"MAMBAAD_CHECKPOINTS": str(checkpoints_root)}) as (process, url, log):
        yield process, f"{url}/gradio_api", log


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for number in range(PICTURES):
        pixels = np.random.default_rng(number).integers(0, 255, (180, 180, 3), dtype=np.uint8)
        paths.append(tmp_path / f"part-{number:02d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def sent(http, paths):
    """The files as arguments of a call."""
    contents = [("files", (path.name, path.read_bytes())) for path in paths]
    stored = http.post("/upload", files=contents).json()
    return [
        {"path": where, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
        for where, path in zip(stored, paths, strict=True)
    ]


def function(http, name):
    """The number under which the page itself calls an endpoint; it is told when work begins."""
    config = http.get(http.base_url.copy_with(path="/config")).json()
    (number,) = (one["id"] for one in config["dependencies"] if one["api_name"] == name)
    return number


def answered(process, http, name, data, *, end_at):
    """The last message of a call during which the app is asked to end, at the first message of a kind."""
    asked = {"data": data, "fn_index": function(http, name), "session_hash": "visit"}
    assert http.post("/queue/join", json=asked).is_success
    with http.stream("GET", "/queue/data", params={"session_hash": "visit"}) as stream:
        for line in stream.iter_lines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") == end_at and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                end_at = None
            if message.get("msg") in ("process_completed", "unexpected_error"):
                return message
    return {}


def test_an_inspection_at_hand_is_answered_before_the_server_ends(app, pictures, checkpoints_root):
    process, url, log = app
    slow = embedded_names(checkpoints_root)[-1]  # not loaded yet
    with httpx.Client(base_url=url, timeout=120) as http:
        (file,) = sent(http, pictures[:1])
        message = answered(process, http, "inspect", [file, slow, ""], end_at="process_starts")

    assert message.get("success"), message
    assert message["output"]["data"][0]["checkpoint"] == slow
    assert process.wait(timeout=ENDS_WITHIN) == 0
    written = log.read_text(encoding="utf-8")
    assert "Closed after" in written
    assert "Traceback" not in written


def test_a_batch_at_work_is_interrupted_and_can_be_resumed(app, pictures, tmp_path, checkpoints_root):
    process, url, _ = app
    with httpx.Client(base_url=url, timeout=120) as http:
        files = sent(http, pictures)
        answered(process, http, "batch", [files, "", "", "", ""], end_at="process_generating")
    assert process.wait(timeout=ENDS_WITHIN) == 0

    workspace = Workspace.open(f"sqlite:///{tmp_path / 'mambaad.db'}", str(tmp_path / "files")).of(SHARED)
    runner = BatchRunner(
        Catalog(checkpoints_root, device="cpu"), tmp_path / "batches", finish=lambda *whose: None
    )
    try:
        (batch,) = jobs.jobs(workspace)
        assert batch.state is JobState.INTERRUPTED
        assert batch.done < PICTURES
        runner.resume(workspace, batch.id)
        runner.wait(batch.id)
        assert jobs.job(workspace, batch.id).state is JobState.DONE
        assert jobs.job(workspace, batch.id).done == PICTURES
    finally:
        runner.close()
        workspace.database.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once_and_deletes_its_uploads(app, pictures, tmp_path, number):
    process, url, log = app
    with httpx.Client(base_url=url, timeout=120) as http:
        sent(http, pictures[:1])

    process.send_signal(number)

    assert process.wait(timeout=ENDS_WITHIN) == 0
    assert "Traceback" not in log.read_text(encoding="utf-8")
    assert [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()] == []
