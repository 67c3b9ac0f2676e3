"""Gradio's door to every handler: whose session, whose files, how often; and a folder for each upload."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import anyio
import gradio as gr
import httpx
import pytest
from gradio.processing_utils import hash_seed
from gradio.routes import App

from mambaad_demo.errors import InputError
from mambaad_demo.ui.caps import Allowance
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import LocalFilesBlocks, download, new_folder, uploaded_path
from mambaad_demo.ui.visits import COOKIE, Visits, browser_of, new_cookie

MIRA, JO, NOBODY = new_cookie(), new_cookie(), None


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    folder.mkdir()
    return folder


@pytest.fixture
def blocks():
    """Blocks whose handlers hand out a copy of a file, run the detector, and count to three on it."""

    def copy(file):
        with shown_to_user():
            return download(uploaded_path(file).read_bytes(), "copy.txt", blocks.GRADIO_CACHE)

    def count():
        yield from (1, 2, 3)

    with LocalFilesBlocks(
        visits=Visits(), requests=Allowance(2, seconds=60), analytics_enabled=False
    ) as blocks:
        file, copied, number, button = gr.File(), gr.File(), gr.Number(), gr.Button()
        button.click(copy, file, copied, preprocess=False)
        button.click(lambda: 1, None, number, **MODEL_LANE)
        button.click(count, None, number, **MODEL_LANE)
    return blocks


def run(blocks, who, function, *inputs, session="session", **options):
    """What a handler answers a browser with a cookie, or a program without."""
    cookies = {} if who is None else {COOKIE: who}
    http = SimpleNamespace(cookies=cookies, scope={"client": ("192.0.2.1", 1)})
    request = SimpleNamespace(request=http, session_hash=session)

    async def answer():
        return await blocks.process_api(
            block_fn=blocks.fns[function],
            inputs=list(inputs),
            request=request,
            session_hash=session,
            **options,
        )

    return anyio.run(answer)


def as_file(path):
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def part(uploads):
    (uploads / "random").mkdir()
    (uploads / "random" / "part.txt").write_bytes(b"part")
    return as_file(uploads / "random" / "part.txt")


def test_a_file_belongs_to_who_uses_it_first(blocks, part):
    run(blocks, MIRA, 0, part, session="a")

    for stranger in (JO, NOBODY):
        with pytest.raises(gr.Error, match="no uploaded file"):
            run(blocks, stranger, 0, part, session=f"of {stranger}")
    run(blocks, MIRA, 0, part, session="b")


def test_what_a_handler_hands_out_belongs_to_who_asked(blocks, part):
    (copied,) = run(blocks, MIRA, 0, part)["data"]

    assert blocks.visits.may_open(copied["path"], browser_of({COOKIE: MIRA}))
    assert not blocks.visits.may_open(copied["path"], browser_of({COOKIE: JO}))
    assert not blocks.visits.may_open(copied["path"], NOBODY)


@pytest.mark.parametrize("stranger", [JO, NOBODY], ids=["another browser", "a program"])
def test_a_session_runs_no_handler_for_a_stranger(blocks, stranger):
    run(blocks, MIRA, 1)

    with pytest.raises(gr.Error, match="another browser"):
        run(blocks, stranger, 1)


@pytest.mark.parametrize(
    "name", ["secret.txt", "uploads/../secret.txt", "uploads/link.txt", "\0", "x" * 5000]
)
def test_nobody_comes_to_own_a_file_outside_the_upload_folder(blocks, tmp_path, uploads, name):
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (uploads / "link.txt").symlink_to(tmp_path / "secret.txt")
    run(blocks, JO, 1, {"path": f"{tmp_path}/{name}"})

    assert blocks.visits.may_open(str(tmp_path / "secret.txt"), browser_of({COOKIE: MIRA}))
    with pytest.raises(InputError):
        uploaded_path({"path": f"{tmp_path}/{name}"})


def test_who_asks_too_often_is_told_when_to_ask_again(blocks):
    run(blocks, MIRA, 1)
    run(blocks, MIRA, 1)

    with pytest.raises(gr.Error, match=r"minute 2 pictures .* Try again in \d+ seconds"):
        run(blocks, MIRA, 1)
    run(blocks, JO, 1, session="of jo")


def test_the_steps_of_one_request_count_once(blocks):
    for _ in range(2):
        answer = run(blocks, MIRA, 2)
        for _ in range(2):
            answer = run(blocks, MIRA, 2, iterator=answer["iterator"])
        assert answer["data"] == [3]


def test_what_runs_no_detector_is_not_counted(blocks, part):
    for _ in range(5):
        run(blocks, MIRA, 0, part)


def test_each_upload_has_a_folder_that_its_content_does_not_tell(blocks, uploads):
    blocks.max_file_size = 1000

    async def uploaded():
        transport = httpx.ASGITransport(App.create_app(blocks))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = [
                await client.post("/gradio_api/upload", files={"files": ("part.txt", b"part")})
                for _ in range(2)
            ]
        return [answer.json()[0] for answer in answers]

    first, second = anyio.run(uploaded)

    assert first != second
    for path in (first, second):
        folder = path.split("/")[-2]
        assert len(folder) >= 40
        assert folder != hashlib.sha256(hash_seed + b"part").hexdigest()
        assert Path(path).read_bytes() == b"part"


def test_equal_downloads_are_two_files_in_folders_that_nobody_guesses(uploads):
    first, second = (download(b"same", "../part.json", str(uploads)) for _ in range(2))

    assert first != second
    for path in (first, second):
        assert path.startswith(str(uploads))
        assert path.endswith("/part.json")
        assert len(path.split("/")[-2]) >= 40


def test_a_new_folder_is_for_this_server_alone(uploads):
    assert new_folder(str(uploads / "deep" / "cache")).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("most", "statuses"), [(2, [200, 200, 503, 503]), (None, [200] * 4)], ids=["strangers", "colleagues"]
)
def test_nobody_fills_the_queue_alone(most, statuses):
    with LocalFilesBlocks(
        visits=Visits(), requests=Allowance(None, 60), unfinished=most, analytics_enabled=False
    ) as blocks:
        gr.Button().click(lambda: 1, None, gr.Number())
    blocks.queue(max_size=40)

    async def joined(who, *, session):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            if who is not None:
                client.cookies.set(COOKIE, who)
            body = {"fn_index": 0, "data": [], "session_hash": session}
            return (await client.post("/gradio_api/queue/join", json=body)).status_code

    async def ask():
        of_mira = [await joined(MIRA, session=f"tab-{number}") for number in range(4)]
        of_others = [await joined(who, session=f"of-{who}") for who in (JO, NOBODY)]
        crowd = [await joined(new_cookie(), session=f"crowd-{number}") for number in range(8)]
        return of_mira, of_others, crowd

    app = App.create_app(blocks)  # whose queue is not started, so all that joins waits
    of_mira, of_others, crowd = anyio.run(ask)

    assert of_mira == statuses
    assert of_others == [200, 200]
    assert crowd == ([200] * 8 if most is None else [200] * 4 + [503] * 4)
