"""Files from the Hub: allow-listed repositories, pinned revisions, and its errors translated into ours, once.

The Hub library caches, resumes and honors `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`; nothing here
repeats that.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, errors, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mambaad_demo.errors import CheckpointNotFoundError, HubUnreachableError, UnknownReleaseError
from mambaad_demo.hub.manifest import FULL_REVISION, Release

HTTP_ERROR: type[Exception] = vars(errors)["HTTPError"]
"""Of the HTTP library below the Hub library, which is not the same in all its versions."""

_REFERENCE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^@/]+)", re.ASCII)

Download = Callable[..., Any]
"""`huggingface_hub.snapshot_download`, `hf_hub_download`, or a stand-in in tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReference:
    """A repository at one commit."""

    repo: str
    revision: str

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
    """Refuse repositories nobody vouched for.

    Raises:
        UnknownReleaseError: with the way to allow it.
    """
    if reference.repo not in allowed:
        raise UnknownReleaseError(
            f"{reference.repo} is not on the allow-list. The operator can add it in the manifest or in "
            "MAMBAAD_ALLOWED_REPOS."
        )


def fetch_folder(
    reference: HubReference, files: Iterable[str], *, download: Download = snapshot_download
) -> Path:
    """Path of a checkpoint folder on disk, downloaded first if it is not cached yet.

    Raises:
        CheckpointNotFoundError: no such repository, commit or file.
        HubUnreachableError: not cached, and the Hub did not answer.
    """
    with translated_errors(reference.repo):
        return Path(
            download(repo_id=reference.repo, revision=reference.revision, allow_patterns=sorted(files))
        )


def fetch_published(release: Release, *, download: Download = hf_hub_download) -> Path:
    """Path of the one file of a published release with a pinned revision.

    Raises:
        CheckpointNotFoundError, HubUnreachableError: as for `fetch_folder`.
    """
    with translated_errors(str(release.repo)):
        return Path(download(repo_id=release.repo, revision=release.revision, filename=release.files[0].path))


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
    """Turn the Hub library's errors into ours, keeping the cause."""
    try:
        yield
    except LocalEntryNotFoundError as error:  # a subclass of EntryNotFoundError: must come first
        raise HubUnreachableError(
            f"{repo} is not cached here and the Hub did not answer. Connect once, or use an embedded "
            "checkpoint."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise CheckpointNotFoundError(
            f"{repo} is missing on the Hub, is private, or lacks the revision or file asked for. Check the "
            "manifest."
        ) from error
    except HFValidationError as error:
        raise UnknownReleaseError(f"{repo!r} is no valid repository name. Write it as owner/name.") from error
    except (HTTP_ERROR, OSError) as error:  # statuses and broken connections; offline mode and time-outs
        raise HubUnreachableError(
            f"The Hub did not deliver {repo}. Try again later, or use an embedded checkpoint."
        ) from error
