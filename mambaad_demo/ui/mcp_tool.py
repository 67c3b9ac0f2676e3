"""The tool for agents, `inspect`: what it takes, does and answers with; needs the package `mcp`.

A call is what any program can ask over HTTP: upload, `/inspect`, fetch the pictures. It goes through the
whole app, gatekeeper included, as the visitor who called, and there is no other way in from here.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
from mcp import types
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.types import Scope

from mambaad_demo.errors import InputError

NAME = "inspect"
DESCRIPTION = (
    "Judge one picture of a part by a detector that was trained on good parts only. Returns JSON and two "
    "pictures of at most 1600 pixels a side: the part as JPEG, and its heat map as PNG with transparency, to "
    "be laid over it. In the JSON, `verdict` is accept, check (between the limits: a person should look) or "
    "reject; `image_score` is compared with `limits`; `percentile` is the share of held-out good parts, in "
    "per cent, that scored lower, and no probability of a defect; `regions` are the places that stand out, "
    "in pixels of the upright original; `category_source` tells a category that was given from one that was "
    "suggested. For a kind of part that the checkpoint never saw, the verdict means nothing."
)

_FILE = "/gradio_api/file="
_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_REFUSED_BY_GRADIO = "That was refused. Send the picture itself as a data URL, or upload it first."
_HEADERS_OF_THE_VISITOR = ("host", "cookie", "x-ip-token")
"""By the last one ZeroGPU knows whose minutes are used."""


class Arguments(BaseModel):
    """What the tool takes; agents read the descriptions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str = Field(
        description="The picture (PNG, JPEG, BMP, TIFF or WebP): a data URL such as "
        "`data:image/png;base64,iVBOR...`, or the path that this server answered with when the file was "
        "posted to `/gradio_api/upload`. Web addresses are not fetched."
    )
    checkpoint: str = Field(
        "",
        description="Name of a checkpoint; empty for the default one. An unknown one is answered with all.",
    )
    category: str = Field(
        "",
        description="Kind of part, as the checkpoint calls it; empty to take the nearest one. An unknown one "
        "is answered with all.",
    )


def tool() -> types.Tool:
    """What agents read before they call."""
    return types.Tool(
        name=NAME,
        title="Inspect a picture of a part",
        description=DESCRIPTION,
        inputSchema=Arguments.model_json_schema(),
        annotations=types.ToolAnnotations(readOnlyHint=True, openWorldHint=False),
    )


def checked(arguments: Mapping[str, Any] | None) -> Arguments:
    """
    Raises:
        InputError: an argument is missing, unknown or no text; what was sent is not repeated.
    """
    try:
        return Arguments.model_validate(arguments or {})
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        name = first["loc"][0]
        if name not in Arguments.model_fields:
            raise InputError(
                f"The tool takes {', '.join(Arguments.model_fields)} and nothing else."
            ) from error
        raise InputError(f"The argument {name!r}: {first['msg']}.") from error


async def inspect(arguments: Arguments, scope: Scope) -> types.CallToolResult:
    """Ask the app as the visitor behind a request.

    Raises:
        InputError: the app refuses, in its own words.
    """
    headers = Headers(scope=scope)
    transport = httpx.ASGITransport(app=scope["app"], client=scope.get("client") or ("", 0))
    kept = {name: headers[name] for name in _HEADERS_OF_THE_VISITOR if name in headers}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://app", headers={**kept, "accept-encoding": "identity"}
    ) as http:
        path = await _uploaded(http, arguments.file, headers["host"])
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        asked = {"data": [file, arguments.checkpoint, arguments.category]}
        event = _granted(await http.post("/gradio_api/call/inspect", json=asked)).json()["event_id"]
        stream = _granted(await http.get(f"/gradio_api/call/inspect/{event}")).text
        result, pictures = _outcome(stream)
        content: list[types.ContentBlock] = [types.TextContent(type="text", text=json.dumps(result))]
        for picture in pictures:
            shown = _granted(await http.get(f"{_FILE}{quote(picture['path'])}"))
            data = base64.b64encode(shown.content).decode()
            content.append(
                types.ImageContent(type="image", data=data, mimeType=shown.headers["content-type"])
            )
    return types.CallToolResult(content=content, structuredContent=result)


async def _uploaded(http: httpx.AsyncClient, file: str, host: str) -> str:
    """The path of a file that was uploaded before, or is now; whether it may be used is asked later."""
    if sent := _DATA_URL.match(file):
        try:
            content = base64.b64decode(file[sent.end() :], validate=True)
        except ValueError as error:  # binascii's own, or a letter beyond ASCII
            raise InputError("The data URL of the picture holds no valid base64.") from error
        answer = await http.post("/gradio_api/upload", files={"files": ("picture", content)})
        (path,) = _granted(answer).json()
        return str(path)
    try:
        address = urlsplit(file)
    except ValueError:  # unbalanced brackets
        return file
    if address.netloc == host and address.path.startswith(_FILE):
        return unquote(address.path.removeprefix(_FILE))  # Gradio's tool that uploads names files like this
    return file


def _granted(answer: httpx.Response) -> httpx.Response:
    """
    Raises:
        InputError: it is a refusal.
    """
    if answer.is_client_error or answer.status_code in (503, 507):
        raise InputError(answer.text)
    return answer.raise_for_status()


def _outcome(stream: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Result and files from the stream of an event.

    Raises:
        InputError: the event ended in a refusal.
    """
    *_, event, data = [line for line in stream.splitlines() if line]
    said = json.loads(data.removeprefix("data: "))
    if event != "event: complete":
        raise InputError((isinstance(said, dict) and said.get("error")) or _REFUSED_BY_GRADIO)
    result, pictures = said
    return result, pictures
