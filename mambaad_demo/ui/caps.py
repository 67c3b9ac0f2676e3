"""How much one visitor may use, and how much all uploads together may take of the disk."""

import math
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIGABYTE = 2**30
MOST_UPLOAD_GB = 20
AT_ONE_ADDRESS = 4
"""Visitors' worth of use for all who come from one network address, such as an office."""

_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose use is counted."""

    visitor: str
    """A browser, or all programs behind one address, since a program can call itself anew each time."""

    address: str
    """The network address it came from; of IPv6 the part that a provider gives out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What one visitor may use; None stands for any amount.

    They keep one visitor from taking a server that others wait for. Somebody who comes as many visitors is
    met by what all at one network address may use, `AT_ONE_ADDRESS` times as much, and by the bounds of the
    queue and of the disk, which are for all.
    """

    upload_mb_per_hour: int | None = None
    """Megabytes of uploads and of what events are asked with."""

    upload_files_per_hour: int | None = None
    """Uploaded files."""

    requests_per_minute: int | None = None
    """Events that run a detector."""

    unfinished_requests: int | None = None
    """Events that wait in the queue or run."""

    unfinished_batches: int | None = None
    """Batches that wait or run."""


FOR_STRANGERS = Caps(
    upload_mb_per_hour=1024,
    upload_files_per_hour=1000,
    requests_per_minute=60,
    unfinished_requests=6,
    unfinished_batches=2,
)
"""Where anybody may come."""


class Meter:
    """How much each visitor used of late: a bucket that leaks as fast as it may be filled.

    Safe to share between threads.
    """

    def __init__(
        self, most: float | None, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            most: what one visitor may use within `seconds`; None for any amount.
            seconds: the time in which a full bucket runs empty.
            clock: seconds that only grow.
        """
        self.most = most
        self._seconds = seconds
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait(self, who: str, amount: float = 1) -> int:
        """Whole seconds until a visitor may use so much more, or a full bucket where it is more than that; 0
        for at once."""
        if self.most is None:
            return 0
        with self._lock:
            over = self._level(who) + min(amount, self.most) - self.most
        return max(0, math.ceil(over * self._seconds / self.most))

    def add(self, who: str, amount: float) -> None:
        """Count what a visitor used, which may be more than was left; less than 0 takes back."""
        if self.most is None:
            return
        with self._lock:
            level = self._level(who)
            self._levels.pop(who, None)
            self._levels[who] = level + amount, self._clock()
            if len(self._levels) > _MOST_KNOWN:
                del self._levels[next(iter(self._levels))]

    def _level(self, who: str) -> float:
        level, since = self._levels.get(who, (0.0, 0.0))
        leaked = (self._clock() - since) * (self.most or 0) / self._seconds
        return max(0.0, level - leaked)


class Allowance:
    """How much each visitor used of late, and all at one address together; safe to share between threads."""

    def __init__(
        self, most: float | None, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Arguments as for `Meter`."""
        self.most = most
        self._visitors = Meter(most, seconds, clock=clock)
        self._addresses = Meter(None if most is None else AT_ONE_ADDRESS * most, seconds, clock=clock)

    def wait(self, who: Asker, amount: float = 1) -> int:
        """Whole seconds until a visitor may use so much more; 0 for at once."""
        return max(self._visitors.wait(who.visitor, amount), self._addresses.wait(who.address, amount))

    def add(self, who: Asker, amount: float) -> None:
        """Count what a visitor used, which may be more than was left; less than 0 takes back."""
        self._visitors.add(who.visitor, amount)
        self._addresses.add(who.address, amount)


class Disk:
    """Whether there is room for uploads; safe to share between threads."""

    def __init__(
        self,
        uploads: Path,
        *,
        most_gb: float = MOST_UPLOAD_GB,
        free_gb: float = 1,
        look_seconds: float = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            uploads: the folder they lie in; need not exist yet.
            most_gb: gigabytes that they may take together.
            free_gb: gigabytes that must stay free on their disk.
            look_seconds: for how long a measurement is good.
            clock: seconds that only grow.
        """
        self.uploads = uploads
        self._most = most_gb * GIGABYTE
        self._free = free_gb * GIGABYTE
        self._look_seconds = look_seconds
        self._clock = clock
        self._next_look = -math.inf
        self._has_room = True
        self._lock = threading.Lock()

    def has_room(self) -> bool:
        """Whether one more upload is welcome, as of a few seconds ago."""
        with self._lock:
            if self._clock() >= self._next_look:
                self.uploads.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(self.uploads).free
                self._has_room = free >= self._free and size_of(self.uploads) <= self._most
                self._next_look = self._clock() + self._look_seconds
            return self._has_room


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(place, name).lstat().st_size
    return total
