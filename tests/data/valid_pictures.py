"""A small, valid file of each kind and variant that is read, for fuzz tests to damage."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image, ImageCms

from tests.data.bad_files import part, png_bytes, png_chunk, png_rows, ramp

WIDTH, HEIGHT = 32, 24


def valid_pictures() -> dict[str, bytes]:
    """Files by name, each of 32 × 24 pixels."""
    color = part(WIDTH, HEIGHT)
    gray, deep = color[..., 0], ramp(16, WIDTH, HEIGHT)
    clear = np.dstack([color, 255 - gray])
    deep_color = np.stack([deep, deep[::-1], deep ^ 255], axis=-1)
    palette = Image.fromarray(color).quantize(16)
    bits = Image.fromarray(gray > 100)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a part"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = {
        "gray.png": png_bytes(WIDTH, HEIGHT, png_rows(gray)),
        "deep.png": png_bytes(WIDTH, HEIGHT, png_rows(deep), bits=16),
        "deep_color.png": png_bytes(WIDTH, HEIGHT, png_rows(deep_color), bits=16, color_type=2),
        "interlaced.png": _interlaced(gray),
        "text.png": png_bytes(
            WIDTH, HEIGHT, png_rows(color), color_type=2, before=png_chunk(b"tEXt", b"Title\0part")
        ),
        "profile.png": _saved(color, "PNG", icc_profile=profile, exif=exif),
        "clear.png": _saved(clear, "PNG"),
        "palette.png": _saved(palette, "PNG"),
        "bits.png": _saved(bits, "PNG"),
        "color.jpg": _saved(color, "JPEG", exif=exif, icc_profile=profile, comment=b"part"),
        "gray.jpg": _saved(gray, "JPEG"),
        "progressive.jpg": _saved(color, "JPEG", progressive=True, restart_marker_rows=1),
        "cmyk.jpg": _saved(Image.fromarray(color).convert("CMYK"), "JPEG"),
        "color.bmp": _saved(color, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "runs.bmp": _runs_bmp(gray),
        "lossy.webp": _saved(color, "WEBP", exif=exif, icc_profile=profile),
        "lossless.webp": _saved(clear, "WEBP", lossless=True),
        "cmyk.tif": _saved(Image.fromarray(color).convert("CMYK"), "TIFF"),
        "palette.tif": _saved(palette, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": _saved(color, "TIFF", compression="jpeg"),
        "fax.tif": _saved(bits, "TIFF", compression="group4"),
        "packbits.tif": _saved(gray, "TIFF", compression="packbits"),
        "zstd.tif": _saved(gray, "TIFF", compression="zstd"),
        "gray.tif": _tiff(gray, photometric="minisblack"),
        "deep.tif": _tiff(deep, photometric="minisblack", extratags=[(274, "H", 1, 6, True)]),
        "lzw_tiles.tif": _tiff(
            deep_color, photometric="rgb", compression="lzw", predictor=True, tile=(16, 16)
        ),
        "deflate.tif": _tiff(clear, photometric="rgb", compression="zlib", extrasamples=["unassalpha"]),
        "big.tif": _tiff(color, photometric="rgb", bigtiff=True, byteorder=">"),
        "float.tif": _tiff(gray / np.float32(255), photometric="minisblack", compression="zlib", predictor=3),
        "planar.tif": _tiff(color.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
    }
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in (gray, gray, gray):
            writer.write(page, photometric="minisblack", compression="packbits")
    return files | {"pages.tif": buffer.getvalue()}


def _saved(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    byteorder, is_big = options.pop("byteorder", "<"), options.pop("bigtiff", False)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=is_big) as writer:
        writer.write(samples, metadata=None, **options)
    return buffer.getvalue()


def _interlaced(gray: np.ndarray) -> bytes:
    """(H, W) uint8 as a PNG of seven passes, which Pillow cannot write."""
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = b"".join(
        png_rows(gray[row::row_step, column::column_step]) for column, row, column_step, row_step in passes
    )
    header = struct.pack(">IIBBBBB", gray.shape[1], gray.shape[0], 8, 0, 0, 0, 1)
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")


def _runs_bmp(gray: np.ndarray) -> bytes:
    """(H, W) uint8 as a run-length BMP with codes of every kind."""
    codes = b""
    for row in gray[:0:-1]:
        codes += bytes([len(row) - 4, row[0], 0, 4]) + row[-4:].tobytes() + b"\0\0"
    codes += bytes([0, 2, 3, 0, len(gray[0]) - 3, gray[0, 0], 0, 0, 0, 1])
    colors = b"".join(bytes([value, value, value, 0]) for value in range(256))
    start = 14 + 40 + len(colors)
    header = struct.pack("<2sIHHI", b"BM", start + len(codes), 0, 0, start)
    size = (gray.shape[1], gray.shape[0])
    info = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, 1, len(codes), 0, 0, 256, 0)
    return header + info + colors + codes
