"""Masks as Label Studio's brush writes them: runs of RGBA bytes in a stream of bits (thi.ng/rle-pack).

    32 bits   number of bytes
     5 bits   bits of a value - 1, here always 8
    16 bits   four sizes of a length - 1, 4 bits each
    then, until there are enough bytes:
     1 bit    1: one value that is repeated; 0: values one by one
     2 bits   which of the four sizes the length has
     n bits   length - 1
     8 bits   the value, or as many values as the length says

Each pixel is four equal bytes, 255 where it is marked; only the last one, its opacity, counts when reading.
"""

import numpy as np

from mambaad_demo.data.decoded import Budget
from mambaad_demo.errors import InputError

_SIZES = np.array([3, 4, 8, 16])
_LONGEST = 2**16
_CHANNELS = 4
_VALUE_BITS = 8
_HEADER_BITS = 32 + 5 + 16
_CODE_BITS = 1 + 2 + 16 + _VALUE_BITS
_ANY_MASK = Budget(min_side=1, max_aspect=float("inf"))
_BLOCK = 2**18  # codes that are turned into bits at once

_DAMAGED = "Its brush mask is damaged or of another size than it says. Export it again."


def brush_bytes(mask: np.ndarray) -> bytes:
    """Pack a mask, (H, W) bool."""
    codes, bits = _codes(mask)
    header = f"{mask.size * _CHANNELS:032b}{_VALUE_BITS - 1:05b}" + "".join(
        f"{size - 1:04b}" for size in _SIZES
    )
    blocks = [np.array([letter == "1" for letter in header])]
    places = np.arange(_CODE_BITS)[::-1]
    for start in range(0, len(codes), _BLOCK):
        block = slice(start, start + _BLOCK)
        blocks.append(((codes[block, None] >> places) & 1).astype(bool)[places < bits[block, None]])
    return np.packbits(np.concatenate(blocks)).tobytes()


def _codes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs of a mask as numbers, and how many bits each takes."""
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size) * _CHANNELS
    pieces = -(-lengths // _LONGEST)
    rests = lengths - (pieces - 1) * _LONGEST
    lengths = np.full(pieces.sum(), _LONGEST)
    lengths[np.cumsum(pieces) - 1] = rests
    values = np.repeat(np.where(flat[starts], 255, 0), pieces)
    which = np.searchsorted(2 ** _SIZES[:-1], lengths)
    sizes = _SIZES[which]
    codes = (((0b100 | which) << sizes | (lengths - 1)) << _VALUE_BITS) | values
    return codes, 3 + sizes + _VALUE_BITS


def mask_of_brush(packed: bytes, height: int, width: int) -> np.ndarray:
    """Unpack a mask, (H, W) bool: True wherever there is paint.

    Raises:
        InputError: damaged, not of this size, or larger than any picture we read.
    """
    _ANY_MASK.check(width, height)
    total = height * width * _CHANNELS
    header = int.from_bytes(packed[:8].ljust(8, b"\0")) >> (64 - _HEADER_BITS)
    if header >> 21 != total or (header >> 16) & 31 != _VALUE_BITS - 1:
        raise InputError(_DAMAGED)
    sizes = [((header >> shift) & 15) + 1 for shift in (12, 8, 4, 0)]
    lengths, values = _runs(packed, sizes, total)
    pixels = np.repeat(np.frombuffer(values, dtype=np.uint8), lengths)
    return np.ascontiguousarray(pixels.reshape(height, width, _CHANNELS)[..., -1] > 0)


def _runs(packed: bytes, sizes: list[int], total: int) -> tuple[list[int], bytearray]:
    """Lengths and values of the runs, `total` bytes in all."""
    end = len(packed) * 8
    packed += bytes(8)
    lengths: list[int] = []
    values = bytearray()
    position, filled = _HEADER_BITS, 0
    while filled < total:
        window = int.from_bytes(packed[position >> 3 : (position >> 3) + 5])  # 40 bits; a code has at most 27
        code = (window >> (13 - (position & 7))) & (2**_CODE_BITS - 1)
        size = sizes[(code >> 24) & 3]
        length = ((code >> (24 - size)) & (2**size - 1)) + 1
        position += 3 + size
        if code >> 26:
            lengths.append(length)
            values.append((code >> (16 - size)) & 255)
            position += _VALUE_BITS
        else:
            lengths.extend([1] * length)
            values += _bytes_at(packed, position, length)
            position += _VALUE_BITS * length
        filled += length
        if position > end or filled > total:
            raise InputError(_DAMAGED)
    return lengths, values


def _bytes_at(packed: bytes, position: int, count: int) -> bytes:
    """Bytes that may begin within a byte."""
    window = int.from_bytes(packed[position >> 3 : (position >> 3) + count + 1])
    return ((window >> (8 - (position & 7))) & (256**count - 1)).to_bytes(count)
