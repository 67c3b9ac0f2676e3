"""Names of new versions, and the one rename that makes a finished checkpoint folder a version.

A name is reserved by an empty folder: nobody else takes it, and no catalog shows it.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from mambaad_demo.hub.layout import CONFIG

_LONGEST = 48


def slug(category: str) -> str:
    """What people call a category, as the beginning of a checkpoint's name."""
    plain = unicodedata.normalize("NFKD", category).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST].rstrip("-") or "part"


def reserve(versions: Path, wish: str | None, *, category: str, taken: Collection[str]) -> str:
    """Reserve a name that is free: the one wished for, or the category's with the next number.

    Args:
        versions: holds the folders of all versions; made where it is missing.
        wish: what its owner wants to call it; numbered where that is taken.
        category: what the version learns.
        taken: names of other checkpoints.
    """
    versions.mkdir(parents=True, exist_ok=True)
    return next(name for name in _names(wish, category) if name not in taken and _is_ours(versions / name))


def release(versions: Path, name: str) -> None:
    """Give a reserved name back; a version of that name stays."""
    with suppress(OSError):
        (versions / name).rmdir()


def publish(finished: Path, versions: Path) -> None:
    """Move a checkpoint folder to its reserved place, by one rename.

    Raises:
        OSError: it could not be moved, or something else lies there by now.
    """
    finished.rename(versions / finished.name)


def is_published(versions: Path, name: str) -> bool:
    """Whether a version of this name is there."""
    return (versions / name / CONFIG).is_file()


def _names(wish: str | None, category: str) -> Iterator[str]:
    if wish is not None:
        yield wish
    stem = slug(category) if wish is None else wish[:_LONGEST]
    yield from (f"{stem}-{number}" for number in count(1))


def _is_ours(place: Path) -> bool:
    """Make a folder that was not there; of two that try, one succeeds."""
    try:
        place.mkdir()
    except FileExistsError:
        return False
    return True
