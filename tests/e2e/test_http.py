"""The app as programs and attackers see it: plain HTTP against the real server, without a browser."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from mambaad_demo.ui.samples import SampleShelf

CONTRACT = {
    "file", "sha256", "width", "height", "checkpoint", "decoder", "encoder", "category", "category_source",
    "image_score", "percentile", "limits", "verdict", "regions", "timings_ms", "kernel", "device",
    "precision", "version",
}  # fmt: skip


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "part.png"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def client(app_url, tmp_path):
    client = Client(app_url, verbose=False, analytics_enabled=False, download_files=tmp_path / "answers")
    yield client
    client.close()


def outcome(app_url, path):
    """What `/inspect` says about a file path that was never uploaded."""
    file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    call = httpx.post(f"{app_url}/gradio_api/call/inspect", json={"data": [file, "", ""]}, timeout=30)
    events = httpx.get(f"{app_url}/gradio_api/call/inspect/{call.json()['event_id']}", timeout=60)
    return events.text


def test_inspect_answers_gradio_client_with_the_contract_and_two_pictures(client, picture):
    result, pictures = client.predict(handle_file(str(picture)), "", "", api_name="/inspect")

    assert result.keys() >= CONTRACT
    assert (result["file"], result["width"], result["height"]) == ("part.png", 90, 60)
    for path in pictures:
        with Image.open(path) as answer:
            assert answer.size == (90, 60)


def inspected(app_url, path):
    """Result without its timings and the bytes of the heat map, through plain HTTP."""
    with httpx.Client(base_url=f"{app_url}/gradio_api", timeout=120) as http:
        with path.open("rb") as content:
            (stored,) = http.post("/upload", files={"files": (path.name, content)}).json()
        file = {"path": stored, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
        event = http.post("/call/inspect", json={"data": [file, "", ""]}).json()["event_id"]
        answer = http.get(f"/call/inspect/{event}").text
        assert "event: complete" in answer, answer
        result, (_, heat) = json.loads(answer.rsplit("data: ", 1)[1])
        del result["timings_ms"]
        return result, httpx.get(heat["url"], timeout=30).content


def test_eight_requests_at_once_give_the_same_bits_as_one_after_another(app_url, tmp_path):
    shelf = SampleShelf()
    pictures = [tmp_path / f"{number}.jpg" for number in range(8)]
    for part, path in zip(shelf.parts, pictures, strict=False):
        path.write_bytes(shelf.photo(part))

    alone = [inspected(app_url, path) for path in pictures]
    with ThreadPoolExecutor(8) as visitors:
        together = list(visitors.map(lambda path: inspected(app_url, path), pictures))

    assert len({heat for _, heat in alone}) == 8
    assert together == alone


def test_health_says_what_runs(client):
    health = client.predict(api_name="/health")

    assert health["self_test"]["passed"]
    assert health["kernel"] in {"torch", "numba", "triton", "mamba_ssm"}
    told = {one["name"]: one for one in health["installation"]["checkpoints"]}
    assert told[health["checkpoint"]]["sha256"] == health["checkpoint_sha256"]
    assert health["service"]["state"] == "ready"
    assert health["service"]["queue"]["batches"] == 0


def test_health_names_no_place_on_the_machine(client, checkpoints_root, uploads_folder):
    told = json.dumps(client.predict(api_name="/health"))

    assert str(uploads_folder.parent) not in told
    assert str(checkpoints_root) not in told


def test_a_monitor_learns_that_the_server_is_ready_and_nothing_else(app_url):
    answer = httpx.get(f"{app_url}/healthz", timeout=30)

    assert (answer.status_code, answer.text) == (200, "ok")
    assert httpx.get(f"{app_url}/healthz", headers={"Host": "evil.example"}, timeout=30).status_code == 400


def test_only_the_contract_is_public(app_url):
    information = httpx.get(f"{app_url}/gradio_api/info", timeout=30).json()

    assert set(information["named_endpoints"]) == {
        "/inspect",
        "/compare",
        "/batch",
        "/calibration",
        "/finetune_start",
        "/finetune_status",
        "/finetune_stop",
        "/label",
        "/labels",
        "/metrics",
        "/health",
    }
    assert information["unnamed_endpoints"] == {}


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "../../app.py", "pyproject.toml"])
def test_a_file_outside_the_upload_folder_is_refused_without_a_word_about_it(app_url, path):
    answer = outcome(app_url, path)

    assert "event: error" in answer
    assert "root:" not in answer
    assert "verdict" not in answer
    assert "app.py" not in answer
    assert "passwd" not in answer


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/x.png", "https://example.org/x.png", " HTTP://e.org/x"]
)
def test_an_address_is_never_fetched(app_url, address):
    answer = outcome(app_url, address)

    assert "event: error" in answer
    assert "addresses are not fetched" in answer
    assert httpx.get(f"{app_url}/gradio_api/file={address.strip()}", timeout=30).status_code in (403, 404)


def test_the_server_reads_no_file_out(app_url):
    for path in ("/etc/passwd", f"{__file__}", "pyproject.toml"):
        assert httpx.get(f"{app_url}/gradio_api/file={path}", timeout=30).status_code in (403, 404)


def test_the_queue_cannot_be_passed_by(app_url):
    answer = httpx.post(f"{app_url}/gradio_api/run/inspect", json={"data": [None, "", ""]}, timeout=30)

    assert answer.status_code == 404


def test_a_bad_picture_is_refused_in_words_without_a_path(app_url, uploads_folder):
    upload = httpx.post(
        f"{app_url}/gradio_api/upload", files={"files": ("zip.png", b"PK\x03\x04")}, timeout=30
    )

    answer = outcome(app_url, upload.json()[0])

    assert "event: error" in answer
    message = json.loads(answer.split("data: ", 1)[1].splitlines()[0])["error"]
    assert message.startswith("zip.png")
    assert str(uploads_folder) not in message


def test_an_unknown_category_or_checkpoint_is_refused_in_words(client, picture):
    for arguments in (("", "<b>nothing</b>"), ("../secret", "")):
        with pytest.raises(Exception, match=r"(?i)nothing|secret") as refusal:
            client.predict(handle_file(str(picture)), *arguments, api_name="/inspect")
        assert "<b>" not in str(refusal.value)


def test_another_page_cannot_use_the_server(app_url):
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = httpx.post(
            f"{app_url}/gradio_api/upload", headers=headers, files={"files": b"x"}, timeout=30
        )
        assert answer.status_code == 403
    own = httpx.post(
        f"{app_url}/gradio_api/upload", headers={"Origin": app_url}, files={"files": b"x"}, timeout=30
    )
    assert own.status_code == 200


def test_a_rebound_name_is_not_served(app_url):
    assert httpx.get(app_url, headers={"Host": "evil.example"}, timeout=30).status_code == 400


def test_too_large_a_body_is_refused_before_it_is_read(app_url):
    answer = httpx.post(
        f"{app_url}/gradio_api/upload", files={"files": ("x.png", b"\0" * (9 * 2**20))}, timeout=30
    )

    assert answer.status_code == 413


def test_every_answer_carries_the_security_headers(app_url):
    for path in ("/", "/config", f"/{uuid.uuid4()}"):
        headers = httpx.get(f"{app_url}{path}", timeout=30).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_closed_doors_stay_closed(app_url):
    for path in (
        "/monitoring",
        "/gradio_api/deep_link?session_hash=x",
        "/gradio_api/proxy=https://x.hf.space/a",
    ):
        assert httpx.get(f"{app_url}{path}", timeout=30).status_code == 404
    assert httpx.post(f"{app_url}/gradio_api/process_recording", timeout=30).status_code == 404
    assert httpx.post(f"{app_url}/login", files={"username": b"x" * 9}, timeout=30).status_code == 404


def test_compare_answers_with_a_result_per_checkpoint_votes_costs_and_pictures(client, picture):
    names = client.predict(api_name="/health")["checkpoints"][:3]
    comparison, pictures = client.predict(handle_file(str(picture)), api_name="/compare")

    assert [result["checkpoint"] for result in comparison["results"]] == names
    assert all(result.keys() >= CONTRACT for result in comparison["results"])
    assert sum(comparison["votes"].values()) == len(names)
    assert all(cost["parameters"] > cost["decoder_parameters"] > 0 for cost in comparison["costs"])
    assert len(pictures) == 2 + len(names)
    for path in pictures:
        with Image.open(path) as answer:
            assert answer.size == (90, 60)


def test_compare_refuses_an_unknown_checkpoint_by_name(client, picture):
    with pytest.raises(Exception, match=r"no checkpoint .*absent"):
        client.predict(handle_file(str(picture)), "absent", "", api_name="/compare")
