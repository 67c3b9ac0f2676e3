"""Files that ask for far more work or memory than they are long, as bytes, and zip files that lie.

Each stands for one way in that was found or is known; `bad_files` holds the everyday ones. The tests of bombs
and `benchmarks.bombs` share these.
"""

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.data.bad_files import part, png_bytes, png_chunk, png_rows, tiff_bytes

SIDE = 6320
"""Just under 40 megapixels in a square."""


def png() -> bytes:
    """A small, valid picture."""
    return png_bytes(96, 64, png_rows(part()), color_type=2)


def endless_scans_jpeg(side: int = SIDE, scans: int = 400) -> bytes:
    """A progressive JPEG with one of its scans over and over: 81 bytes each, and a pass over all pixels."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    end = data.rindex(b"\xff\xd9")
    last_scan = data[data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda")) : end]
    return data[:end] + last_scan * scans + b"\xff\xd9"


def jumping_bmp(width: int, height: int) -> bytes:
    """A run-length BMP whose one code leaves 255 rows empty."""
    start = 14 + 40 + 1024
    codes = b"\0\2\xff\xff"
    header = struct.pack("<2sIHHI", b"BM", start + len(codes), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(codes), 0, 0, 256, 0)
    return header + info + bytes(1024) + codes


def overhanging_tiles_tiff(
    width: int = SIDE, height: int = SIDE, tile: tuple[int, int] = (16, 2_500_000)
) -> bytes:
    """Tiles that reach far below the picture, all of them the same few deflated bytes.

    Args:
        tile: its width and height.
    """
    count = -(-width // tile[0]) * -(-height // tile[1])
    packed = zlib.compress(bytes(tile[0] * tile[1]), 9)
    start = 8 + 8 * count
    tables = struct.pack(f"<{count}I", *[start] * count) + struct.pack(f"<{count}I", *[len(packed)] * count)
    entries = [
        *[
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, 1, 8),
            (259, 3, 1, 8),
            (262, 3, 1, 1),
            (277, 3, 1, 1),
        ],
        *[(322, 4, 1, tile[0]), (323, 4, 1, tile[1])],
        (324, 4, count, 8 if count > 1 else start),
        (325, 4, count, 8 + 4 * count if count > 1 else len(packed)),
    ]
    body = tables + packed
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return header + body + struct.pack("<H", len(entries)) + directory + struct.pack("<I", 0)


def deflate_bomb_tiff(side: int = 96, unpacked: int = 200_000_000) -> bytes:
    """A small picture whose one strip unpacks to much more than the picture holds."""
    return tiff_bytes(zlib.compress(bytes(unpacked), 9), side, side, compression=8)


def huge_canvas_webp(width: int = 16_384, height: int = 16_384) -> bytes:
    """An animation of one small frame on a huge canvas."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "WEBP", lossless=True)
    frame = buffer.getvalue()[12:]

    def low(value: int) -> bytes:
        return value.to_bytes(3, "little")

    animation = struct.pack("<4sIIH", b"ANIM", 6, 0, 0)
    framed = low(0) + low(0) + low(63) + low(63) + low(100) + b"\0" + frame
    canvas = struct.pack("<4sIB3x", b"VP8X", 10, 2) + low(width - 1) + low(height - 1)
    chunks = canvas + animation + struct.pack("<4sI", b"ANMF", len(framed)) + framed
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def one_long_chunk_png(width: int = 2000, height: int = 2000) -> bytes:
    """A valid 16-bit color picture of noise, not packed, in a single chunk."""
    noise = np.random.default_rng(0).integers(0, 2**16, (height, width, 3), dtype=np.uint16)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(png_rows(noise), 0))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")


def claimed_png(width: int, height: int) -> bytes:
    """A header of any size over the pixels of a small picture."""
    return png_bytes(width, height, png_rows(part()), color_type=2)


def png_with(chunk: bytes, payload: bytes) -> bytes:
    """A valid picture with one more chunk before its pixels."""
    return png_bytes(96, 64, png_rows(part()), color_type=2, before=png_chunk(chunk, payload))


def text_bomb_png(unpacked: int = 50_000_000) -> bytes:
    """A valid picture with a packed text of zeros."""
    return png_with(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(unpacked), 9))


# Zip files


def zip_of(files: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A well-made zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def ratio_bomb_zip(unpacked: int = 150_000_000) -> bytes:
    """One entry of zeros, a thousandth of their size."""
    return zip_of({"bomb.png": bytes(unpacked)})


def lying_ratio_zip(unpacked: int = 150_000_000) -> bytes:
    """The same, whose directory says that it is hardly packed."""
    data = bytearray(ratio_bomb_zip(unpacked))
    at = data.index(b"PK\x01\x02") + 20
    data[at : at + 4] = struct.pack("<I", unpacked)
    return bytes(data)


def overlapping_zip(entries: int = 1500, packed: int = 500_000) -> bytes:
    """Entries that all lie at one place: few bytes that unpack to many."""
    data = zip_of({"0.png": np.random.default_rng(0).bytes(packed)}, zipfile.ZIP_STORED)
    start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = data[start:end]
    directory = b"".join(entry[:-5] + f"{number:05}.png".encode() for number in range(entries))
    directory = directory.replace(entry[28:30] + entry[30:-5], struct.pack("<H", 9) + entry[30:-5])
    record = struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, entries, entries, len(directory), start, 0)
    return data[:start] + directory + record


def many_entries_zip(entries: int = 200_000) -> bytes:
    """A list of empty entries, longer than the rest."""
    return _directory_alone(entries, disks=(0, 0))


def hidden_directory_zip(entries: int = 200_000) -> bytes:
    """The same, with the mark of an end record inside the end record, in the numbers of disks."""
    return _directory_alone(entries, disks=(0x4B50, 0x0605))


def hidden_zip64_directory_zip(entries: int = 200_000) -> bytes:
    """The same in zip64, with the mark of its end record inside the locator, before a size in the comment."""
    names = _names(entries)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, len(names), 0)
    locator = struct.pack("<4sI8sI", b"PK\x06\x07", 0, b"PK\x06\x06" + bytes(4), 1)
    end = struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 64)
    return names + record + locator + end + bytes(64)


def nested_zip(depth: int = 6) -> bytes:
    """A zip file in a zip file in a zip file …, the innermost one holding a picture."""
    data = zip_of({"part.png": png()})
    for level in range(depth):
        data = zip_of({f"{level}.zip": data, f"{level}.png": data})
    return data


def _directory_alone(entries: int, *, disks: tuple[int, int]) -> bytes:
    names = _names(entries)
    return names + struct.pack("<4s4HIIH", b"PK\x05\x06", *disks, 65535, 65535, len(names), 0, 0)


def _names(entries: int) -> bytes:
    header = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    return b"".join(header + b"%04x.png" % (number % 65536) for number in range(entries))
