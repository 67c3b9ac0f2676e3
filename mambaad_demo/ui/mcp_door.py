"""The door for agents: the Model Context Protocol over HTTP, with one tool; needs the package `mcp`.

Each request stands alone and gets one JSON answer: no session is kept and no stream is opened.
"""

import asyncio
import json
import logging

from mcp import McpError, types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mambaad_demo.errors import DemoError
from mambaad_demo.ui import mcp_tool
from mambaad_demo.ui.bodies import replayed, whole_body
from mambaad_demo.ui.messages import BUG_MESSAGE
from mambaad_demo.version import __version__

PATH = "/gradio_api/mcp"
MOST_BYTES = 2**24
"""Of one message, which is held in memory, several times over, until it is answered."""

log = logging.getLogger(__name__)


class McpDoor:
    """Answers `POST /gradio_api/mcp/`; everything else goes on to the app behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.server: Server[None, Request] = Server("mambaad-inspector", version=__version__)
        self.server.request_handlers[types.ListToolsRequest] = self._list
        self.server.request_handlers[types.CallToolRequest] = self._call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope).rstrip("/") != PATH:
            await self.app(scope, receive, send)
        elif refusal := _unread(scope):
            await refusal(scope, receive, send)
        else:
            body = await whole_body(receive)
            if answer := _not_understood(body):
                await answer(scope, receive, send)
            else:
                await self._serve(scope, replayed(body, receive), send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = StreamableHTTPServerTransport(mcp_session_id=None, is_json_response_enabled=True)
        async with transport.connect() as (reads, writes), asyncio.TaskGroup() as tasks:
            options = self.server.create_initialization_options()
            tasks.create_task(self.server.run(reads, writes, options, stateless=True))
            await transport.handle_request(scope, receive, send)
            await transport.terminate()

    async def _list(self, _: types.ListToolsRequest) -> types.ServerResult:
        return types.ServerResult(types.ListToolsResult(tools=[mcp_tool.tool()]))

    async def _call(self, request: types.CallToolRequest) -> types.ServerResult:
        if request.params.name != mcp_tool.NAME:
            words = f"There is one tool here: {mcp_tool.NAME}."
            raise McpError(types.ErrorData(code=types.INVALID_PARAMS, message=words))
        scope = self.server.request_context.request.scope  # type: ignore[union-attr] # it came over HTTP
        try:
            answer = await mcp_tool.inspect(mcp_tool.checked(request.params.arguments), scope)
        except DemoError as error:
            answer = _no(str(error))
        except Exception:  # the border to the visitor; the traceback goes to the log
            log.exception("The tool failed")
            answer = _no(BUG_MESSAGE)
        return types.ServerResult(answer)


def _no(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], isError=True)


def _unread(scope: Scope) -> Response | None:
    """The answer to a request whose body need not be read."""
    if scope["method"] != "POST":  # nothing is told unasked, so there is no stream to open
        words = "Agents send POST requests of the Model Context Protocol here."
        return PlainTextResponse(words, status_code=405, headers={"Allow": "POST"})
    length = Headers(scope=scope).get("content-length", "")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        words = f"A message has at most {MOST_BYTES >> 20} MB. Upload a larger picture and send its path."
        return PlainTextResponse(words, status_code=413)
    return None


def _not_understood(body: bytes) -> Response | None:
    """The answer to a message that the package would write into the log, all of it; None to one it knows."""
    try:
        said = json.loads(body)
        json.dumps(said, ensure_ascii=False).encode()  # half a character could not be repeated
        message = types.JSONRPCMessage.model_validate(said).root
        plain = message.model_dump(by_alias=True, mode="json", exclude_none=True)
    except (ValueError, RecursionError):
        return PlainTextResponse("That is no message of the Model Context Protocol.", status_code=400)
    kinds: dict[type, type[BaseModel]] = {
        types.JSONRPCRequest: types.ClientRequest,
        types.JSONRPCNotification: types.ClientNotification,
    }
    try:
        kinds[type(message)].model_validate(plain)
    except (KeyError, ValueError):  # the answer to a question that was never asked, or an unknown method
        if not isinstance(message, types.JSONRPCRequest):
            return Response(status_code=202)  # nobody waits for words
        words = "There is no such method, or not with these parameters."
        error = {"code": types.INVALID_PARAMS, "message": words}
        return JSONResponse({"jsonrpc": "2.0", "id": message.id, "error": error})
    return None
