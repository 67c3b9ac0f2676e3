"""Files of this machine → a repository of the Hub: first a plan that can be shown, then one commit.

A plan needs no network. Tokens are `HF_TOKEN` as the Hub library means it, or given by the caller; no message
holds one.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # its exports are lazy

from mambaad_demo.errors import InputError, PublishingError
from mambaad_demo.hub.answers import FOREIGN, writing_error
from mambaad_demo.hub.card_metrics import Metrics
from mambaad_demo.hub.late_file import LateFile
from mambaad_demo.hub.layout import CARD, CONFIG, FILES, GOLDEN
from mambaad_demo.hub.loading import Checkpoint
from mambaad_demo.hub.model_card import model_card
from mambaad_demo.hub.waits import limit_waits
from mambaad_demo.hub.weights import file_sha256, git_blob_id

Kind = Literal["model", "dataset"]
Others = Literal["keep", "refuse", "delete"]

_REFUSALS: tuple[type[Exception], ...] = (*FOREIGN, ValueError, RuntimeError)
"""What the Hub library raises while it sends: the last two for answers it cannot use."""
_KEPT = (".gitattributes",)
"""Files of a repository that belong to the Hub."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One file that is to be sent."""

    path: str
    """In the repository, with forward slashes."""
    content: Path | bytes = field(repr=False)
    size: int
    """Bytes."""
    sha256: str

    @classmethod
    def of(cls, path: str, content: Path | bytes) -> "PlannedFile":
        """A file as it is now."""
        if isinstance(content, bytes):
            return cls(
                path=path, content=content, size=len(content), sha256=hashlib.sha256(content).hexdigest()
            )
        return cls(path=path, content=content, size=content.stat().st_size, sha256=file_sha256(content))


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """What is to be sent, and where to; `push` carries it out."""

    repo: str
    """owner/name."""
    kind: Kind = "model"
    private: bool | None
    """Who may see it; None where the repository must exist and stays as it is."""
    files: tuple[PlannedFile, ...]
    message: str
    """Of the commit."""
    beside: tuple[PlannedFile, ...] = ()
    """Files that the repository must hold already; they are not sent."""
    others: Others = "keep"
    """What becomes of files the repository holds besides these."""

    def __post_init__(self) -> None:
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise InputError(f"{self.repo!r} is no name of a repository. Write it as owner/name.") from error
        if "/" not in self.repo:
            raise InputError(f"{self.repo!r} names no owner. Write the repository as owner/name.")
        if not self.message.strip():
            raise InputError("The message of the commit is empty. Say in a few words what is new.")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def pictures(self) -> str:
        """What it shows of somebody's parts, in words; empty for files that hold pictures openly or none."""
        if not any(file.path == GOLDEN for file in self.files):
            return ""
        return (
            f"{GOLDEN} holds two pictures for the self-test: in a version that was fine-tuned, two of its "
            f"good photos as the model sees them. {CONFIG} then holds hashes of all that it learned, from "
            "which photos much like them can be told."
        )

    @property
    def fingerprint(self) -> str:
        """The same for a plan that sends the same files to the same place."""
        parts = [self.kind, self.repo, str(self.private), self.others]
        parts += [f"{file.path} {file.sha256}" for file in self.files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def card(self) -> str:
        """The page that the Hub will show."""
        return next(
            file.content.decode()
            for file in self.files
            if file.path == CARD and isinstance(file.content, bytes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the Hub made of a plan."""

    repo: str
    commit: str
    """Full, 40 hexadecimal digits."""
    private: bool

    @property
    def reference(self) -> str:
        """What `hub.checkpoints.load_checkpoint` takes, once the repository is on the allow-list."""
        return f"{self.repo}@{self.commit}"


def checkpoint_plan(
    checkpoint: Checkpoint,
    repo: str,
    *,
    private: bool = True,
    message: str = "",
    metrics: Metrics | None = None,
) -> PushPlan:
    """The files of a checkpoint folder, and nothing else that may lie there; the card is written anew.

    Args:
        checkpoint: from `load_folder`, loaded now, so that its files have passed every check.
        repo: owner/name.
        private: whether only the owner may see a new repository.
        message: of the commit; names the checkpoint by default.
        metrics: what was measured with this checkpoint, for its card.

    Raises:
        InputError: the repository has no valid name.
    """
    return PushPlan(
        repo=repo,
        private=private,
        files=(*_kept(checkpoint), _card(checkpoint, metrics)),
        message=message or f"Checkpoint {checkpoint.config.name}",
    )


def card_plan(checkpoint: Checkpoint, repo: str, *, metrics: Metrics | None = None) -> PushPlan:
    """The card of a checkpoint alone, for a repository that holds all its other files; arguments and errors
    as for `checkpoint_plan`."""
    return PushPlan(
        repo=repo,
        private=None,
        files=(_card(checkpoint, metrics),),
        message=f"Card of {checkpoint.config.name}",
        beside=_kept(checkpoint),
    )


def folder_plan(
    folder: Path, card: str, repo: str, *, kind: Kind, private: bool, message: str, others: Others
) -> PushPlan:
    """All files below a folder, with a card; errors as for `checkpoint_plan`."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = [PlannedFile.of(path.relative_to(folder).as_posix(), path) for path in paths]
    files = (*found, PlannedFile.of(CARD, card.encode()))
    return PushPlan(repo=repo, kind=kind, private=private, files=files, message=message, others=others)


def push(plan: PushPlan, *, token: str | None = None) -> Published:
    """Make the repository where there is none, and commit all files at once.

    Args:
        plan: what a person has agreed to.
        token: with the right to write; default: the operator's, as the Hub library finds it, such as in
            `HF_TOKEN`. Never leave it out for a visitor.

    Raises:
        PublishingError: nothing was committed, and why: no right to write, a public repository where a
            private one was asked for, other files in it, the Hub did not answer.
    """
    api = HfApi(token=token)
    additions = [_addition(file) for file in plan.files]
    with _translated_errors(plan.repo):
        if plan.private is not None:
            api.create_repo(plan.repo, repo_type=plan.kind, private=plan.private, exist_ok=True)
        info = api.repo_info(plan.repo, repo_type=plan.kind)
        entries = api.list_repo_tree(plan.repo, repo_type=plan.kind, revision=info.sha, recursive=True)
        held = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    if plan.private and not info.private:
        raise PublishingError(
            f"{plan.repo} exists already and is public, and a private one was asked for. Nothing was sent. "
            "Ask for a public one, or name another repository."
        )
    _require_beside(plan, held)
    deletions = [CommitOperationDelete(path) for path in _others(plan, held)]
    with _translated_errors(plan.repo):
        commit = api.create_commit(
            plan.repo,
            [*additions, *deletions],
            commit_message=plan.message,
            repo_type=plan.kind,
            parent_commit=info.sha,
        )
    return Published(repo=plan.repo, commit=commit.oid, private=bool(info.private))


def _kept(checkpoint: Checkpoint) -> tuple[PlannedFile, ...]:
    """All files of a checkpoint but the card."""
    return tuple(PlannedFile.of(name, checkpoint.folder / name) for name in FILES if name != CARD)


def _card(checkpoint: Checkpoint, metrics: Metrics | None) -> PlannedFile:
    hashes = checkpoint.config.sha256
    if hashes is None:
        raise ValueError("a loaded checkpoint has hashes")
    card = model_card(checkpoint.config, checkpoint.calibration, hashes, metrics)
    return PlannedFile.of(CARD, card.encode())


def _addition(file: PlannedFile) -> CommitOperationAdd:
    """A file to be sent, if it still is what was planned."""
    content = file.content if isinstance(file.content, bytes) else cast(BinaryIO, LateFile(file.content))
    try:
        addition = CommitOperationAdd(file.path, content)
    except OSError as error:
        raise PublishingError(f"{file.path} cannot be read any more. Nothing was sent. Plan anew.") from error
    if addition.upload_info.sha256.hex() != file.sha256:
        raise PublishingError(f"{file.path} has changed since it was planned. Nothing was sent. Plan anew.")
    return addition


def _require_beside(plan: PushPlan, held: Mapping[str, RepoFile]) -> None:
    for file in plan.beside:
        if file.path not in held or not _is_same(file, held[file.path]):
            raise PublishingError(
                f"{plan.repo} does not hold this {file.path}, so the card would not describe it. Nothing was "
                "sent. Push the checkpoint itself."
            )


def _is_same(file: PlannedFile, held: RepoFile) -> bool:
    if held.lfs is not None:
        return bool(held.lfs.sha256 == file.sha256)
    content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
    return git_blob_id(content) == held.blob_id


def _others(plan: PushPlan, held: Mapping[str, RepoFile]) -> list[str]:
    """Paths in the repository that the commit is to delete."""
    others = sorted(held.keys() - {file.path for file in plan.files} - set(_KEPT))
    if plan.others == "refuse" and others:
        raise PublishingError(
            f"{plan.repo} holds {len(others)} other files (first: {others[0]}). Nothing was sent. Name a new "
            "repository, or ask to replace what it holds."
        )
    return others if plan.others == "delete" else []


@contextmanager
def _translated_errors(repo: str) -> Iterator[None]:
    """Turn the Hub library's errors while it sends into ours, keeping the cause; no wait is endless."""
    limit_waits()
    try:
        yield
    except _REFUSALS as error:
        raise writing_error(repo, error) from error
