"""The tool as agents find it: a client of the Model Context Protocol against the real server, over HTTP."""

import asyncio
import base64
import hashlib
import io
import json

import httpx
import pytest
from PIL import Image

from tests.e2e.test_http import CONTRACT
from tests.e2e.visitors import Visitor, picture

mcp = pytest.importorskip("mcp", reason="the package mcp is not installed")
streamable_http = pytest.importorskip("mcp.client.streamable_http")

DATA_URL = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
ADDRESS = "/gradio_api/mcp/"


def in_session(url, use, *, cookie=""):
    """What `use` makes of a session that is set up as a client does it."""

    async def talk():
        headers = {"Cookie": cookie} if cookie else {}
        async with (
            httpx.AsyncClient(headers=headers, timeout=120) as http,
            streamable_http.streamable_http_client(f"{url}{ADDRESS}", http_client=http) as (reads, writes, _),
            mcp.ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            return await use(session)

    return asyncio.run(talk())


def called(url, *, tool="inspect", cookie="", **arguments):
    """The answer of a tool to one call."""
    return in_session(url, lambda session: session.call_tool(tool, arguments), cookie=cookie)


def given_cookie(url):
    """The cookie that a browser gets which comes for the first time."""
    with httpx.Client(base_url=url, timeout=60) as http:
        http.get("/")
        return f"visit={http.cookies['visit']}"


def refused(answer):
    """The words of a refusal that holds nothing else."""
    (words,) = answer.content
    assert answer.isError
    assert answer.structuredContent is None
    return words.text


def test_the_one_tool_says_what_it_takes(app_url):
    (tool,) = in_session(app_url, lambda session: session.list_tools()).tools

    assert tool.name == "inspect"
    assert "verdict" in tool.description
    assert tool.inputSchema["required"] == ["file"]
    assert list(tool.inputSchema["properties"]) == ["file", "checkpoint", "category"]
    assert all(one["description"] for one in tool.inputSchema["properties"].values())


@pytest.mark.parametrize("place", ["app_url", "space"])
def test_a_picture_sent_as_a_data_url_is_judged_as_over_http(place, request):
    url = request.getfixturevalue(place)

    answer = called(url, file=DATA_URL)

    text, *pictures = answer.content
    result = json.loads(text.text)
    assert not answer.isError
    assert result == answer.structuredContent
    assert result.keys() >= CONTRACT
    assert (result["width"], result["height"]) == (90, 60)
    assert result["sha256"] == hashlib.sha256(picture()).hexdigest()
    assert [one.mimeType for one in pictures] == ["image/jpeg", "image/png"]
    for one in pictures:
        with Image.open(io.BytesIO(base64.b64decode(one.data))) as shown:
            assert shown.size == (90, 60)
            assert Image.MIME[shown.format] == one.mimeType
    who = Visitor(url, is_browser=False)
    over_http, _ = who.ask("inspect", who.upload(picture()), "", "").data
    who.http.close()
    assert {**result, "file": "part.png", "timings_ms": None} == {**over_http, "timings_ms": None}


def test_an_answer_names_no_place_on_the_machine(app_url, checkpoints_root, uploads_folder):
    told = called(app_url, file=DATA_URL).model_dump_json()

    assert str(uploads_folder) not in told
    assert str(checkpoints_root) not in told


def test_checkpoint_and_category_are_chosen_by_name_and_unknown_ones_answered_with_the_known(app_url):
    by_itself = called(app_url, file=DATA_URL).structuredContent
    names = {"checkpoint": by_itself["checkpoint"], "category": by_itself["category"]}

    chosen = called(app_url, file=DATA_URL, **names).structuredContent

    assert (by_itself["category_source"], chosen["category_source"]) == ("suggested", "given")
    for name, known in names.items():
        assert known in refused(called(app_url, file=DATA_URL, **{name: "absent"}))


def test_an_earlier_upload_is_taken_by_its_path_and_by_its_address_here(app_url):
    with httpx.Client(base_url=app_url, timeout=60) as http:
        (path,) = http.post("/gradio_api/upload", files={"files": ("gear 1.png", picture())}).json()

    for file in (path, f"{app_url}/gradio_api/file={path.replace(' ', '%20')}"):
        assert called(app_url, file=file).structuredContent["file"] == "gear 1.png"


def test_a_browser_s_upload_is_taken_from_that_browser_alone(app_url):
    mine, another = given_cookie(app_url), given_cookie(app_url)
    with httpx.Client(base_url=app_url, timeout=60, headers={"Cookie": mine}) as http:
        (path,) = http.post("/gradio_api/upload", files={"files": ("part.png", picture(1))}).json()

    assert not called(app_url, file=path, cookie=mine).isError
    for stranger in ("", another):
        assert refused(called(app_url, file=path, cookie=stranger)).startswith("That is no uploaded file.")


def test_callers_stay_apart(app_url):
    mine, another = given_cookie(app_url), given_cookie(app_url)
    for cookie in (mine, "", another, mine):
        assert not called(app_url, file=DATA_URL, cookie=cookie).isError


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "../../app.py", "file:///etc/passwd", "", "//[", "/etc/\0passwd"],
)
def test_a_file_outside_the_upload_folder_is_refused_without_a_word_about_it(app_url, path):
    words = refused(called(app_url, file=path))

    assert "Upload the picture itself" in words or "Send the picture itself" in words
    assert "passwd" not in words


def test_an_address_is_never_fetched(app_url):
    asked = []

    async def listen(reads, writes):
        asked.append(await reads.readline())
        writes.close()

    async def talk():
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/part.png"
        async with server:
            return await asyncio.to_thread(called, app_url, file=address)

    answer = asyncio.run(talk())

    assert "addresses are not fetched" in refused(answer)
    assert asked == []
    for address in (" HTTP://e.org/x", "https://example.org/gradio_api/file=/etc/passwd", f"{app_url}/x.png"):
        assert "addresses are not fetched" in refused(called(app_url, file=address))
    assert "upload it first" in refused(called(app_url, file=f"{app_url}/gradio_api/file=/etc/passwd"))


@pytest.mark.parametrize(
    "tool", ["compare", "batch", "labels", "finetune_start", "inspect_photo", "forget_stored"]
)
def test_no_other_endpoint_is_a_tool_public_or_private(app_url, tool):
    async def use(session):
        with pytest.raises(mcp.McpError, match="There is one tool here: inspect"):
            await session.call_tool(tool, {"file": DATA_URL})

    in_session(app_url, use)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}},
        {"file": ["/etc/passwd"]},
        {"file": DATA_URL, "fn_index": "0"},
        {"file": DATA_URL, "session_hash": "x"},
        {"file": DATA_URL, "category": 1},
    ],
)
def test_arguments_of_another_form_are_refused_and_not_repeated(app_url, arguments):
    words = refused(called(app_url, **arguments))

    assert words.startswith(("The argument '", "The tool takes file, checkpoint, category"))
    assert not any(sent in words for sent in ("passwd", "fn_index", "session_hash"))


@pytest.mark.parametrize(
    "file", ["data:image/png;base64,%%%", "data:image/png,x", "data:;base64,UEsDBA==", "data:;base64,é"]
)
def test_a_data_url_without_a_picture_is_refused_in_words(app_url, uploads_folder, file):
    words = refused(called(app_url, file=file))

    assert str(uploads_folder) not in words
    assert "went wrong" not in words


def test_foreign_hosts_and_pages_are_refused_here_too(app_url):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepts = {"Accept": "application/json, text/event-stream"}

    def status(**headers):
        return httpx.post(
            f"{app_url}{ADDRESS}", json=message, headers=accepts | headers, timeout=30
        ).status_code

    assert status() == 200
    assert status(Origin="https://evil.example") == 403
    assert status(Host="evil.example") == 400


def test_too_large_a_message_is_refused_before_it_is_read(app_url):
    answer = httpx.post(f"{app_url}{ADDRESS}", content=b"\0" * (9 * 2**20), timeout=30)

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/mcp/schema"]
)
def test_nothing_is_there_to_be_read(app_url, path):
    answer = httpx.get(f"{app_url}{path}", timeout=30)

    assert answer.status_code in (404, 405)
    assert "inspect" not in answer.text
