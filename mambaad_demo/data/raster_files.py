"""PNG, JPEG, BMP and WebP bytes, and Pillow images, to samples; TIFF stands in `tiff_files`.

Files go straight to Pillow's plugin of their format: no other decoder can be reached, and the size check is
ours instead of Pillow's process-wide one. Only 16-bit color PNG goes to torchvision: Pillow cuts it to 8 bit.
"""

import io
import math
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from torchvision.io import decode_png as decode_with_libpng  # type: ignore[import-untyped]

from mambaad_demo.data.decoded import Budget, Decoded
from mambaad_demo.data.file_kinds import ImageKind
from mambaad_demo.errors import UnreadableImageError

_MAX_PNG_CHUNKS = 200_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHECKSUM_BYTES = 4
_PNG_GRAY = 0
_PNG_CHANNELS = {_PNG_GRAY: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column, first row, column step and row step of the seven passes of an interlaced PNG."""

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""Of a segment or the end; what else follows 0xff is part of the pixels, or stands alone."""
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of headers that tell a size; the three are tables and reserved."""
_MAX_JPEG_SCANS = 100
"""Usual encoders write ten; libtiff draws the line here too."""

_MOST_SKIPPED_ROWS = 255
"""What one code of a run-length BMP can leave empty; Pillow allocates it before it looks at the height."""

_PLUGINS = {ImageKind.JPEG: JpegImageFile, ImageKind.BMP: BmpImageFile, ImageKind.WEBP: WebPImageFile}

_SAMPLES_AS_STORED = {"L", "LA", "RGB", "RGBA", "F", "I", "I;16", "I;16L", "I;16B", "I;16N"}
"""Pillow modes whose array needs no conversion."""


def decode_png(data: bytes, budget: Budget) -> Decoded:
    """Decode a PNG of any bit depth without loss: (H, W[, C]) uint8 or uint16."""
    header = _png_header(data)
    budget.check(header.width, header.height, decoded_bytes=header.width * header.height * header.bits // 2)
    orientation, notes, pixels, end = 1, [], [], len(_PNG_SIGNATURE)
    for chunk in _png_chunks(data):
        if chunk.name == b"acTL":
            _refuse_animation("PNG", frames=int.from_bytes(data[chunk.start : chunk.start + 4]))
        if chunk.name == b"eXIf":
            orientation = _exif_orientation(data[chunk.start : chunk.end])
        if chunk.name == b"IDAT":
            pixels.append(data[chunk.start : chunk.end])
        end = chunk.end + _PNG_CHECKSUM_BYTES
    if len(data) > end:
        notes.append(f"{len(data) - end} bytes after the end of the picture ignored")
    _check_png_is_whole(header, pixels)
    if header.bits == 16 and header.color_type != _PNG_GRAY:
        channels_first = decode_with_libpng(torch.frombuffer(bytearray(data), dtype=torch.uint8)).numpy()
        return Decoded(
            samples=np.moveaxis(channels_first, 0, -1), orientation=orientation, notes=tuple(notes)
        )
    with PngImageFile(io.BytesIO(data)) as image:
        if image.size != (header.width, header.height):
            raise UnreadableImageError("The PNG file has two headers that differ. Save it again.")
        decoded = decode_pillow_image(image)
    return replace(decoded, orientation=orientation, notes=(*notes, *decoded.notes))


def decode_with_pillow(data: bytes, kind: ImageKind, budget: Budget) -> Decoded:
    """Decode a JPEG, BMP or WebP file."""
    with _PLUGINS[kind](io.BytesIO(data)) as image:
        needed = image.width * image.height * 4
        if kind is ImageKind.BMP:
            needed = max(needed, image.width * (image.height + _MOST_SKIPPED_ROWS))
        budget.check(image.width, image.height, decoded_bytes=needed)
        if kind is ImageKind.WEBP:
            _refuse_animation("WebP", frames=getattr(image, "n_frames", 1))
        if kind is ImageKind.JPEG:
            _check_jpeg(data, image.size)
        if kind is ImageKind.JPEG and len(data) * 8 < image.width * image.height / 64:
            raise UnreadableImageError(  # libjpeg fills what is missing with gray and says nothing
                f"The JPEG file declares {image.width} × {image.height} pixels but holds only {len(data)} "
                "bytes: the size is wrong, or most of the picture is missing. Copy it again."
            )
        return decode_pillow_image(image)


def decode_pillow_image(image: Image.Image) -> Decoded:
    """Samples of an opened Pillow image, whose size has been checked."""
    image.load()
    notes: tuple[str, ...] = ()
    orientation = _orientation(image)
    keyed = image.mode in {"1", "L", "RGB"} and image.has_transparency_data  # one color means transparent
    if keyed or image.mode in {"P", "PA", "La", "RGBa"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _SAMPLES_AS_STORED:
        if image.mode != "RGBX":
            notes = (f"{image.mode} colors converted to RGB without a color profile",)
        image = image.convert("RGB")
    samples = np.asarray(image)
    return Decoded(
        samples=samples,
        white=255.0 if samples.dtype == np.uint8 else None,
        orientation=orientation,
        notes=notes,
    )


def _check_jpeg(data: bytes, size: tuple[int, int]) -> None:
    """Refuse a JPEG of endless scans, each a few bytes long and a pass over the whole picture, and one whose
    size libjpeg may read otherwise than Pillow, which then makes the buffer too small (GHSA-8g5g-8vmr-9782).
    """
    scans, frames, position = 0, [], 2
    while (marker := _JPEG_MARKER.search(data, position)) and marker[0] != b"\xff\xd9":
        length, _, height, width = struct.unpack(
            ">HBHH", data[marker.end() : marker.end() + 7].ljust(7, b"\0")
        )
        if marker[0][1] in _JPEG_FRAMES:
            frames.append((width, height))
        scans += marker[0] == b"\xff\xda"
        if scans > _MAX_JPEG_SCANS:
            raise UnreadableImageError(
                f"The JPEG file stores its picture in more than {_MAX_JPEG_SCANS} scans. Save it again."
            )
        position = marker.end() + length
    if frames != [size]:
        raise UnreadableImageError("The JPEG file has no header, or headers that differ. Save it again.")


class _PngHeader(NamedTuple):
    width: int
    height: int
    bits: int
    color_type: int
    interlaced: int


class _Chunk(NamedTuple):
    name: bytes
    start: int
    end: int


def _png_header(data: bytes) -> _PngHeader:
    if data[12:16] != b"IHDR" or len(data) < 29:
        raise UnreadableImageError("The PNG file is damaged: its header is missing. Copy or save it again.")
    width, height, bits, color_type, _compression, _filter, interlaced = struct.unpack(
        ">IIBBBBB", data[16:29]
    )
    return _PngHeader(width, height, bits, color_type, interlaced)


def _png_chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks of a PNG up to its end mark; the last one may be cut by the end of the file."""
    position = len(_PNG_SIGNATURE)
    for _ in range(_MAX_PNG_CHUNKS):
        start = position + 8
        if start > len(data):
            return
        length, name = struct.unpack(">I4s", data[position:start])
        yield _Chunk(name, start, min(start + length, len(data)))
        if name == b"IEND":
            return
        position = start + length + _PNG_CHECKSUM_BYTES
    raise UnreadableImageError(f"The PNG file has more than {_MAX_PNG_CHUNKS} pieces. Save it again.")


def _check_png_is_whole(header: _PngHeader, parts: Iterable[bytes]) -> None:
    """Unpack the pixels without keeping them: Pillow shows missing rows as black, and says nothing."""
    bits_per_pixel = header.bits * _PNG_CHANNELS[header.color_type]
    passes = _PNG_PASSES if header.interlaced else ((0, 0, 1, 1),)
    expected = 0
    for column, row, column_step, row_step in passes:
        columns = math.ceil((header.width - column) / column_step)
        rows = math.ceil((header.height - row) / row_step)
        expected += rows * (1 + math.ceil(columns * bits_per_pixel / 8))  # each row starts with its filter
    inflater = zlib.decompressobj()
    found = 0
    for part in parts:
        for start in range(0, len(part), 2**16):  # zlib copies what is left of a piece after every step
            packed = part[start : start + 2**16]
            while packed and found < expected:
                found += len(inflater.decompress(packed, 2**20))
                packed = inflater.unconsumed_tail
    if found < expected:
        raise UnreadableImageError(
            f"The PNG file is cut short, or its size is wrong: it declares {expected} bytes of pixels and "
            f"holds {found}. Copy or save it again."
        )


def _refuse_animation(kind: str, *, frames: int) -> None:
    if frames > 1:
        raise UnreadableImageError(
            f"The {kind} file is an animation of {frames} frames; still pictures are read here. "
            "Save the one frame to inspect as PNG."
        )


def _exif_orientation(payload: bytes) -> int:
    """Orientation in a raw EXIF block; 1 where there is none or the block is damaged."""
    exif = Image.Exif()
    try:
        exif.load(payload)
        return _valid(exif.get(ExifTags.Base.Orientation))
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return 1


def _orientation(image: Image.Image) -> int:
    """Orientation of a loaded Pillow image; damaged metadata is no reason to refuse a good picture."""
    try:
        return _valid(image.getexif().get(ExifTags.Base.Orientation))
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return 1


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
