"""Every option of `launch()` and `queue()` that this app depends on, in one place and under test.

Values the operator may choose arrive as arguments; nothing here reads the environment.
"""

import logging
import socket
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from starlette.middleware import Middleware

from mambaad_demo.ui.assets import path, text
from mambaad_demo.ui.availability import Availability, State
from mambaad_demo.ui.bodies import EXCEPTION_HANDLERS
from mambaad_demo.ui.caps import Caps, Disk
from mambaad_demo.ui.middleware import Gatekeeper
from mambaad_demo.ui.theme import inspector_theme
from mambaad_demo.ui.visits import Visits

QUEUE_OPTIONS: dict[str, Any] = {"max_size": 40, "api_open": False}
"""At most 40 requests wait; `api_open=False` shuts the routes that would go around the queue."""

MODEL_LANE: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
"""Options of each event that runs a detector: they take turns."""

_MEGABYTE = 2**20
_FORM_BYTES = 2**16  # multipart boundaries and field names around a file
_CLEANING_SECONDS = 600

_MCP_DOOR = "mambaad_demo.ui.mcp_door"

_STYLES = ("page.css", "calibrate.css", "train.css", "promotion.css", "health.css")

log = logging.getLogger(__name__)


def delete_cache(retention_minutes: int) -> tuple[int, int]:
    """Seconds between cleanings, and the age at which a visitor's file is deleted."""
    age = 60 * retention_minutes
    return min(_CLEANING_SECONDS, age), age


def trusted_hosts(*names: str, on_space: bool) -> tuple[str, ...]:
    """Names this server answers to, besides address literals: its own, and those the operator gives."""
    local = ("localhost", socket.gethostname().lower(), socket.getfqdn().lower(), *names)
    return (*local, "*.hf.space") if on_space else local


def _door_for_agents() -> list[Middleware]:
    """The innermost middleware, where the package `mcp` is installed, as a Space's platform does by itself.

    Nobody has to ask for it, since it gives no right that plain HTTP does not.
    """
    if find_spec("mcp") is None:
        return []
    try:
        return [Middleware(import_module(_MCP_DOOR).McpDoor)]
    except ImportError as error:  # the page is worth more than the tool
        log.warning("There is no tool for agents: the installed package mcp does not fit (%s).", error)
        return []


def launch_options(
    *,
    host: str,
    port: int,
    max_upload_mb: int,
    on_space: bool,
    visits: Visits,
    caps: Caps,
    disk: Disk,
    state: State,
    hosts: Sequence[str] = (),
) -> dict[str, Any]:
    """Keyword arguments for `gradio.Blocks.launch`.

    Args:
        host: address to bind.
        port: TCP port.
        max_upload_mb: largest accepted upload.
        on_space: whether strangers come, through the Hub.
        visits: whose is what; the same as `build_app` takes.
        caps: what one visitor may upload.
        disk: whether there is room for uploads.
        state: whether the server is ready.
        hosts: more names of this server, where `*.` is a family.
    """
    gatekeeper = Middleware(
        Gatekeeper,
        trusted_hosts=trusted_hosts(*hosts, on_space=on_space),
        max_body_bytes=max_upload_mb * _MEGABYTE + _FORM_BYTES,
        on_space=on_space,
        visits=visits,
        caps=caps,
        disk=disk,
    )
    middleware = [gatekeeper, Middleware(Availability, state=state), *_door_for_agents()]
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "inbrowser": False,
        "theme": inspector_theme(),
        "css": "\n".join(text(name) for name in _STYLES),
        "head": text("head.html"),
        "favicon_path": str(path("favicon.png")),
        "app_kwargs": {"middleware": middleware, "exception_handlers": EXCEPTION_HANDLERS},
        "allowed_paths": [],
        "max_file_size": max_upload_mb * _MEGABYTE,
        "state_session_capacity": 200,
        "strict_cors": True,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "num_workers": 0,  # each would listen at a port of its own, with no gatekeeper before it
        "mcp_server": False,  # Gradio's own offers every endpoint; see docs/decisions/0016-mcp.md
        "footer_links": [],
    }
