"""What the Hub's errors mean, in our words: while something is fetched, and while something is sent."""

from json import JSONDecodeError

from huggingface_hub import errors
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mambaad_demo.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    HubUnreachableError,
    PublishingError,
)

HTTP_ERROR: type[Exception] = vars(errors)["HTTPError"]
"""Of the HTTP library below the Hub library, which is not the same in all its versions."""

_NO_HUB = (JSONDecodeError, UnicodeDecodeError, FileMetadataError)
"""What comes of the answers of other servers: a login page, say."""

FOREIGN: tuple[type[Exception], ...] = (HTTP_ERROR, EntryNotFoundError, OSError, *_NO_HUB)
"""What the Hub library raises; OSError is offline mode or a time-out."""


def reading_error(repo: str, error: Exception) -> CheckpointError:
    """Our error for one of the Hub library while it fetches: what happened, and what to do next."""
    is_uncached = isinstance(error, LocalEntryNotFoundError)  # a subclass of EntryNotFoundError
    reason = error.__cause__ if is_uncached else error
    if isinstance(reason, (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError)):
        return CheckpointNotFoundError(
            f"{repo} is missing on the Hub, is private, or lacks the revision or file asked for. Check the "
            "manifest."
        )
    if isinstance(reason, HfHubHTTPError):
        return HubUnreachableError(_not_delivered(repo, reason.response.status_code))
    if isinstance(reason, _NO_HUB):
        return HubUnreachableError(_no_hub(repo))
    if is_uncached:
        return HubUnreachableError(
            f"{repo} is not cached here and the Hub did not answer. Connect once, or use an embedded "
            "checkpoint."
        )
    return HubUnreachableError(
        f"The Hub did not deliver {repo}. Try again later, or use an embedded checkpoint."
    )


def _not_delivered(repo: str, status: int) -> str:
    """What an answer of the Hub means that is no file."""
    if status in (401, 403):
        return (
            f"The Hub refused {repo} (status {status}). Check HF_TOKEN: it may be missing, out of date, or "
            "without the right to read."
        )
    if status == 429:
        return (
            f"The Hub limits how often it is asked (status 429) and did not deliver {repo}. Try again in a "
            "few minutes; with HF_TOKEN set it allows more."
        )
    return (
        f"The Hub did not deliver {repo} (status {status}). Try again later, or use an embedded checkpoint."
    )


def writing_error(repo: str, error: Exception) -> PublishingError:
    """Our error for one of the Hub library while it sends; no commit was confirmed."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, FOREIGN):  # of one large file
        error = error.__cause__
    if isinstance(error, HfHubHTTPError):
        return PublishingError(_not_taken(repo, error))
    if isinstance(error, _NO_HUB):
        return PublishingError(_no_hub(repo))
    if isinstance(error, OfflineModeIsEnabled):
        return PublishingError(f"HF_HUB_OFFLINE is set, so nothing was sent to {repo}. Unset it to push.")
    if isinstance(error, (ValueError, RuntimeError)):
        return PublishingError(
            f"The Hub did not take the files of {repo}: its storage may be full, or its answer was "
            "incomplete. No commit was made. Look at the storage of the account, and push again."
        )
    return PublishingError(
        f"The Hub did not answer while files were sent to {repo}. No commit was confirmed. Look at its "
        "history, and push again."
    )


def _not_taken(repo: str, error: HfHubHTTPError) -> str:
    """What an answer of the Hub means that is no commit."""
    status = error.response.status_code
    if status in (401, 403) or isinstance(error, RepositoryNotFoundError):
        return (
            f"The Hub does not let you write to {repo} (status {status}), or there is no such repository. "
            "Check the owner and HF_TOKEN: it may be missing, out of date, or without the right to write."
        )
    if status == 402:
        return f"The Hub wants to be paid before it takes files for {repo} (status 402). Look at the account."
    if status in (409, 412):
        return (
            f"Somebody changed {repo} at the same time (status {status}), so no commit was made. Push again."
        )
    if status == 413:
        return f"The Hub finds the files for {repo} too large (status 413). No commit was made. Send fewer."
    if status == 429:
        return (
            f"The Hub limits how often it is asked (status 429), so no commit was made in {repo}. Try again "
            "in a few minutes."
        )
    if status >= 500:
        return (
            f"The Hub failed while files were sent to {repo} (status {status}). No commit was confirmed. "
            "Look at its history, and push again later."
        )
    return f"The Hub refused what was sent to {repo} (status {status}). No commit was made."


def _no_hub(repo: str) -> str:
    return (
        f"What came for {repo} is no answer of a Hub. Check HF_ENDPOINT, and whether a proxy or a login page "
        "stands in between."
    )
