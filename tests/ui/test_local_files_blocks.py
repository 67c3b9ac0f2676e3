"""Gradio's door to every handler: whose session, whose files, how often; and a folder for each upload."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import anyio
import gradio as gr
import httpx
import pytest
from gradio.processing_utils import hash_seed
from gradio.routes import App

from mambaad_demo.errors import InputError
from mambaad_demo.ui.allowance import Allowances, take_pictures
from mambaad_demo.ui.caps import GIGABYTE, Allowance, Caps, Disk
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import LocalFilesBlocks, download, made_once, uploaded_path
from mambaad_demo.ui.visits import COOKIE, Visits, browser_of, new_cookie

MIRA, JO, NOBODY = new_cookie(), new_cookie(), None


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch):
    folder = tmp_path / "uploads"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    folder.mkdir()
    return folder


@pytest.fixture
def blocks(uploads):
    """Blocks whose handlers hand out a copy of a file, run the detector, and count to three on it.

    A visitor may be given a kilobyte at once, and have four pictures judged.
    """
    allowances = Allowances(Caps(written_mb_per_hour=2**-10, pictures_per_hour=4), Disk(uploads, free_gb=0))

    def copy(file):
        with shown_to_user():
            return download(uploaded_path(file).read_bytes(), "copy.txt", blocks.GRADIO_CACHE)

    def count():
        yield from (1, 2, 3)

    def judge():
        with shown_to_user():
            for _ in range(3):
                yield 0
                take_pictures(1)

    with LocalFilesBlocks(
        visits=Visits(), requests=Allowance(2, seconds=60), allowances=allowances, analytics_enabled=False
    ) as blocks:
        file, copied, number, button = gr.File(), gr.File(), gr.Number(), gr.Button()
        button.click(copy, file, copied, preprocess=False)
        button.click(lambda: 1, None, number, **MODEL_LANE)
        button.click(count, None, number, **MODEL_LANE)
        button.click(judge, None, number)
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


def test_pictures_count_for_who_asked_in_every_step_of_a_handler(blocks):
    def judged(who, session):
        answer = run(blocks, who, 3, session=session)
        for _ in range(3):
            answer = run(blocks, who, 3, session=session, iterator=answer["iterator"])

    judged(MIRA, "a")
    with pytest.raises(gr.Error, match="as many pictures as it may for one visitor"):
        judged(MIRA, "b")
    judged(JO, "c")


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


@pytest.mark.parametrize(
    ("most", "statuses"), [(2, [200, 200, 503, 503]), (None, [200] * 4)], ids=["strangers", "colleagues"]
)
def test_nobody_fills_the_queue_alone(most, statuses):
    with LocalFilesBlocks(
        visits=Visits(),
        requests=Allowance(None, 60),
        allowances=Allowances(Caps()),
        unfinished=most,
        analytics_enabled=False,
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


def test_the_folder_of_a_download_is_for_this_server_alone(uploads):
    path = Path(download(b"part", "part.txt", str(uploads / "deep" / "cache")))
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_who_asks_again_for_the_same_download_is_given_the_same_file(blocks, part, uploads):
    (first,) = run(blocks, MIRA, 0, part)["data"]
    os.utime(first["path"], (0, 0))
    files = sorted(uploads.rglob("*"))

    (again,) = run(blocks, MIRA, 0, part)["data"]

    assert again["path"] == first["path"]
    assert sorted(uploads.rglob("*")) == files
    assert Path(first["path"]).stat().st_mtime > 0  # it is kept as long as a new one would be


def test_a_download_that_was_deleted_meanwhile_is_written_again(blocks, part):
    (first,) = run(blocks, MIRA, 0, part)["data"]
    Path(first["path"]).unlink()

    (again,) = run(blocks, MIRA, 0, part)["data"]

    assert Path(again["path"]).read_bytes() == b"part"


def test_equal_downloads_of_two_visitors_are_two_files_whoever_has_a_cookie(blocks, uploads):
    paths = set()
    for number, (who, session) in enumerate([(MIRA, "a"), (JO, "b"), (NOBODY, "c"), (NOBODY, "d")]):
        (uploads / f"{number}.txt").write_bytes(b"the same")
        (copied,) = run(blocks, who, 0, as_file(uploads / f"{number}.txt"), session=session)["data"]
        paths.add(copied["path"])

    assert len(paths) == 4


def test_who_was_given_as_much_as_one_may_has_to_wait(blocks, uploads):
    (uploads / "large.txt").write_bytes(b"x" * 1500)
    (uploads / "small.txt").write_bytes(b"x")
    run(blocks, MIRA, 0, as_file(uploads / "large.txt"))
    known = set(uploads.rglob("*"))

    with pytest.raises(
        gr.Error, match=r"as much as it may for one visitor for now. Try again in \d+ minutes"
    ):
        run(blocks, MIRA, 0, as_file(uploads / "small.txt"))

    assert set(uploads.rglob("*")) == known
    run(blocks, MIRA, 0, as_file(uploads / "large.txt"))  # is there already
    (uploads / "other.txt").write_bytes(b"x")
    run(blocks, JO, 0, as_file(uploads / "other.txt"), session="of jo")


def test_nothing_is_written_where_there_is_no_room(blocks, part, uploads):
    blocks.allowances.disk = Disk(uploads, most_gb=5 / GIGABYTE, free_gb=0)

    with pytest.raises(gr.Error, match="no room for more files"):
        run(blocks, MIRA, 0, part)

    assert [path.name for path in uploads.rglob("*") if path.is_file()] == ["part.txt"]


def test_a_download_that_could_not_be_written_leaves_nothing(uploads):
    def fail(path):
        path.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        made_once(fail, "key", "part.zip", str(uploads))

    assert [path for path in uploads.rglob("*") if path.is_file()] == []
