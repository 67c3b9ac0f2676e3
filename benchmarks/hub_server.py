"""A Hub on this machine: what `huggingface_hub` 2.4 speaks of its protocol, over repositories in memory.

Reading: repository info, file tree, history, files with commit and ETag headers and byte ranges. Writing:
new repository, upload mode, large-file batch, upload and check, commit. Private repositories and writing ask
for a bearer token. Large files travel as LFS objects; Xet is never announced. Every request is recorded, and
faults can be planned. Left out: pages of long lists, branches beside `main`, pull requests, a CDN.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote

LARGE = (".safetensors", ".pth", ".bin")
"""Suffixes of files that a repository keeps as LFS objects."""
_PREFIXES = {"": "model", "datasets/": "dataset"}
_DATE = "2026-01-01T00:00:00.000Z"

Files = Mapping[str, bytes]


@dataclass(slots=True, kw_only=True)
class Repo:
    """A repository: what each commit holds."""

    name: str
    kind: str = "model"
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files by path, by commit; the last commit is the head of `main`."""

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def commit(self, files: Files) -> str:
        """Add a commit that holds exactly these files; its new id."""
        seed = f"{self.kind} {self.name} {len(self.commits)} {sorted(files)}"
        revision = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
        self.commits[revision] = dict(files)
        return revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    """Unquoted, without the query."""
    token: str | None = None
    range: str | None = None
    body: bytes = b""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True, kw_only=True)
class Reply:
    """What the server answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong with the requests whose line matches a pattern, so many times."""

    pattern: str
    times: float
    status: int | None = None
    """Answer this instead."""
    code: str | None = None
    """The Hub's word for it, its `X-Error-Code`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the answer, or put in the place of its own."""
    content: bytes | None = None
    """The body, whatever was asked; the other headers still announce the true file."""
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""
    stalls: bool = False
    """Never answer."""

    @property
    def refuses(self) -> bool:
        """Whether what was asked for is not done, instead of done and told badly."""
        return self.stalls or (self.status is not None and self.status >= HTTPStatus.BAD_REQUEST)

    def spoil(self, reply: Reply) -> Reply:
        """The answer with the fault in it."""
        headers, body, status = dict(reply.headers), reply.body, reply.status
        if self.status is not None:
            status, headers = self.status, {}
            body = json.dumps({"error": HTTPStatus(self.status).phrase}).encode()
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return Reply(
            status=status,
            headers=headers | dict(self.headers),
            body=body if self.content is None else self.content,
        )


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.reply = Reply(status=status, headers=headers, body=json.dumps({"error": message}).encode())


class Route(NamedTuple):
    """A method, the form of a path, and who answers."""

    method: str
    path: re.Pattern[str]
    answer: Callable[["Hub", Request, dict[str, str]], Reply]


_ROUTES: list[Route] = []


def route(method: str, path: str) -> Callable[[Any], Any]:
    """Make a method of `Hub` answer a form of path; `{repo}` and `{api}` stand for their patterns."""
    pattern = path.replace("{repo}", r"(?P<prefix>datasets/|)(?P<name>[\w.-]+/[\w.-]+)").replace(
        "{api}", r"/api/(?P<kind>model|dataset)s/(?P<name>[\w.-]+/[\w.-]+)"
    )

    def register(answer: Any) -> Any:
        _ROUTES.append(Route(method, re.compile(pattern), answer))
        return answer

    return register


class Hub:
    """The repositories, the rules, and what was asked; knows nothing of sockets."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[Request] = []
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        """LFS objects that were uploaded, by SHA-256."""
        self.users = {"hf_TheTokenOfMira": "mira"}
        """Names by token; a user writes below the own name."""
        self.ends = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add_repo(
        self,
        name: str,
        revisions: Mapping[str, Files] | None = None,
        *,
        private: bool = False,
        kind: str = "model",
    ) -> Repo:
        """Put a repository on the Hub, with files by path by commit, oldest first."""
        commits = {revision: dict(files) for revision, files in (revisions or {}).items()}
        self.repos[kind, name] = Repo(name=name, kind=kind, private=private, commits=commits)
        return self.repos[kind, name]

    def fault(self, pattern: str, *, times: float = float("inf"), **what: Any) -> None:
        """Plan a `Fault` for lines such as "GET /owner/name/resolve/*"; of several the first one counts."""
        self._faults.append(Fault(pattern=pattern, times=times, **what))

    def heal(self) -> None:
        """Forget all planned faults and all recorded requests."""
        self._faults.clear()
        self.requests.clear()

    def asked(self, pattern: str = "*") -> list[str]:
        """Lines of the recorded requests that match a pattern, in their order."""
        return [request.line for request in self.requests if fnmatchcase(request.line, pattern)]

    def receive(self, request: Request) -> tuple[Reply, Fault | None]:
        """Record a request and answer it, with its fault where one is planned."""
        with self._lock:
            self.requests.append(request)
            fault = self._next_fault(request.line)
            reply = Reply() if fault is not None and fault.refuses else self._answer(request)
        return (reply if fault is None else fault.spoil(reply)), fault

    def _next_fault(self, line: str) -> Fault | None:
        for fault in self._faults:
            if fault.times > 0 and fnmatchcase(line, fault.pattern):
                fault.times -= 1
                return fault
        return None

    def _answer(self, request: Request) -> Reply:
        try:
            if request.token is not None and request.token not in self.users:
                raise Refusal(401, "Invalid credentials in Authorization header")
            for method, path, answer in _ROUTES:
                if method == request.method and (match := path.fullmatch(request.path)):
                    return answer(self, request, match.groupdict())
            raise Refusal(404, f"No such page: {request.path}")
        except Refusal as refusal:
            return refusal.reply

    # Reading

    @route("GET", "/api/whoami-v2")
    def _who(self, request: Request, _: dict[str, str]) -> Reply:
        name = self._user(request)
        return _json({"type": "user", "name": name, "fullname": name, "orgs": [], "auth": {}})

    @route("GET", "{api}(/revision/(?P<revision>[^/]+))?")
    def _info(self, request: Request, asked: dict[str, str]) -> Reply:
        repo, revision, files = self._files(request, asked)
        siblings = [{"rfilename": path} for path in sorted(files)]
        return _json(
            {"id": repo.name, "author": repo.name.partition("/")[0], "private": repo.private}
            | {"sha": revision, "siblings": siblings, "createdAt": _DATE, "lastModified": _DATE}
        )

    @route("GET", "{api}/tree/(?P<revision>[^/]+)")
    def _tree(self, request: Request, asked: dict[str, str]) -> Reply:
        _, _, files = self._files(request, asked)
        return _json([_entry(path, content) for path, content in sorted(files.items())])

    @route("GET", "{api}/commits/(?P<revision>[^/]+)")
    def _history(self, request: Request, asked: dict[str, str]) -> Reply:
        repo, _, _ = self._files(request, asked)
        told = {"title": "A commit", "message": "", "authors": [{"user": "mira"}], "date": _DATE}
        return _json([{"id": revision} | told for revision in reversed(repo.commits)])

    @route("GET", "/{repo}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    @route("HEAD", "/{repo}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def _resolve(self, request: Request, asked: dict[str, str]) -> Reply:
        _, revision, files = self._files(request, asked)
        if asked["path"] not in files:
            raise Refusal(404, "Entry not found", "EntryNotFound")
        content = files[asked["path"]]
        headers = {"X-Repo-Commit": revision, "ETag": f'"{_blob_id(asked["path"], content)}"'}
        headers |= {"Accept-Ranges": "bytes"}
        if asked["path"].endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{_sha256(content)}"', "X-Linked-Size": str(len(content))}
        return _ranged(content, headers, request.range)

    # Writing

    @route("POST", "/api/repos/create")
    def _create(self, request: Request, _: dict[str, str]) -> Reply:
        wish = json.loads(request.body)
        kind, owner = wish.get("type") or "model", wish.get("organization") or self._user(request)
        name = f"{owner}/{wish['name']}"
        self._require_writer(request, name)
        url = f"{self.endpoint}/{_prefix(kind)}{name}"
        if (kind, name) in self.repos:
            return Reply(status=409, body=json.dumps({"error": "It exists already", "url": url}).encode())
        self.add_repo(name, kind=kind, private=wish.get("visibility") == "private").commit({})
        return _json({"url": url})

    @route("POST", "/api/validate-yaml")
    def _validate(self, _request: Request, _: dict[str, str]) -> Reply:
        return _json({"errors": [], "warnings": []})

    @route("POST", "{api}/preupload/(?P<revision>[^/]+)")
    def _upload_modes(self, request: Request, asked: dict[str, str]) -> Reply:
        repo, _, files = self._files(request, asked)
        self._require_writer(request, repo.name)
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": _content_id(file["path"], files[file["path"]]) if file["path"] in files else None,
            }
            for file in json.loads(request.body)["files"]
        ]
        return _json({"files": modes})

    @route("POST", r"/{repo}\.git/info/lfs/objects/batch")
    def _batch(self, request: Request, asked: dict[str, str]) -> Reply:
        self._require_writer(request, self._repo(request, asked).name)
        objects: list[dict[str, Any]] = json.loads(request.body)["objects"]
        for item in objects:
            if item["oid"] not in self.large:
                href = f"{self.endpoint}/lfs/{item['oid']}"
                item["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        return _json({"transfer": "basic", "objects": objects})

    @route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
    def _upload(self, request: Request, asked: dict[str, str]) -> Reply:
        if _sha256(request.body) != asked["oid"]:
            raise Refusal(400, "The content is not what was announced")
        self.large[asked["oid"]] = request.body
        return Reply()

    @route("POST", "/lfs/(?P<oid>[0-9a-f]{64})/verify")
    def _verify(self, request: Request, asked: dict[str, str]) -> Reply:
        self._user(request)
        told = json.loads(request.body)
        if told != {"oid": asked["oid"], "size": len(self.large.get(asked["oid"], b""))}:
            raise Refusal(422, "The object did not arrive")
        return _json({})

    @route("POST", "{api}/commit/(?P<revision>[^/]+)")
    def _commit(self, request: Request, asked: dict[str, str]) -> Reply:
        repo, revision, files = self._files(request, asked)
        self._require_writer(request, repo.name)
        if revision != repo.head:
            raise Refusal(400, "Commits go to main")
        files = dict(files)
        for line in request.body.splitlines():
            self._apply(json.loads(line), files, revision)
        commit = repo.commit(files)
        url = f"{self.endpoint}/{_prefix(repo.kind)}{repo.name}/commit/{commit}"
        return _json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def _apply(self, operation: dict[str, Any], files: dict[str, bytes], parent: str) -> None:
        """Carry out one line of a commit."""
        value = operation["value"]
        match operation["key"]:
            case "header":
                if value.get("parentCommit", parent) != parent:
                    raise Refusal(412, "A commit has happened since")
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                if value["oid"] not in self.large:
                    raise Refusal(400, "The object was not uploaded")
                files[value["path"]] = self.large[value["oid"]]
            case "deletedFile":
                del files[value["path"]]
            case unknown:
                raise Refusal(400, f"Unknown operation {unknown}")

    # Rules

    def _user(self, request: Request) -> str:
        if request.token is None:
            raise Refusal(401, "Invalid username or password.")
        return self.users[request.token]

    def _require_writer(self, request: Request, name: str) -> None:
        if self._user(request) != name.partition("/")[0]:
            raise Refusal(403, "You don't have the rights to write here")

    def _repo(self, request: Request, asked: dict[str, str]) -> Repo:
        kind = asked.get("kind") or _PREFIXES[asked["prefix"]]
        repo = self.repos.get((kind, asked["name"]))
        reader = self.users.get(request.token or "")
        if repo is None or (repo.private and reader != repo.name.partition("/")[0]):
            status = 401 if reader is None else 404  # the Hub does not say whether a private one exists
            raise Refusal(status, "Repository not found", "RepoNotFound")
        return repo

    def _files(self, request: Request, asked: dict[str, str]) -> tuple[Repo, str, dict[str, bytes]]:
        """The repository asked for, the full commit, and the files in it."""
        repo = self._repo(request, asked)
        revision = asked.get("revision") or "main"
        revision = repo.head if revision == "main" and repo.commits else revision
        if revision not in repo.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repo, revision, repo.commits[revision]


def _json(content: object) -> Reply:
    return Reply(headers={"Content-Type": "application/json"}, body=json.dumps(content).encode())


def _prefix(kind: str) -> str:
    return next(prefix for prefix, known in _PREFIXES.items() if known == kind)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _pointer(content: bytes) -> bytes:
    """What git holds in the place of a large file."""
    lines = f"oid sha256:{_sha256(content)}\nsize {len(content)}\n"
    return f"version https://git-lfs.github.com/spec/v1\n{lines}".encode()


def _blob_id(path: str, content: bytes) -> str:
    return _git_id(_pointer(content) if path.endswith(LARGE) else content)


def _content_id(path: str, content: bytes) -> str:
    return _sha256(content) if path.endswith(LARGE) else _git_id(content)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    """A file in a tree listing."""
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob_id(path, content)}
    if path.endswith(LARGE):
        size = len(_pointer(content))
        entry["lfs"] = {"oid": _sha256(content), "size": len(content), "pointerSize": size}
    return entry


def _ranged(content: bytes, headers: dict[str, str], wanted: str | None) -> Reply:
    """The content, or its end from the byte a range asks for."""
    if wanted is None:
        return Reply(headers=headers, body=content)
    match = re.fullmatch(r"bytes=(\d+)-", wanted)
    if match is None or int(match[1]) >= len(content):
        return Reply(status=416, headers=headers | {"Content-Range": f"bytes */{len(content)}"})
    start = int(match[1])
    told = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
    return Reply(status=206, headers=headers | told, body=content[start:])


class _Listener(ThreadingHTTPServer):
    """Carries requests to a `Hub`; waits for its open connections when it closes."""

    daemon_threads = False
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that hang up in the middle of an answer."""


class _Connection(BaseHTTPRequestHandler):
    """One request in HTTP/1.0: the connection closes behind the answer, so a short body is a cut one."""

    server: _Listener

    def _serve(self) -> None:
        reply, fault = self.server.hub.receive(self._request)
        if fault is not None and fault.stalls:
            self.server.hub.ends.wait()
            return
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: fault.cut_at if fault is not None else None])

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    @cached_property
    def _request(self) -> Request:
        bearer = self.headers.get("Authorization", "")
        return Request(
            method=self.command,
            path=unquote(self.path.partition("?")[0]),
            token=bearer.removeprefix("Bearer ") or None,
            range=self.headers.get("Range"),
            body=self._body(),
        )

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A running `Hub`; its `endpoint` is what HF_ENDPOINT takes."""
    hub = Hub()
    with _Listener(("127.0.0.1", 0), _Connection) as listener:
        listener.hub = hub
        hub.endpoint = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.ends.set()
            listener.shutdown()
            thread.join()
