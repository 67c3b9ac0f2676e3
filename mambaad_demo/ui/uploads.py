"""Files from visitors as untouched paths: what Gradio hands over, checked again before anything opens it.

Events that take a file run with `preprocess=False`: Gradio's `Image` would open the file with Pillow, where
a damaged one ends in an error without words, and its `File` leaves an empty file behind on each call.
Decoding is the business of `data.uploads`.
"""

import hmac
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import route_utils
from gradio.queueing import Queue
from gradio.utils import get_upload_folder

from mambaad_demo.errors import InputError
from mambaad_demo.ui.allowance import Allowances, take_room, visitor
from mambaad_demo.ui.askers import asker
from mambaad_demo.ui.caps import AT_ONE_ADDRESS, Allowance, Asker
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.visit_gate import in_words
from mambaad_demo.ui.visits import Visits, browser_behind, browser_of, is_file_in, visitor_behind

_NO_UPLOAD = "That is no uploaded file. Upload the picture itself."
_KEY = secrets.token_bytes(32)
"""Without it nobody tells in which folder somebody's file lies."""


def uploaded_path(payload: Mapping[str, Any] | None) -> Path | None:
    """Where an uploaded file lies; None where the component is empty.

    Args:
        payload: Gradio's `FileData` as a dictionary.

    Raises:
        InputError: it names no file in the upload folder.
    """
    if payload is None:
        return None
    text = str(payload.get("path"))
    if not is_file_in(get_upload_folder(), text):
        raise InputError(_NO_UPLOAD)
    return Path(text).resolve()


def download(content: bytes, name: str, cache: str) -> str:
    """Path of a file to be downloaded; who asks again for the same is given the same one.

    Args:
        content: what is in it.
        name: what it is called; folders in the name are ignored.
        cache: `GRADIO_CACHE` of the component that hands it out.

    Raises:
        StorageError: there is no room for it, or the visitor has had as much as one may.
    """
    return made_once(lambda path: path.write_bytes(content), sha256(content).hexdigest(), name, cache)


def made_once(write: Callable[[Path], object], key: str | None, name: str, cache: str) -> str:
    """Path of a file to be downloaded, in a folder whose name nobody guesses; deleted in time as uploads are.
    Equal files of two visitors are two.

    Args:
        write: writes it to a path of the same ending; not called where the visitor has the file of this key
            and name already.
        key: tells contents apart; None for one that is always new.
        name: what it is called; folders in the name are ignored.
        cache: `GRADIO_CACHE` of the component that hands it out; need not exist yet.

    Raises:
        StorageError: there is no room for it, or the visitor has had as much as one may.
    """
    path = Path(cache) / _folder_name(key, name) / Path(name).name
    with suppress(FileNotFoundError):
        os.utime(path)  # its time begins anew
        return str(path)
    take_room(0)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f"{secrets.token_hex(8)}{path.suffix}")
    try:
        write(partial)
        take_room(partial.stat().st_size)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return str(path)


def _folder_name(key: str | None, name: str) -> str:
    whose = visitor()
    if key is None or whose is None:
        return secrets.token_urlsafe(32)
    return hmac.digest(_KEY, repr((whose, key, name)).encode(), "sha256").hex()


class _UploadApart(route_utils.GradioUploadFile):
    """An upload in a folder of its own: Gradio names the folder by `sha`, which here covers random bytes too.

    By the content alone, equal uploads of two visitors would be one file, which either could find and delete.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sha.update(secrets.token_bytes(32))


def keep_uploads_apart() -> None:
    """Make Gradio give each upload a folder that nobody shares or guesses, which it has no option for."""
    vars(route_utils)["GradioUploadFile"] = _UploadApart


def delete_old_files(
    folder: Path, *, minutes: int, at: float | None = None, keep: Collection[str] = ()
) -> int:
    """Delete files that are past their time, and folders that are left empty; returns how many files went.

    Args:
        folder: Gradio's upload folder; need not exist.
        minutes: age from which a file goes.
        at: the moment, in seconds since 1970; by default this one.
        keep: paths of files that stay.
    """
    oldest = (time.time() if at is None else at) - 60 * minutes
    count = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes before its folder
        with suppress(OSError):  # gone meanwhile, or a folder that is not empty
            if path.lstat().st_mtime >= oldest or str(path) in keep:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
                count += 1
    return count


def delete_uploads(paths: Iterable[str | Path]) -> int:
    """Delete the files among these that lie in the upload folder; returns how many."""
    folder = get_upload_folder()
    found = {Path(path).resolve() for path in paths if is_file_in(folder, str(path))}
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def refuse_addresses(inputs: Any) -> None:
    """Refuse web addresses in place of files, which Gradio would fetch on behalf of the caller.

    Args:
        inputs: the JSON of a request.

    Raises:
        InputError: an address is among them.
    """
    if any(re.match(r"\s*[a-z+]+://", path, re.IGNORECASE) for path in _paths(inputs)):
        raise InputError("Send the picture itself; web addresses are not fetched.")


def _paths(value: Any) -> Iterator[str]:
    """Every `path` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def few_of_each(queue: Queue, *, most: int) -> Callable[..., Awaitable[Any]]:
    """Gradio's way into a queue, shut to who has too many events in it; Gradio counts those of all together.

    Args:
        queue: where events wait, and which knows those that run.
        most: events of one visitor; `AT_ONE_ADDRESS` times as many of one network address.
    """
    push = queue.push

    async def push_one_of_few(body: Any, request: Any, username: str | None) -> Any:
        waiting = [event for lane in queue.event_queue_per_concurrency_id.values() for event in lane.queue]
        running = [event for job in queue.active_jobs for event in job or ()]
        who = _who(request)
        others = [_who(event.request) for event in (*waiting, *running)]
        of_visitor = sum(other.visitor == who.visitor for other in others)
        of_address = sum(other.address == who.address for other in others)
        if of_visitor >= most or of_address >= AT_ONE_ADDRESS * most:
            return False, "You asked for much already. Ask again when some of it is answered.", "queue_full"
        return await push(body=body, request=request, username=username)

    return push_one_of_few


def _who(http: Any) -> Asker:
    return asker(http.scope, browser_of(http.cookies))


class LocalFilesBlocks(gr.Blocks):
    """Blocks whose events fetch no address and run for the visitor alone to whom session and files belong."""

    def __init__(
        self,
        *,
        visits: Visits,
        requests: Allowance,
        allowances: Allowances,
        unfinished: int | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            visits: whose is what.
            requests: how many events that run a detector a visitor may ask for.
            allowances: what else a visitor may use.
            unfinished: how many events of a visitor may wait or run; None for any number.
            options: as `gradio.Blocks` takes them.
        """
        self.unfinished = unfinished  # `super` makes a first queue
        super().__init__(**options)
        keep_uploads_apart()
        self.visits = visits
        self.requests = requests
        self.allowances = allowances

    def queue(self, *args: Any, **kwargs: Any) -> "LocalFilesBlocks":
        """As Gradio's, but nobody fills it alone."""
        super().queue(*args, **kwargs)
        if self.unfinished is not None:
            vars(self._queue)["push"] = few_of_each(self._queue, most=self.unfinished)
        return self

    async def process_api(
        self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Gradio's door to every handler: addresses, foreign sessions and files, and too many requests are
        refused first; what the handler answers with belongs to who asked."""
        asked = kwargs.get("request")
        requests = asked if isinstance(asked, list) else [asked]  # a list for events that Gradio batches
        with shown_to_user():
            refuse_addresses(inputs)
            for request in requests:
                self._require_own(request, inputs)
                if kwargs.get("iterator") is None and block_fn.concurrency_id == MODEL_LANE["concurrency_id"]:
                    self._count(request)
        with self.allowances.of(_who_asks(requests[0]), visitor_behind(requests[0])):
            output = await super().process_api(block_fn, inputs, *args, **kwargs)
        folder = get_upload_folder()
        for path in _texts(output.get("data")):
            if path.startswith(folder):
                for request in requests:
                    self.visits.claim_file(path, browser_behind(request))
        return output

    def _require_own(self, request: gr.Request | None, inputs: Any) -> None:
        """
        Raises:
            InputError: the session or a file is another visitor's.
        """
        browser = browser_behind(request)
        session = getattr(request, "session_hash", None)
        if session and not self.visits.is_own_name(session, browser):
            raise InputError("This page was opened in another browser. Reload it to go on here.")
        for path in _paths(inputs):
            if is_file_in(get_upload_folder(), path) and not self.visits.claim_file(path, browser):
                raise InputError(_NO_UPLOAD)  # as of a file that is not there

    def _count(self, request: gr.Request | None) -> None:
        """
        Raises:
            InputError: the visitor asked for more than one may just now.
        """
        if getattr(request, "request", None) is None:
            return
        who = _who_asks(request)
        if wait := self.requests.wait(who):
            most = self.requests.most or 0
            raise InputError(
                f"Within a minute {most:.0f} pictures are inspected for one visitor and "
                f"{AT_ONE_ADDRESS * most:.0f} for one network address. Try again in {in_words(wait)}."
            )
        self.requests.add(who, 1)


def _who_asks(request: gr.Request | None) -> Asker:
    """Whose use is counted; nobody's where nobody sent the request."""
    http = getattr(request, "request", None)
    return Asker("", "") if http is None else asker(http.scope, browser_behind(request))
