"""How much one visitor may use, and how much all that visitors make the server write may take of the disk."""

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 2**20
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

    written_mb_per_hour: int | None = None
    """Megabytes that the server writes for a visitor: downloads and, in a store of their own, pictures, maps
    and previews."""

    requests_per_minute: int | None = None
    """Events that run a detector."""

    unfinished_requests: int | None = None
    """Events that wait in the queue or run."""

    pictures_at_once: int | None = None
    """Pictures of one batch, set, study, measurement or trial; a picture counts for each checkpoint that
    judges it and for each of its tiles."""

    pictures_per_hour: int | None = None
    """Pictures, counted in the same way, of all that runs a detector."""

    unfinished_batches: int | None = None
    """Batches that wait or run."""


FOR_STRANGERS = Caps(
    upload_mb_per_hour=1024,
    upload_files_per_hour=1000,
    written_mb_per_hour=2048,
    requests_per_minute=60,
    unfinished_requests=6,
    pictures_at_once=300,
    pictures_per_hour=600,
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
    """Whether there is room for what visitors make the server write; safe to share between threads."""

    def __init__(
        self,
        uploads: Path,
        *,
        others: Sequence[Path] = (),
        most_gb: float = MOST_UPLOAD_GB,
        free_gb: float = 1,
        look_seconds: float = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            uploads: the folder of uploads and downloads; need not exist yet.
            others: more files and folders that count, which need not exist.
            most_gb: gigabytes that all of it may take together.
            free_gb: gigabytes that must stay free on the disk of the uploads.
            look_seconds: for how long a measurement is good; ten times as long as it took, if that is longer.
            clock: seconds that only grow.
        """
        self.uploads = uploads
        self._others = tuple(others)
        self._most = most_gb * GIGABYTE
        self._free = free_gb * GIGABYTE
        self._look_seconds = look_seconds
        self._clock = clock
        self._next_look = -math.inf
        self._room = 0.0
        self._lock = threading.Lock()

    def has_room(self, size: int = 0) -> bool:
        """Whether one more file is welcome, as of a few seconds ago; it then counts as written.

        Args:
            size: its bytes; 0 where they are not known yet.
        """
        with self._lock:
            start = self._clock()
            if start >= self._next_look:
                self.uploads.mkdir(parents=True, exist_ok=True)
                free = shutil.disk_usage(self.uploads).free
                self._room = min(free - self._free, self._most - size_of(self.uploads, *self._others))
                end = self._clock()
                self._next_look = end + max(self._look_seconds, 10 * (end - start))
            if self._room < size:
                return False
            self._room -= size
            return True


def size_of(*places: Path) -> int:
    """Bytes of files and of all files below folders; one of several names counts once, and those that vanish
    meanwhile do not count."""
    sizes: dict[tuple[int, int], int] = {}
    total = 0
    for path in _files(places):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if facts.st_nlink > 1:
                sizes[facts.st_dev, facts.st_ino] = facts.st_size
            else:
                total += facts.st_size
    return total + sum(sizes.values())


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            for folder, _, names in os.walk(place):
                yield from (Path(folder, name) for name in names)
        else:
            yield place
