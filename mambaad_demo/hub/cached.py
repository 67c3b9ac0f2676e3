"""Files in the cache of the Hub's library that are not what was asked for: found, discarded, and said so."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mambaad_demo.errors import CheckpointCorruptError
from mambaad_demo.hub.manifest import FULL_REVISION, ReleaseFile
from mambaad_demo.hub.weights import file_sha256

_SHORT = 7  # first characters of a commit, as people write it
_SNAPSHOTS, _REFS = "snapshots", "refs"


def require_commit(path: Path, revision: str, files: Iterable[str], repo: str) -> None:
    """Refuse an answer of the Hub with another commit than asked for, and discard what came with it.

    The library files it under the commit that the Hub names, and takes a note of that.

    Args:
        path: what the library returned, a snapshot or a file in one; left alone outside of its cache.
        revision: full commit that was asked for.
        files: names of the wanted ones.
        repo: where they come from, for the message.

    Raises:
        CheckpointCorruptError: with both commits.
    """
    storage, wanted = _storage(path), list(files)
    if storage is None:
        return
    snapshots, note = storage / _SNAPSHOTS, storage / _REFS / revision
    returned = path.relative_to(snapshots).parts[0]
    if returned == revision and all((snapshots / revision / file).is_file() for file in wanted):
        return
    answered = note.read_text(encoding="utf-8") if note.is_file() else returned
    if answered == revision:  # a file is missing there
        return
    if note.is_file() and FULL_REVISION.fullmatch(answered):  # it leads to a folder
        came = [snapshots / answered / file for file in wanted]
        # What was there before is of a release that is pinned to that commit.
        since = note.stat().st_mtime_ns
        discard([file for file in came if file.is_file() and file.lstat().st_mtime_ns >= since])
        note.unlink()
    raise CheckpointCorruptError(
        f"The Hub answered with commit {answered[:_SHORT]} of {repo} where {revision[:_SHORT]} was asked "
        "for. What came with it was discarded. Try again later; if it happens again, check HF_ENDPOINT and "
        "the revision in the manifest."
    )


def require_pinned(path: Path, pinned: ReleaseFile, *, repo: str, revision: str) -> str:
    """Refuse and discard a file that is not the one the manifest pins.

    Returns:
        Its SHA-256.

    Raises:
        CheckpointCorruptError: with both hashes.
    """
    found = file_sha256(path)
    if pinned.sha256 in (None, found):
        return found
    is_gone = _storage(path) is not None
    if is_gone:
        discard([path])
    raise CheckpointCorruptError(
        f"{pinned.path} of {repo} at {revision[:_SHORT]} has SHA-256 {found[:12]}…, the manifest expects "
        f"{str(pinned.sha256)[:12]}…. {'It was discarded. ' if is_gone else ''}Fetch it again; if it is the "
        "same then, correct the revision or the hash in the manifest."
    )


def discard(files: Iterable[Path]) -> None:
    """Delete files of snapshots, their content where no other snapshot has it, and folders left empty."""
    for file in files:
        storage, content = _storage(file), file.resolve()
        file.unlink()
        if storage is None:
            continue
        if all(other.resolve() != content for other in (storage / _SNAPSHOTS).rglob("*")):
            content.unlink(missing_ok=True)
        with suppress(OSError):  # the first folder that is not empty
            for folder in file.relative_to(storage / _SNAPSHOTS).parents[:-1]:
                (storage / _SNAPSHOTS / folder).rmdir()


def _storage(path: Path) -> Path | None:
    """The folder of a repository in the cache that a snapshot, or a file in one, belongs to."""
    return next((parent.parent for parent in path.parents if parent.name == _SNAPSHOTS), None)
