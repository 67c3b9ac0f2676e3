"""Files from the Hub: allow-listed repositories, pinned revisions.

The Hub library caches, resumes and honors `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`; nothing here
repeats that. What it leaves out is added: an end to every wait, and a look at the content of large files.
What its errors mean stands in `answers`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import HFValidationError

from mambaad_demo.errors import (
    CheckpointCorruptError,
    CheckpointNotFoundError,
    UnknownReleaseError,
)
from mambaad_demo.hub.answers import FOREIGN, reading_error
from mambaad_demo.hub.cached import require_commit, require_pinned
from mambaad_demo.hub.manifest import FULL_REVISION, Release, ReleaseFile
from mambaad_demo.hub.progress import Report, reporting_bar
from mambaad_demo.hub.waits import limit_waits
from mambaad_demo.hub.weights import file_sha256, git_blob_id

_REFERENCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^@/]+)", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")

Download = Callable[..., Any]
"""`huggingface_hub.snapshot_download`, `hf_hub_download`, or a stand-in in tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReference:
    """A repository at one commit."""

    repo: str
    revision: str
    pins: tuple[ReleaseFile, ...] = ()
    """Files whose content the manifest vouches for."""

    @classmethod
    def parse(cls, text: str) -> "HubReference | None":
        """Read "owner/repo@revision"; None for any other text.

        Raises:
            UnknownReleaseError: the revision is no full commit.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        if not FULL_REVISION.fullmatch(match["revision"]):
            raise UnknownReleaseError(
                f"{match['revision']!r} is no pinned revision. Give the full commit of {match['repo']}: 40 "
                "hexadecimal digits, as the repository's history shows it."
            )
        return cls(repo=match["repo"], revision=match["revision"])


def require_allowed(reference: HubReference, allowed: Iterable[str]) -> None:
    """Refuse what nobody vouched for; `allowed` names repositories, or one commit as "owner/repo@revision".

    Raises:
        UnknownReleaseError: with the way to allow it.
    """
    if {reference.repo, f"{reference.repo}@{reference.revision}"}.isdisjoint(allowed):
        raise UnknownReleaseError(
            f"{reference.repo} is not on the allow-list. The operator can add it in the manifest, for the "
            "command line in MAMBAAD_ALLOWED_REPOS, in Python by the argument allowed_repos."
        )


def fetch_folder(
    reference: HubReference,
    files: Iterable[str],
    *,
    download: Download = snapshot_download,
    report: Report | None = None,
) -> Path:
    """Path of a checkpoint folder on disk, downloaded first if it is not cached yet.

    Args:
        reference: the repository and commit.
        files: names of the wanted ones.
        download: `huggingface_hub.snapshot_download` or a stand-in.
        report: is told how far the download is, from several threads in turns.

    Raises:
        CheckpointNotFoundError: no such repository, commit or file.
        HubUnreachableError: not cached, and the Hub did not answer.
        CheckpointCorruptError: a large file is not what the Hub announced, a file is not what the manifest
            pins, or the Hub answered with another commit; what came is discarded.
    """
    wanted = sorted(files)
    options = {} if report is None else {"tqdm_class": reporting_bar(report)}
    with translated_errors(reference.repo):
        folder = Path(
            download(repo_id=reference.repo, revision=reference.revision, allow_patterns=wanted, **options)
        )
        for file in wanted:
            _require_announced(folder / file, reference.repo)
        require_commit(folder, reference.revision, wanted, reference.repo)
        for pin in reference.pins:
            if (folder / pin.path).is_file():
                require_pinned(folder / pin.path, pin, repo=reference.repo, revision=reference.revision)
    return folder


def fetch_published(release: Release, *, download: Download = hf_hub_download) -> Path:
    """Path of the one file of a published release with a pinned revision.

    Raises:
        CheckpointNotFoundError, HubUnreachableError, CheckpointCorruptError: as for `fetch_folder`; the last
            also where the Hub answers with another commit.
    """
    file = release.files[0].path
    with translated_errors(str(release.repo)):
        path = Path(download(repo_id=release.repo, revision=release.revision, filename=file))
        _require_announced(path, str(release.repo))
        require_commit(path, str(release.revision), [file], str(release.repo))
    return path


def _require_announced(path: Path, repo: str) -> None:
    """Discard a large file whose content is not what the Hub announced; its library compares lengths only."""
    blob = path.resolve()  # in the library's cache, named by its SHA-256
    if blob.is_file() and _SHA256.fullmatch(blob.name) and file_sha256(blob) != blob.name:
        path.unlink()
        blob.unlink()
        raise CheckpointCorruptError(
            f"{path.name} of {repo} is not what the Hub announced and was discarded. Fetch it again."
        )


def discard_damaged(folder: Path, files: Iterable[str]) -> list[str]:
    """Delete fetched files that are not what the Hub announced, so that the next fetch gets them anew.

    Args:
        folder: from `fetch_folder`; a folder outside the library's cache is left alone.
        files: names in it.

    Returns:
        Names of the deleted ones.
    """
    if folder.parent.name != "snapshots":
        return []
    damaged = [name for name in files if (folder / name).is_file() and not _is_announced(folder / name)]
    for name in damaged:
        (folder / name).resolve().unlink()
        (folder / name).unlink(missing_ok=True)
    return damaged


def _is_announced(path: Path) -> bool:
    """Whether a cached file has the content after which it is named: by SHA-256, or as git names content."""
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name):
        return file_sha256(blob) == blob.name
    return git_blob_id(blob.read_bytes()) == blob.name


def list_commits(repo: str) -> list[str]:
    """All commits of a repository, full, as the Hub lists them."""
    return [commit.commit_id for commit in HfApi().list_repo_commits(repo)]


def pinned(release: Release, *, commits: Callable[[str], Iterable[str]] = list_commits) -> Release:
    """The release with its full revision, asked from the Hub where the manifest knows only the beginning.

    Raises:
        CheckpointNotFoundError: no commit, or more than one, begins like that.
        HubUnreachableError: the Hub did not answer.
    """
    if release.revision is not None or release.repo is None:
        return release
    with translated_errors(release.repo):
        known = set(commits(release.repo))
    found = [commit for commit in known if commit.startswith(str(release.revision_prefix))]
    if len(found) != 1 or not FULL_REVISION.fullmatch(found[0]):
        raise CheckpointNotFoundError(
            f"{release.repo} has {len(found)} commits that begin with {release.revision_prefix}; exactly "
            "one is needed. Correct the manifest."
        )
    return release.model_copy(update={"revision": found[0]})


@contextmanager
def translated_errors(repo: str) -> Iterator[None]:
    """Turn the Hub library's errors into ours, keeping the cause; inside, no request waits forever."""
    limit_waits()
    try:
        yield
    except HFValidationError as error:
        raise UnknownReleaseError(f"{repo!r} is no valid repository name. Write it as owner/name.") from error
    except FOREIGN as error:
        raise reading_error(repo, error) from error
