"""What the visitor whose request is being answered may still use of the detector and of the disk.

`LocalFilesBlocks` says who asks before a handler runs. What the handler calls finds it here, whichever thread
it runs in; outside of a request nothing is bounded.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.ui.caps import MEGABYTE, Allowance, Asker, Caps, Disk
from mambaad_demo.ui.visit_gate import in_words

Step = TypeVar("Step")

_HOUR = 3600.0


class Allowances:
    """What all visitors may use; safe to share between threads."""

    def __init__(self, caps: Caps, disk: Disk | None = None) -> None:
        """
        Args:
            caps: what one visitor may use.
            disk: whether there is room for what is written; None for any amount.
        """
        self.disk = disk
        megabytes = caps.written_mb_per_hour
        self.pictures_at_once = caps.pictures_at_once
        self.pictures = Allowance(caps.pictures_per_hour, _HOUR)
        self.written = Allowance(None if megabytes is None else megabytes * MEGABYTE, _HOUR)

    @contextmanager
    def of(self, who: Asker, visitor: str | None) -> Iterator[None]:
        """Count what is used inside the block as one visitor's.

        Args:
            who: whose use is counted.
            visitor: who is given the same file again for the same thing; None for nobody.
        """
        before = _CURRENT.set(_Visitor(self, who, visitor))
        try:
            yield
        finally:
            _CURRENT.reset(before)


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Who asks, and what they may use."""

    shared: Allowances
    who: Asker
    visitor: str | None

    def take_pictures(self, count: int) -> None:
        """As the function of this name."""
        most = self.shared.pictures_at_once
        if most is not None and count > most:
            raise InputError(
                f"These count as {count} pictures: each once for every checkpoint and for every tile. This "
                f"server judges at most {most} at once for one visitor. Send fewer, or run your own copy."
            )
        if wait := self.shared.pictures.wait(self.who):
            raise InputError(
                "This server has judged as many pictures as it may for one visitor for now. "
                f"Try again in {in_words(wait)}."
            )
        self.shared.pictures.add(self.who, count)

    def take_room(self, size: int) -> None:
        """As the function of this name."""
        if self.shared.disk is not None and not self.shared.disk.has_room(size):
            raise StorageError(
                "There is no room for more files on this server. Delete yours if you are done with them, or "
                "try again later: files are deleted in time."
            )
        if wait := self.shared.written.wait(self.who):
            raise StorageError(
                "The server has written as much as it may for one visitor for now. "
                f"Try again in {in_words(wait)}."
            )
        self.shared.written.add(self.who, size)


_CURRENT: ContextVar[_Visitor | None] = ContextVar("allowance", default=None)


def take_pictures(count: int) -> None:
    """Count pictures that are to be judged for who asks; those of a batch that is resumed counted before.

    Args:
        count: a picture counts for each checkpoint that judges it and for each of its tiles.

    Raises:
        InputError: they are too many at once, or the visitor has had as many as one may.
    """
    current = _CURRENT.get()
    if current is not None:
        current.take_pictures(count)


def counted(steps: Iterable[Step], *, times: int = 1) -> Iterator[Step]:
    """The same steps; the pictures that the first of them tells as its `total` are taken before the second.

    Args:
        steps: of long work that judges nothing before it told how much there is.
        times: how often each picture counts.

    Raises:
        InputError: as for `take_pictures`.
    """
    for number, step in enumerate(steps):
        if number == 0:
            take_pictures(times * getattr(step, "total", 0))
        yield step


def take_room(size: int) -> None:
    """Count bytes that are to be written for who asks.

    Raises:
        StorageError: there is no room for them, or the visitor has had as much as one may.
    """
    room_of_asker()(size)


def room_of_asker() -> Callable[[int], None]:
    """`take_room` for who asks now, also for work that goes on after the request."""
    current = _CURRENT.get()
    return _any_amount if current is None else current.take_room


def visitor() -> str | None:
    """A name for who asks; None where nobody does, or somebody without a cookie and a session."""
    current = _CURRENT.get()
    return None if current is None else current.visitor


def _any_amount(size: int) -> None:
    """Nobody asks, or nothing is bounded."""
