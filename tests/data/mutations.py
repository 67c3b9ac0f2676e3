"""Damage for fuzz tests: small changes of bytes, from careless to spiteful, all drawn from one seed."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_TELLING = (0, 1, 2, 7, 16, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers at which lengths and offsets go wrong."""

_HEADER = 400
"""Bytes at the start that half of the changes go to."""


def mutated(data: bytes, others: Sequence[bytes], seed: int) -> bytes:
    """A file with one to four changes.

    Args:
        others: files to take pieces of.
        seed: the same number gives the same changes.
    """
    rng = random.Random(seed)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if changed:
            rng.choice(_CHANGES)(changed, rng, rng.choice(others))
    if rng.random() < 0.7:
        _mend_png(changed)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(min(len(data), _HEADER) if rng.random() < 0.5 else len(data))


def _cut(data: bytearray, rng: random.Random, other: bytes) -> None:
    del data[_place(data, rng) :]


def _drop(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = _place(data, rng)
    del data[start : start + rng.randint(1, 64)]


def _flip(data: bytearray, rng: random.Random, other: bytes) -> None:
    for _ in range(rng.randint(1, 8)):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _scribble(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = _place(data, rng)
    data[start : start + rng.randint(0, 8)] = rng.randbytes(rng.randint(0, 8))


def _number(data: bytearray, rng: random.Random, other: bytes) -> None:
    """A telling number in the place of another, in either order of bytes."""
    size, start = rng.choice((1, 2, 4, 8)), _place(data, rng)
    number = rng.choice(_TELLING) % 2 ** (8 * size)
    data[start : start + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _repeat(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = _place(data, rng)
    piece = data[start : start + rng.randint(1, 200)]
    data[start:start] = piece * rng.choice((1, 2, 50))


def _move(data: bytearray, rng: random.Random, other: bytes) -> None:
    start, target, length = _place(data, rng), _place(data, rng), rng.randint(1, 100)
    data[target : target + length] = data[start : start + length]


def _splice(data: bytearray, rng: random.Random, other: bytes) -> None:
    """The start of one file on the end of another."""
    start = _place(data, rng)
    data[start:] = (
        other[min(start, len(other)) :] if rng.random() < 0.5 else other[rng.randrange(len(other)) :]
    )


def _behead(data: bytearray, rng: random.Random, other: bytes) -> None:
    length = rng.choice((4, 8, 16, 64))
    data[:length] = other[:length]


def _append(data: bytearray, rng: random.Random, other: bytes) -> None:
    data.extend(other)


_CHANGES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    _cut, _drop, _flip, _scribble, _number, _number, _number, _repeat, _move, _splice, _behead, _append,
)  # fmt: skip


def _mend_png(data: bytearray) -> None:
    """Make the checksums of a PNG fit again, so that its readers get to see the changes."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
