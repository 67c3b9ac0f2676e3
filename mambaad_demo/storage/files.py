"""Files named by the SHA-256 of what they hold, or of the picture they were made from, at any fsspec address.

A file appears whole or not at all, and is never changed. Which files are needed is the tables' business.
"""

import secrets
from collections.abc import Iterator
from enum import StrEnum

import fsspec
from fsspec import AbstractFileSystem

from mambaad_demo.errors import StorageError


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

    def write(self, kind: FileKind, sha256: str, content: bytes) -> None:
        """Keep a file; one that is there already is left alone.

        Raises:
            StorageError: it cannot be written, for instance because the disk is full.
        """
        path = self._path(kind, sha256)
        try:
            if self._system.exists(path):
                return
            self._system.makedirs(self._folder(kind, sha256), exist_ok=True)
            partial = f"{path}.{secrets.token_hex(6)}.part"
            try:
                self._system.pipe_file(partial, content)
                self._system.mv(partial, path)
            except BaseException:
                self._remove(partial)
                raise
        except OSError as error:
            raise StorageError(
                "A file could not be written to the store: the disk may be full. Make room and try again; "
                "nothing else was lost."
            ) from error

    def read(self, kind: FileKind, sha256: str) -> bytes:
        """The content of a file.

        Raises:
            StorageError: it is gone.
        """
        try:
            return bytes(self._system.cat_file(self._path(kind, sha256)))
        except OSError as error:
            raise StorageError(
                f"A file of the store is missing ({kind.value} {sha256[:12]}). Restore it from a backup."
            ) from error

    def holds(self, kind: FileKind, sha256: str) -> bool:
        """Whether a file is there."""
        return bool(self._system.exists(self._path(kind, sha256)))

    def delete(self, kind: FileKind, sha256: str) -> None:
        """Delete a file, if it is there."""
        self._remove(self._path(kind, sha256))

    def names(self, kind: FileKind) -> Iterator[str]:
        """The hashes of all files of a kind."""
        for path in self._system.find(f"{self._root}/{kind.value}"):
            name = str(path).rpartition("/")[2]
            if not name.endswith(".part"):
                yield name

    def _remove(self, path: str) -> None:
        if self._system.exists(path):
            self._system.rm_file(path)

    def _folder(self, kind: FileKind, sha256: str) -> str:
        return f"{self._root}/{kind.value}/{sha256[:2]}"

    def _path(self, kind: FileKind, sha256: str) -> str:
        if len(sha256) != 64 or not sha256.isalnum():
            raise ValueError(f"{sha256!r} is no SHA-256")
        return f"{self._folder(kind, sha256)}/{sha256}"
