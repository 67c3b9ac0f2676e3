"""Where an export goes: a new folder, or one zip file that is written entry by entry.

A pack appears under its name when it is complete, or not at all.
"""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mambaad_demo.errors import InputError, StorageError

_TEXTS = (".json", ".csv", ".xml")  # pictures are packed already


class Pack(Protocol):
    """Takes files one by one."""

    def write(self, name: str, content: bytes) -> None:
        """Add a file; `name` has forward slashes and is made by us."""


@contextmanager
def new_pack(target: Path) -> Iterator[Pack]:
    """A zip file where `target` ends in `.zip`, else a folder.

    Raises:
        InputError: there is something of this name.
        StorageError: it cannot be written.
    """
    if target.exists():
        raise InputError(f"{target.name!r} exists already. Choose a new name.")
    partial = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(partial)
        try:
            if target.suffix.lower() == ".zip":
                with zipfile.ZipFile(partial, "w") as archive:
                    yield _Zip(archive)
            else:
                partial.mkdir()
                yield _Folder(partial)
            partial.rename(target)
        except BaseException:
            _remove(partial)
            raise
    except OSError as error:
        raise StorageError(
            f"{target.name!r} could not be written: the disk may be full. Make room and try again."
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: str, content: bytes) -> None:
        file = self._root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, name: str, content: bytes) -> None:
        kind = zipfile.ZIP_DEFLATED if name.endswith(_TEXTS) else zipfile.ZIP_STORED
        self._archive.writestr(name, content, compress_type=kind)
