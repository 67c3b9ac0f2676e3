"""Files named by the SHA-256 of what they hold, or of the picture they were made from, at any fsspec address.

A file appears whole or not at all, and is never changed. Which files are needed is the tables' business.
"""

import copy
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Self

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from mambaad_demo.errors import StorageError

_PARTIAL = ".part"
_SHA256 = re.compile("[0-9a-f]{64}")


class FileKind(StrEnum):
    """What a file is; one folder each."""

    PICTURE = "pictures"
    """As it was sent, named by its own hash."""
    PREVIEW = "previews"
    """JPEG for the screen, named by the hash of its picture."""
    THUMBNAIL = "thumbnails"
    """Small JPEG, named by the hash of its picture."""
    MAP = "maps"
    """Anomaly map at model resolution, named by its own hash; see `maps.py`."""
    MASK = "masks"
    """One-bit PNG at the size of the picture, named by its own hash."""


class FileStore:
    """The files of a store; safe to share between threads and processes."""

    def __init__(self, url: str) -> None:
        """Open a folder or any address that fsspec knows, such as `s3://bucket/parts`.

        Raises:
            StorageError: no such kind of address, or its driver is not installed.
        """
        try:
            self._system: AbstractFileSystem
            self._system, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StorageError(
                "MAMBAAD_FILES_URL names no place this machine can write to. Check its beginning, and that "
                "the driver for it is installed."
            ) from error
        self._take_room: Callable[[int], None] | None = None

    def within(self, take_room: Callable[[int], None]) -> Self:
        """The same files for who may not write any amount.

        Args:
            take_room: asked before a new file is written, with its bytes; raises `StorageError` to refuse it.
        """
        other = copy.copy(self)
        other._take_room = take_room
        return other

    def write(self, kind: FileKind, sha256: str, content: bytes) -> None:
        """Keep a file; one that is there already is left alone.

        Raises:
            StorageError: it cannot be written, for instance because the disk is full, or may not be.
        """
        path = self._path(kind, sha256)
        with _translated("A file could not be written to the store: the disk may be full. Make room."):
            if self._system.exists(path):
                return
            if self._take_room is not None:
                self._take_room(len(content))
            self._system.makedirs(self._folder(kind, sha256), exist_ok=True)
            partial = f"{path}.{secrets.token_hex(6)}{_PARTIAL}"
            try:
                self._system.pipe_file(partial, content)
                self._settle(partial)
                self._rename(partial, path)
            except BaseException:
                self._remove(partial)
                raise

    def read(self, kind: FileKind, sha256: str) -> bytes:
        """The content of a file.

        Raises:
            StorageError: it is gone.
        """
        path = self._path(kind, sha256)
        with _translated(
            f"A file of the store is missing ({kind.value} {sha256[:12]}). Restore it from a backup."
        ):
            return bytes(self._system.cat_file(path))

    def holds(self, kind: FileKind, sha256: str) -> bool:
        """Whether a file is there."""
        return bool(self._system.exists(self._path(kind, sha256)))

    def delete(self, kind: FileKind, sha256: str) -> None:
        """Delete a file, if it is there.

        Raises:
            StorageError: it is there and stays.
        """
        path = self._path(kind, sha256)
        with _translated("A file of the store could not be deleted. See that this program may write there."):
            self._remove(path)

    def names(self, kind: FileKind) -> Iterator[str]:
        """The hashes of all files of a kind."""
        for path in self._system.find(f"{self._root}/{kind.value}"):
            name = str(path).rpartition("/")[2]
            if not name.endswith(_PARTIAL):
                yield name

    def _rename(self, old: str, new: str) -> None:
        if type(self._system).mv is not AbstractFileSystem.mv:
            self._system.mv(old, new)
        else:  # where files cannot be renamed, fsspec's own way takes brackets in an address for a pattern
            self._system.cp_file(old, new)
            self._system.rm_file(old)

    def _settle(self, path: str) -> None:
        """Wait until a local file is on the disk, as the rows that will name it are."""
        if isinstance(self._system, LocalFileSystem):
            with Path(path).open("rb") as file:
                os.fsync(file.fileno())

    def _remove(self, path: str) -> None:
        if self._system.exists(path):
            self._system.rm_file(path)

    def _folder(self, kind: FileKind, sha256: str) -> str:
        return f"{self._root}/{kind.value}/{sha256[:2]}"

    def _path(self, kind: FileKind, sha256: str) -> str:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no SHA-256")
        return f"{self._folder(kind, sha256)}/{sha256}"


@contextmanager
def _translated(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(message) from error
