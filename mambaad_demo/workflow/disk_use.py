"""How much room what is written at run time takes, by kind, and how much is left."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_LASTS = 30.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """Bytes on the disk."""

    used: dict[str, int]
    """By kind."""
    free: int | None
    """On the disk of the first kind; None where it cannot be read."""

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self)


def disk_use(places: Mapping[str, Sequence[Path]]) -> DiskUse:
    """Measure files and folders; links are not followed, and what vanishes meanwhile counts nothing.

    Args:
        places: kind → its files and folders, which need not exist.
    """
    used = {kind: sum(map(_bytes, paths)) for kind, paths in places.items()}
    first = next((path for paths in places.values() for path in paths), None)
    return DiskUse(used=used, free=None if first is None else _free(first))


class DiskGauge:
    """`disk_use` for whoever asks, measured anew after half a minute; safe to share between threads."""

    def __init__(
        self, places: Mapping[str, Sequence[Path]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places, self._clock = places, clock
        self._lock = threading.Lock()
        self._last: tuple[float, DiskUse] | None = None

    def read(self) -> DiskUse:
        """At most half a minute old."""
        with self._lock:
            if self._last is None or self._clock() - self._last[0] >= _LASTS:
                self._last = self._clock(), disk_use(self._places)
            return self._last[1]


def _bytes(path: Path) -> int:
    """What a file or folder takes, in the blocks it occupies where the system says so."""
    return sum(_size(entry) for entry in _files(path))


def _files(path: Path) -> Iterator[os.stat_result]:
    with suppress(OSError):
        if not path.is_dir():
            yield path.lstat()
            return
        with os.scandir(path) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        yield from _files(Path(entry.path))
                    else:
                        yield entry.stat(follow_symlinks=False)


def _size(entry: os.stat_result) -> int:
    blocks = getattr(entry, "st_blocks", None)  # of 512 bytes; not on Windows
    return entry.st_size if blocks is None else 512 * int(blocks)


def _free(path: Path) -> int | None:
    with suppress(OSError, StopIteration):
        return shutil.disk_usage(next(one for one in (path, *path.parents) if one.exists())).free
    return None
