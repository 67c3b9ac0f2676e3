"""Files that a hostile or unlucky person uploads, generated into a folder; the suffix often lies on purpose.

`REFUSED` must be turned away with a message, `UNUSUAL` must be read correctly. Each maker takes the path to
write. The tests of uploads, pages and command line share them.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

Maker = Callable[[Path], object]


def write_files(folder: Path, makers: dict[str, Maker]) -> list[Path]:
    """Write one file per maker and return the paths in the order of the dict."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in makers.items():
        path = folder / name
        make(path)
        paths.append(path)
    return paths


def part(width: int = 96, height: int = 64) -> np.ndarray:
    """(H, W, 3) uint8 picture in which every corner differs, so that a turned copy cannot pass."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.rint(255 * np.stack([x, y, (1 - x) * y], axis=-1)).astype(np.uint8)


def ramp(bits: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(H, W) uint16 that runs from 0 to the largest number of `bits` bits."""
    values = np.linspace(0, 2**bits - 1, width * height)
    return np.rint(values).astype(np.uint16).reshape(height, width)


# PNG


def png_chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png_bytes(
    width: int,
    height: int,
    rows: bytes,
    *,
    bits: int = 8,
    color_type: int = 0,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG of unfiltered `rows` (each with its filter byte), with chunks before and after the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + pixels + after + png_chunk(b"IEND", b"")
    )


def png_rows(samples: np.ndarray) -> bytes:
    """The rows of (H, W[, C]) samples as a PNG stores them, unfiltered."""
    big_endian = samples.astype(samples.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big_endian)


def bomb_png(path: Path) -> None:
    """12000 × 12000 pixels that are really there, in about 140 kB."""
    path.write_bytes(png_bytes(12000, 12000, b"\0" * (12001 * 12000)))


def claimed_bomb_png(path: Path) -> None:
    """A header of 2 gigapixels a side over the pixels of a small picture."""
    path.write_bytes(png_bytes(2**31 - 1, 2**31 - 1, png_rows(part()[..., 0])))


def twice_headed_png(path: Path) -> None:
    """A second, harmless header after one of 400 megapixels: readers differ in which they believe."""
    second = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 64, 16, 0, 0, 0, 0))
    path.write_bytes(png_bytes(20000, 20000, png_rows(ramp(16)), bits=16, before=second))


def lying_png(path: Path) -> None:
    """A header that declares ten times the rows that follow."""
    path.write_bytes(png_bytes(96, 640, png_rows(part()[..., 0])))


def truncated_png(path: Path) -> None:
    Image.fromarray(_noise()).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-2000])


def animated_png(path: Path) -> None:
    _save_frames(path, "PNG")


def sixteen_bit_png(path: Path) -> None:
    path.write_bytes(png_bytes(96, 64, png_rows(ramp(16)), bits=16))


def sixteen_bit_color_png(path: Path) -> None:
    """16-bit RGB whose channels differ in the low byte only."""
    samples = np.stack([ramp(16), ramp(16) ^ 1, ramp(16) ^ 2], axis=-1)
    path.write_bytes(png_bytes(96, 64, png_rows(samples), bits=16, color_type=2))


def transparent_palette_png(path: Path) -> None:
    """Left half red, right half fully transparent."""
    index = np.zeros((64, 96), np.uint8)
    index[:, 48:] = 1
    extra = png_chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 0])) + png_chunk(b"tRNS", b"\xff\x00")
    path.write_bytes(png_bytes(96, 64, png_rows(index), color_type=3, before=extra))


def turned_png(path: Path) -> None:
    """Stored lying on its side; the eXIf chunk, written after the pixels, says how to turn it."""
    exif = png_chunk(b"eXIf", _exif(6).tobytes().removeprefix(b"Exif\0\0"))
    path.write_bytes(png_bytes(64, 96, png_rows(np.rot90(part())), color_type=2, after=exif))


def polyglot_png(path: Path) -> None:
    """A picture with a zip archive behind it."""
    archive = io.BytesIO()
    _write_zip(archive)
    path.write_bytes(png_bytes(96, 64, png_rows(part()), color_type=2) + archive.getvalue())


# JPEG, WebP, BMP, GIF


def truncated_jpeg(path: Path) -> None:
    Image.fromarray(_noise()).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:3000])


def lying_jpeg(path: Path) -> None:
    """A header of 36 megapixels over the data of 96 × 64 pixels."""
    Image.fromarray(part()).save(path, "JPEG")
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 6000, 6000)
    path.write_bytes(data)


def claimed_bomb_jpeg(path: Path) -> None:
    Image.fromarray(part()).save(path, "JPEG")
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    path.write_bytes(data)


def cmyk_jpeg(path: Path) -> None:
    Image.fromarray(part()).convert("CMYK").save(path, "JPEG", quality=95)


def gray_jpeg(path: Path) -> None:
    Image.fromarray(part()[..., 0]).save(path, "JPEG", quality=95)


def turned_jpeg(path: Path) -> None:
    """Stored lying on its side with EXIF orientation 6: to be turned a quarter clockwise."""
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(part())))
    lying.save(path, "JPEG", quality=95, subsampling=0, exif=_exif(6))


def animated_webp(path: Path) -> None:
    _save_frames(path, "WEBP")


def transparent_webp(path: Path) -> None:
    """Left half opaque green, right half transparent."""
    pixels = np.zeros((64, 96, 4), np.uint8)
    pixels[:, :48] = (0, 255, 0, 255)
    Image.fromarray(pixels).save(path, "WEBP", lossless=True)


def bmp(path: Path) -> None:
    Image.fromarray(part()).save(path, "BMP")


def lying_bmp(path: Path) -> None:
    """A header that declares ten times the rows that follow."""
    Image.fromarray(part()).save(path, "BMP")
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack("<i", 640)
    path.write_bytes(data)


def animated_gif(path: Path) -> None:
    _save_frames(path, "GIF")


# TIFF


def twelve_in_sixteen_tiff(path: Path) -> None:
    """12-bit values in 16-bit samples, as most cameras write them."""
    tifffile.imwrite(path, ramp(12), photometric="minisblack")


def packed_twelve_bit_tiff(path: Path) -> None:
    """True 12-bit samples, two in three bytes."""
    low = ramp(12).reshape(-1, 2).astype(np.uint32)
    packed = (low[:, 0] << 12) | low[:, 1]
    data = np.stack([packed >> 16, packed >> 8, packed], axis=1).astype(np.uint8).tobytes()
    path.write_bytes(tiff_bytes(data, 96, 64, bits=12))


def color_sixteen_bit_tiff(path: Path) -> None:
    """16-bit RGB, LZW with predictor, in tiles."""
    samples = np.stack([ramp(16), ramp(16)[::-1], ramp(16)[:, ::-1]], axis=-1)
    tifffile.imwrite(path, samples, photometric="rgb", compression="lzw", predictor=True, tile=(32, 32))


def float_tiff(path: Path) -> None:
    """float32 from minus 1000 to 3000."""
    tifffile.imwrite(path, ramp(12).astype(np.float32) / 4095 * 4000 - 1000, photometric="minisblack")


def multi_page_tiff(path: Path) -> None:
    """The picture, then two pages of something else."""
    with tifffile.TiffWriter(path) as writer:
        for page in (part(), np.zeros_like(part()), np.zeros((200, 300, 3), np.uint8)):
            writer.write(page, photometric="rgb", metadata=None)


def many_page_tiff(path: Path) -> None:
    """10 000 pages that share one strip of pixels."""
    path.write_bytes(tiff_bytes(part()[..., 0].tobytes(), 96, 64, pages=10_000))


def turned_tiff(path: Path) -> None:
    lying = np.ascontiguousarray(np.rot90(part()))
    tifffile.imwrite(path, lying, photometric="rgb", extratags=[(274, "H", 1, 6, True)])


def jpeg_in_tiff(path: Path) -> None:
    Image.fromarray(part()).save(path, "TIFF", compression="jpeg", quality=95)


def truncated_tiff(path: Path) -> None:
    """The directory comes first, and half of the pixels are missing."""
    path.write_bytes(tiff_bytes(part()[..., 0].tobytes(), 96, 64)[: -96 * 32])


def claimed_bomb_tiff(path: Path) -> None:
    path.write_bytes(tiff_bytes(part()[..., 0].tobytes(), 100_000, 100_000))


def tile_bomb_tiff(path: Path) -> None:
    """A small picture in one tile of 4 gigapixels, deflated zeros."""
    tile = [(322, 4, 1, 65536), (323, 4, 1, 65536)]
    path.write_bytes(tiff_bytes(zlib.compress(bytes(10**6)), 96, 64, compression=8, tags=tile))


def tag_bomb_tiff(path: Path) -> None:
    """Many copies of a tag, each with millions of values in the same place of the file."""
    body = bytes(8 * 2**20)
    tags = [(273, 3, len(body) // 2, 8)] * 2000
    path.write_bytes(tiff_bytes(body, 96, 64, tags=tags))


def endless_tiff(path: Path) -> None:
    """Each page is followed by itself."""
    path.write_bytes(tiff_bytes(part()[..., 0].tobytes(), 96, 64, next_page_is_first=True))


def tiff_bytes(
    data: bytes,
    width: int,
    height: int,
    *,
    bits: int = 8,
    compression: int = 1,
    pages: int = 1,
    tags: list[tuple[int, int, int, int]] | None = None,
    next_page_is_first: bool = False,
) -> bytes:
    """A little-endian gray TIFF of one strip, its directories before the pixels.

    Args:
        tags: more directory entries (tag, type, count, value).
    """
    entries = 9 + len(tags or [])
    directory = 2 + 12 * entries + 4
    start = 8 + directory * pages
    basic = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, start),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]
    listed = b"".join(struct.pack("<HHII", *entry) for entry in sorted([*basic, *(tags or [])]))
    chain = []
    for page in range(pages):
        following = 8 + directory * (page + 1) if page + 1 < pages else 0
        if next_page_is_first:
            following = 8
        chain.append(struct.pack("<H", entries) + listed + struct.pack("<I", following))
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(chain) + data


# What is no picture, or none of a part


def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


def zip_archive(path: Path) -> None:
    with path.open("wb") as file:
        _write_zip(file)


def svg(path: Path) -> None:
    path.write_text(
        '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>\n'
    )


def html(path: Path) -> None:
    path.write_text("<!DOCTYPE html>\n<html><body><img src='part.png'></body></html>\n")


def pdf(path: Path) -> None:
    Image.fromarray(part()).save(path, "PDF")


def random_bytes(path: Path) -> None:
    path.write_bytes(b"\x01" + np.random.default_rng(0).bytes(5000))


def strip(path: Path) -> None:
    """1 × 5000 pixels."""
    Image.fromarray(np.zeros((5000, 1), np.uint8)).save(path, "PNG")


def ribbon(path: Path) -> None:
    """2000 × 40 pixels: tall enough, too narrow."""
    Image.fromarray(np.zeros((40, 2000), np.uint8)).save(path, "PNG")


REFUSED: dict[str, Maker] = {
    "bomb.png": bomb_png,
    "claimed_bomb.png": claimed_bomb_png,
    "twice_headed.png": twice_headed_png,
    "lying.png": lying_png,
    "truncated.png": truncated_png,
    "animated.png": animated_png,
    "truncated.jpg": truncated_jpeg,
    "lying.jpg": lying_jpeg,
    "claimed_bomb.jpg": claimed_bomb_jpeg,
    "animated.webp": animated_webp,
    "lying.bmp": lying_bmp,
    "animated.gif": animated_gif,
    "truncated.tif": truncated_tiff,
    "claimed_bomb.tif": claimed_bomb_tiff,
    "tile_bomb.tif": tile_bomb_tiff,
    "tag_bomb.tif": tag_bomb_tiff,
    "zero_bytes.png": zero_bytes,
    "zip.png": zip_archive,
    "drawing.svg": svg,
    "page.jpg": html,
    "document.pdf": pdf,
    "random.bmp": random_bytes,
    "strip.png": strip,
    "ribbon.png": ribbon,
}

UNUSUAL: dict[str, Maker] = {
    "sixteen_bit.png": sixteen_bit_png,
    "sixteen_bit_color.png": sixteen_bit_color_png,
    "transparent_palette.png": transparent_palette_png,
    "turned.png": turned_png,
    "polyglot.png": polyglot_png,
    "cmyk.jpg": cmyk_jpeg,
    "gray.jpg": gray_jpeg,
    "turned.jpg": turned_jpeg,
    "transparent.webp": transparent_webp,
    "plain.bmp": bmp,
    "bmp_named.png": bmp,
    "twelve_in_sixteen.tif": twelve_in_sixteen_tiff,
    "packed_twelve_bit.tif": packed_twelve_bit_tiff,
    "color_sixteen_bit.tif": color_sixteen_bit_tiff,
    "float.tif": float_tiff,
    "multi_page.tif": multi_page_tiff,
    "many_pages.tif": many_page_tiff,
    "endless.tif": endless_tiff,
    "turned.tif": turned_tiff,
    "jpeg_in.tif": jpeg_in_tiff,
}


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _save_frames(path: Path, kind: str) -> None:
    first = Image.fromarray(part())
    later = [ImageOps.invert(first), ImageOps.mirror(first)]
    first.save(path, kind, save_all=True, append_images=later, duration=100)


def _write_zip(file: io.IOBase) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("part.txt", "no picture")
