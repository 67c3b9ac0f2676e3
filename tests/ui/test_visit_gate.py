"""Which requests the gate lets through, before a small stand-in for Gradio."""

import json
from pathlib import Path
from urllib.parse import quote

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from mambaad_demo.ui.bodies import InMemory
from mambaad_demo.ui.caps import Caps, Disk
from mambaad_demo.ui.visit_gate import VisitGate, in_words
from mambaad_demo.ui.visits import COOKIE, Visits, new_cookie

MIRA, JO, NOBODY = new_cookie(), new_cookie(), None


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("<p>The page</p>")


async def upload(request: Request) -> JSONResponse:
    return JSONResponse(json.loads(request.headers["x-paths"]) if await request.body() else [])


async def event(request: Request) -> JSONResponse:
    body = await request.body()
    return JSONResponse({"event_id": json.loads(body).get("as", "an event"), "bytes": len(body)})


async def anything(request: Request) -> JSONResponse:
    return JSONResponse(len(await request.body()))


@pytest.fixture
def gate(tmp_path):
    """A function that makes another gate before the stand-in."""

    def new(caps=None, *, disk=None, on_space=False, root_path="", most=1000):
        app = Starlette(
            routes=[
                Route("/", page),
                Route("/gradio_api/upload", upload, methods=["POST"]),
                Route("/gradio_api/queue/join", event, methods=["POST"]),
                Route("/gradio_api/call/{name:path}", event, methods=["POST"]),
                Route("/{path:path}", anything, methods=["GET", "POST"]),
            ]
        )
        gate = VisitGate(
            app,
            visits=Visits(most=most),
            caps=caps or Caps(),
            disk=disk or Disk(tmp_path, free_gb=0),
            on_space=on_space,
        )

        async def served(scope, receive, send):
            await gate({**scope, "root_path": root_path}, receive, send)

        return served

    return new


def call(gate, who, method, path, *, address="127.0.0.1", **options):
    """The answer to one request of a browser with a cookie, or of a program without."""

    async def request():
        transport = httpx.ASGITransport(gate, raise_app_exceptions=False, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            if who is not None:
                client.cookies.set(COOKIE, who)
            return await client.request(method, path, **options)

    return anyio.run(request)


def test_a_browser_gets_a_cookie_with_its_first_page_and_keeps_it(gate):
    gate = gate()
    given = call(gate, NOBODY, "GET", "/").headers["set-cookie"]
    cookie = given.removeprefix(f"{COOKIE}=").split(";")[0]

    assert "HttpOnly" in given
    assert "set-cookie" not in call(gate, cookie, "GET", "/").headers
    assert "set-cookie" in call(gate, "made-up", "GET", "/").headers


def test_a_program_that_never_opens_the_page_gets_no_cookie(gate):
    answer = call(gate(), NOBODY, "POST", "/gradio_api/queue/join", json={"data": []})

    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("on_space", [False, True])
def test_the_cookie_is_the_one_for_the_place(gate, on_space):
    given = call(gate(on_space=on_space), NOBODY, "GET", "/").headers["set-cookie"]

    assert ("Partitioned" in given) is on_space


USES = {
    "joining": ("POST", "/gradio_api/queue/join", {"json": {"data": [], "session_hash": "s"}}),
    "calling": ("POST", "/gradio_api/call/inspect", {"json": {"data": [], "session_hash": "s"}}),
    "running": ("POST", "/gradio_api/run/health", {"json": {"data": [], "session_hash": "s"}}),
    "cancelling": ("POST", "/gradio_api/cancel", {"json": {"session_hash": "s", "event_id": "e"}}),
    "reading the stream": ("GET", "/gradio_api/queue/data?session_hash=s", {}),
    "keeping alive": ("GET", "/gradio_api/heartbeat/s", {}),
    "keeping alive with a slash": ("GET", "/gradio_api/heartbeat/s/", {}),
    "keeping alive, spelled otherwise": ("GET", "/gradio_api/heartbeat/%73", {}),
    "another type of content": (
        "POST",
        "/gradio_api/queue/join",
        {"content": b'{"session_hash": "s"}', "headers": {"Content-Type": "text/plain"}},
    ),
    "naming it twice": (
        "POST",
        "/gradio_api/queue/join",
        {"content": b'{"session_hash": "x", "session_hash": "s"}'},
    ),
    "another encoding": (
        "POST",
        "/gradio_api/queue/join",
        {"content": '{"session_hash": "s"}'.encode("utf-16")},
    ),
    "an escape": ("POST", "/gradio_api/queue/join", {"content": rb'{"session_hash": "\u0073"}'}),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("stranger", [JO, NOBODY], ids=["another browser", "a program"])
def test_a_session_of_a_browser_is_closed_to_others_by(gate, use, stranger):
    gate = gate()
    call(gate, MIRA, "GET", "/gradio_api/heartbeat/s")
    method, path, options = USES[use]

    refusal = call(gate, stranger, method, path, **options)

    assert (refusal.status_code, refusal.headers["X-Visit"]) == (404, "another")
    assert call(gate, MIRA, method, path, **options).status_code == 200


@pytest.mark.parametrize("use", USES)
def test_a_session_is_closed_to_others_below_a_root_path_too(gate, use):
    gate = gate(root_path="/parts")
    call(gate, MIRA, "GET", "/parts/gradio_api/heartbeat/s")
    method, path, options = USES[use]

    for place in ("", "/parts"):
        assert call(gate, JO, method, place + path, **options).status_code == 404
        assert call(gate, MIRA, method, place + path, **options).status_code == 200


def test_uploads_are_closed_to_others_below_a_root_path_too(gate, tmp_path):
    gate, path = gate(root_path="/parts"), tmp_path / "a.png"
    path.touch()
    send = {"content": b"x", "headers": {"x-paths": json.dumps([str(path)])}}
    call(gate, MIRA, "POST", "/parts/gradio_api/upload", **send)

    assert call(gate, JO, "GET", f"/parts/gradio_api/file={path}").status_code == 404
    assert call(gate, MIRA, "GET", f"/parts/gradio_api/file={path}").status_code == 200


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a/b", "ä", "a\n"])
def test_what_is_no_name_of_a_session_is_not_kept(gate, name):
    gate = gate()
    answers = [
        call(gate, MIRA, "POST", "/gradio_api/queue/join", json={key: name})
        for key in ("session_hash", "event_id")
    ]
    answers.append(call(gate, MIRA, "GET", "/gradio_api/queue/data", params={"session_hash": name}))
    answers.append(call(gate, MIRA, "GET", "/gradio_api/upload_progress", params={"upload_id": name}))

    assert [answer.status_code for answer in answers] == [400] * 4


@pytest.mark.parametrize("query", ["session_hash=x&session_hash=s", "session_hash=s&session_hash=x"])
def test_a_foreign_session_is_not_hidden_behind_another(gate, query):
    gate = gate()
    call(gate, MIRA, "GET", "/gradio_api/heartbeat/s")

    assert call(gate, JO, "GET", f"/gradio_api/queue/data?{query}").status_code == 404


def test_one_address_names_no_more_than_one_of_each(gate):
    many = "&".join(f"session_hash={number}" for number in range(4))

    assert call(gate(), JO, "GET", f"/nothing?{many}").status_code == 400


def test_names_that_one_address_brings_make_no_session_of_another_forgotten(gate):
    gate = gate(most=20)
    call(gate, MIRA, "GET", "/gradio_api/heartbeat/s", address="192.0.2.1")
    for number in range(30):
        query = f"session_hash={number}a&event_id={number}b&upload_id={number}c"
        call(gate, JO, "GET", f"/gradio_api/queue/data?{query}", address="192.0.2.2")

    assert call(gate, JO, "GET", "/gradio_api/heartbeat/s", address="192.0.2.2").status_code == 404
    assert call(gate, MIRA, "GET", "/gradio_api/heartbeat/s", address="192.0.2.1").status_code == 200


def test_a_program_can_use_its_session_and_no_browser_can(gate):
    gate = gate()
    assert call(gate, NOBODY, "GET", "/gradio_api/queue/data?session_hash=s").status_code == 200
    assert call(gate, NOBODY, "GET", "/gradio_api/queue/data?session_hash=s").status_code == 200

    assert call(gate, JO, "GET", "/gradio_api/queue/data?session_hash=s").status_code == 404


@pytest.mark.parametrize(
    "path", ["/gradio_api/queue/join", "/gradio_api/call/inspect", "/gradio_api/call/v2/inspect"]
)
@pytest.mark.parametrize("owner", [MIRA, NOBODY], ids=["a browser's", "a program's"])
def test_an_event_belongs_to_who_asked_before_its_id_is_known(gate, path, owner):
    gate = gate()
    call(gate, owner, "POST", path, json={"data": [], "as": "e"})
    reads = (
        "/gradio_api/call/inspect/e",
        "/gradio_api/call/v2/inspect/e",
        "/gradio_api/queue/data?session_hash=e",
    )

    for read in reads:
        assert call(gate, JO, "GET", read).status_code == 404
        assert call(gate, owner, "GET", read).status_code == 200
    assert call(gate, JO, "POST", "/gradio_api/cancel", json={"event_id": "e"}).status_code == 404


def test_a_name_of_an_endpoint_is_no_event(gate):
    gate = gate()
    for who in (MIRA, JO, NOBODY):
        assert call(gate, who, "POST", "/gradio_api/call/v2/inspect", json={}).status_code == 200


def test_uploads_belong_to_the_browser_that_sent_them(gate, tmp_path):
    gate, paths = gate(), [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    for path in paths:
        Path(path).touch()
    call(gate, MIRA, "POST", "/gradio_api/upload", content=b"x", headers={"x-paths": json.dumps(paths)})

    for path in (*paths, f"{tmp_path}/./a.png", f"{tmp_path}/x/../b.png".replace("/", "%2F")):
        for stranger in (JO, NOBODY):
            assert call(gate, stranger, "GET", f"/gradio_api/file={path}").status_code == 404
        assert call(gate, MIRA, "GET", f"/gradio_api/file={path}").status_code == 200


def test_a_program_finds_its_uploads_without_saying_who_it_is(gate, tmp_path):
    gate, path = gate(), str(tmp_path / "a.png")
    Path(path).touch()
    call(gate, NOBODY, "POST", "/gradio_api/upload", content=b"x", headers={"x-paths": json.dumps([path])})

    assert call(gate, NOBODY, "GET", f"/gradio_api/file={path}").status_code == 200


@pytest.mark.parametrize("path", ["none.png", "", "../secret.png", "link.png", "\0", "x" * 5000])
def test_what_is_no_upload_gets_the_answer_of_a_foreign_one(gate, tmp_path, path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (tmp_path / "secret.png").touch()
    (uploads / "link.png").symlink_to(tmp_path / "secret.png")
    gate = gate(disk=Disk(uploads, free_gb=0))
    foreign = uploads / "a.png"
    foreign.touch()
    call(gate, MIRA, "POST", "/gradio_api/upload", content=b"x", headers={"x-paths": f'["{foreign}"]'})

    answer = call(gate, JO, "GET", "/gradio_api/file=" + quote(f"{uploads}/{path}"))

    assert (answer.status_code, answer.text) == (404, "Not found. It may belong to another visitor.")
    assert call(gate, JO, "GET", f"/gradio_api/file={foreign}").text == answer.text


def test_a_foreign_upload_cannot_be_watched(gate):
    gate = gate()
    call(gate, MIRA, "POST", "/gradio_api/upload?upload_id=u", content=b"x", headers={"x-paths": "[]"})

    assert call(gate, JO, "GET", "/gradio_api/upload_progress?upload_id=u").status_code == 404
    assert call(gate, MIRA, "GET", "/gradio_api/upload_progress?upload_id=u").status_code == 200


@pytest.mark.parametrize("body", [b"{", b'{"session_hash": "s"', b"\xff", b"[" * 100_000, b"[]", b"3"])
def test_a_body_that_cannot_be_read_gets_no_further(gate, body):
    assert call(gate(), MIRA, "POST", "/gradio_api/queue/join", content=body).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{}", b'{"session_hash": null}', b'{"session_hash": 3}'])
def test_a_body_without_a_session_is_gradios_business(gate, body):
    assert call(gate(), MIRA, "POST", "/gradio_api/reset", content=body).json() == len(body)


def test_a_body_arrives_whole_however_it_was_cut(gate):
    async def cut():
        for piece in (b'{"session_', b'hash": ', b'"s"}'):
            yield piece

    gate = gate()
    assert call(gate, MIRA, "POST", "/gradio_api/queue/join", content=cut()).json()["bytes"] == 21
    assert call(gate, JO, "GET", "/gradio_api/heartbeat/s").status_code == 404


def test_who_uploaded_enough_is_told_when_to_come_again(gate):
    gate = gate(Caps(upload_mb_per_hour=1))
    send = {"content": b"x" * 700_000, "headers": {"x-paths": "[]"}}
    answers = [call(gate, MIRA, "POST", "/gradio_api/upload", **send) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert 1200 < int(answers[1].headers["Retry-After"]) < 1300  # for 351 424 bytes too many
    assert "Try again in" in answers[1].text
    assert call(gate, JO, "POST", "/gradio_api/upload", **send).status_code == 200


def test_uploads_at_once_find_no_more_room_than_one_after_another(gate):
    gate = gate(Caps(upload_mb_per_hour=1))
    statuses = []

    async def upload():
        async def slow():
            for _ in range(7):
                await anyio.lowlevel.checkpoint()
                yield b"x" * 100_000

        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            client.cookies.set(COOKIE, MIRA)
            headers = {"x-paths": "[]", "Content-Length": "700000"}
            answer = await client.post("/gradio_api/upload", content=slow(), headers=headers)
            statuses.append(answer.status_code)

    async def at_once():
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(upload)

    anyio.run(at_once)

    assert sorted(statuses) == [200] + [429] * 9


def test_an_upload_of_undeclared_length_ends_where_the_cap_is(gate):
    taken = 0

    async def endless():
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield b"x" * 100_000

    answer = call(gate(Caps(upload_mb_per_hour=1)), MIRA, "POST", "/gradio_api/upload", content=endless())

    assert answer.status_code >= 400
    assert taken < 13


def test_who_broke_an_upload_off_is_charged_for_what_came(gate):
    gate = gate(Caps(upload_mb_per_hour=1))
    headers = {"x-paths": "[]", "Content-Length": "1000000"}
    call(gate, MIRA, "POST", "/gradio_api/upload", content=b"x" * 100_000, headers=headers)

    send = {"content": b"x" * 900_000, "headers": {"x-paths": "[]"}}
    assert call(gate, MIRA, "POST", "/gradio_api/upload", **send).status_code == 200


def test_a_question_that_would_be_too_much_is_not_read(gate):
    gate, taken = gate(Caps(upload_mb_per_hour=1)), 0
    join = "/gradio_api/queue/join"
    call(gate, MIRA, "POST", join, json={"data": ["x" * 700_000]})

    async def pieces():
        nonlocal taken
        for _ in range(7):
            taken += 1
            yield b"x" * 100_000

    answer = call(gate, MIRA, "POST", join, content=pieces(), headers={"Content-Length": "700000"})

    assert (answer.status_code, taken) == (429, 0)


def test_questions_that_are_sent_slowly_fill_the_memory_only_so_far(gate, monkeypatch):
    monkeypatch.setattr("mambaad_demo.ui.visit_gate.InMemory", lambda: InMemory(most=250_000))
    gate, statuses, held = gate(), [], anyio.Event()

    async def slow():
        yield b"x" * 100_000
        await held.wait()

    async def ask(address):
        transport = httpx.ASGITransport(gate, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.post("/gradio_api/queue/join", content=slow())
            statuses.append((address, answer.status_code))

    async def at_once():
        async with anyio.create_task_group() as tasks:
            for address in ["192.0.2.1"] * 5 + ["192.0.2.2"]:
                tasks.start_soon(ask, address)
            await anyio.wait_all_tasks_blocked()
            assert statuses == [("192.0.2.1", 429)] * 3
            held.set()

    anyio.run(at_once)

    assert sorted(statuses[3:]) == [("192.0.2.1", 400)] * 2 + [("192.0.2.2", 400)], "no JSON, once read"


def test_what_events_are_asked_with_counts_as_uploaded_and_small_ones_always_pass(gate):
    gate = gate(Caps(upload_mb_per_hour=1))
    large = {"json": {"data": ["x" * 700_000]}}
    join = "/gradio_api/queue/join"

    assert call(gate, MIRA, "POST", join, **large).status_code == 200
    assert call(gate, MIRA, "POST", join, **large).status_code == 429
    assert call(gate, MIRA, "POST", join, json={"data": []}).status_code == 200
    assert call(gate, JO, "POST", join, **large).status_code == 200


def test_many_cookies_at_one_address_do_not_make_a_crowd(gate):
    gate = gate(Caps(upload_mb_per_hour=1))
    send = {"content": b"x" * 700_000, "headers": {"x-paths": "[]"}}
    statuses = [
        call(gate, cookie, "POST", "/gradio_api/upload", **send).status_code
        for cookie in [new_cookie() for _ in range(8)] + ["a" * 43, f"{'a' * 43}.{'0' * 64}"]
    ]

    assert statuses == [200] * 5 + [429] * 5


@pytest.mark.parametrize("who", ["a cookie", "no cookie"])
def test_on_a_space_the_addresses_behind_the_proxy_are_told_apart(gate, who):
    gate = gate(Caps(upload_files_per_hour=1), on_space=True)

    def upload(forwarded):
        headers = {"x-paths": '["/uploads/a"]', "X-Forwarded-For": forwarded}
        cookie = NOBODY if who == "no cookie" else new_cookie()
        return call(gate, cookie, "POST", "/gradio_api/upload", content=b"x", headers=headers).status_code

    statuses = [upload(f"203.0.114.{number}, 198.41.0.4, 10.16.3.80") for number in range(5)]

    assert statuses == ([200, 200, 200, 200, 429] if who == "a cookie" else [200, 429, 429, 429, 429])
    assert upload("198.41.0.5, 10.16.3.80") == 200


def test_uploaded_files_are_counted_too(gate):
    gate = gate(Caps(upload_files_per_hour=3))
    send = {
        "content": b"x",
        "headers": {"x-paths": json.dumps([f"/uploads/{number}" for number in range(3)])},
    }
    answers = [call(gate, MIRA, "POST", "/gradio_api/upload", **send) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


def test_programs_at_one_address_share_what_one_visitor_may(gate):
    gate = gate(Caps(upload_files_per_hour=1))
    send = {"content": b"x", "headers": {"x-paths": '["/uploads/a"]'}}

    assert call(gate, NOBODY, "POST", "/gradio_api/upload", **send).status_code == 200
    assert call(gate, NOBODY, "POST", "/gradio_api/upload", **send).status_code == 429


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/upload/"])
def test_a_full_disk_takes_no_uploads_and_does_all_else(gate, tmp_path, path):
    (tmp_path / "part.png").write_bytes(b"x")
    gate = gate(disk=Disk(tmp_path, most_gb=0, free_gb=0))
    answer = call(gate, MIRA, "POST", path, content=b"x", headers={"x-paths": "[]"})

    assert answer.status_code == 507
    assert "no room" in answer.text
    assert str(tmp_path) not in answer.text
    assert call(gate, MIRA, "POST", "/gradio_api/queue/join", json={}).status_code == 200


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (119, "119 seconds"), (120, "2 minutes"), (121, "3 minutes"), (3600, "60 minutes")],
)
def test_a_waiting_time_is_said_in_words(seconds, words):
    assert in_words(seconds) == words
