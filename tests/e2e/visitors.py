"""Visitors of the running app who speak plain HTTP: browsers with a cookie, programs without one."""

import io
import json
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import numpy as np
from PIL import Image

STREAM_ENDS = ('"msg":"process_completed"', "event: complete", "event: error", "unexpected_error")


@dataclass(frozen=True)
class Answer:
    """What came back, and whether it is what was asked for."""

    is_granted: bool
    text: str
    data: Any = None


class Visitor:
    """One visitor with a session of Gradio."""

    def __init__(self, url: str, *, is_browser: bool = True) -> None:
        self.http = httpx.Client(base_url=url, timeout=120)
        self.session = uuid.uuid4().hex
        page = self.http.get("/")
        self.cookie = page.headers["set-cookie"].split(";")[0] if is_browser else ""
        self.http.cookies.clear()  # sent by hand: a Space's cookie is for HTTPS
        self.http.headers["Cookie"] = self.cookie

    @cached_property
    def functions(self) -> dict[str, int]:
        """Gradio's numbers of all events, the private ones too, by name."""
        return {one["api_name"]: one["id"] for one in self.http.get("/config").json()["dependencies"]}

    def upload(self, content: bytes, name: str = "part.png") -> dict[str, Any]:
        """A file as events take it."""
        (path,) = self.http.post("/gradio_api/upload", files={"files": (name, content)}).json()
        return as_file(path)

    def join(
        self, function: str, *data: Any, session: str | None = None, event: Any = None
    ) -> httpx.Response:
        """Ask for an event as the page does."""
        body = {
            "fn_index": self.functions[function],
            "data": list(data),
            "session_hash": session or self.session,
            "event_data": event,
        }
        return self.http.post("/gradio_api/queue/join", json=body)

    def ask(self, function: str, *data: Any, session: str | None = None, event: Any = None) -> Answer:
        """Ask for an event and wait for its answer."""
        joined = self.join(function, *data, session=session, event=event)
        if joined.status_code != 200:
            return Answer(is_granted=False, text=joined.text)
        return self.read(f"/gradio_api/queue/data?session_hash={session or self.session}")

    def get(self, path: str) -> Answer:
        """A finished response."""
        answer = self.http.get(path)
        return Answer(is_granted=answer.status_code == 200, text=answer.text)

    def post(self, path: str, body: Any) -> Answer:
        answer = self.http.post(path, json=body)
        return Answer(is_granted=answer.status_code == 200, text=answer.text)

    def read(self, path: str) -> Answer:
        """A stream of events until the answer is in it."""
        lines = []
        with self.http.stream("GET", path) as stream:
            if stream.status_code != 200:
                return Answer(is_granted=False, text=stream.read().decode())
            for line in stream.iter_lines():
                lines.append(line)
                if any(end in line for end in STREAM_ENDS):
                    break
                if lines[-1].startswith("data: ") and "event: complete" in lines[-2:]:
                    break
        text = "\n".join(lines)
        if "process_completed" in lines[-1]:
            message = json.loads(lines[-1].removeprefix("data: "))
            return Answer(message["success"], text, message["output"].get("data"))
        return Answer(is_granted=lines[-1] == "event: complete", text=text)

    def begins_to_read(self, path: str) -> Answer:
        """The first line of a stream that has no end."""
        with self.http.stream("GET", path) as stream:
            if stream.status_code != 200:
                return Answer(is_granted=False, text=stream.read().decode())
            return Answer(is_granted=True, text=next(stream.iter_lines()))


def as_file(path: str) -> dict[str, Any]:
    """An uploaded file as events take it."""
    return {"path": path, "orig_name": path.rsplit("/", 1)[-1], "meta": {"_type": "gradio.FileData"}}


def picture(seed: int = 0) -> bytes:
    """A small PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
