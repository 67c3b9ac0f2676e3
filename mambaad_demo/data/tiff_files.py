"""The first page of a TIFF file to samples, of any bit depth.

A TIFF is a web of pointers, and readers follow vendor tags of many kinds. So the first page's directory is
rewritten with baseline tags only before a library sees it: no other page is ever visited, and no tag may
claim more values than an image needs.
"""

import io
import math
import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile
from PIL.TiffImagePlugin import TiffImageFile

from mambaad_demo.data.decoded import Budget, Decoded
from mambaad_demo.data.raster_files import decode_pillow_image
from mambaad_demo.errors import UnreadableImageError

_BASELINE_TAGS = {
    256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284,    # size, bits, compression, kind, strips
    280, 281, 338, 339, 340, 341,                             # range and format of samples, extra samples
    292, 293, 317, 320, 332, 347, 529, 530, 531, 532,         # fax, predictor, palette, inks, JPEG, YCbCr
    322, 323, 324, 325,                                       # tiles
}  # fmt: skip
_ORIENTATION = 274
_MIN_SAMPLE_IS_WHITE, _MIN_SAMPLE_IS_BLACK, _RGB = 0, 1, 2
_MAX_SAMPLE_VALUE, _SMAX_SAMPLE_VALUE = 281, 341
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_LZW = 5
_PLAIN_COMPRESSIONS = {1, _LZW, 8, 32773, 32946}
"""None, LZW, Deflate, PackBits, old Deflate: those whose output tifffile bounds by the declared size."""

_MAX_TAGS = 4096
_MAX_VALUES = 1_000_000
_MAX_SEGMENTS = 200_000
"""40 megapixels in the smallest legal tiles, 16 × 16, and some room."""


def decode_tiff(data: bytes, budget: Budget) -> Decoded:
    """Decode the first page of a TIFF file: (H, W[, C]) in the dtype of the file.

    Raises:
        ImageTooLargeError: the header declares more than the budget; nothing has been decoded.
        UnreadableImageError: a damaged file, or a TIFF variant that is not read.
    """
    first = _first_page(data)
    notes = ("first of several TIFF pages; the others are not read",) if first.more_pages else ()
    with tifffile.TiffFile(io.BytesIO(first.file)) as tiff:
        page = tiff.pages.first
        _check_header(page, budget, file_size=len(data))
        if page.photometric in {0, 1, 2} and page.compression in _PLAIN_COMPRESSIONS:
            return _decode_plain(page, first, notes=notes)
        bits = np.max(page.bitspersample)
    if bits > 8:  # Pillow would cut the samples to 8 bits
        raise UnreadableImageError(
            f"This kind of TIFF is not read (compression {int(page.compression)}, photometric "
            f"{int(page.photometric)}, {bits} bits). Save it as gray or RGB, uncompressed or with LZW."
        )
    with TiffImageFile(io.BytesIO(first.file)) as image:  # palettes, CMYK, JPEG, fax: libtiff through Pillow
        budget.check(image.width, image.height)
        decoded = decode_pillow_image(image)
    return Decoded(
        samples=decoded.samples,
        white=decoded.white,
        orientation=first.orientation,
        notes=notes + decoded.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstPage:
    """A TIFF file reduced to its first page."""

    file: bytes
    orientation: int
    more_pages: bool


def _first_page(data: bytes) -> _FirstPage:
    """Append a directory with the first page's baseline tags and point the header at it.

    Offsets in the tags stay valid, because everything before the new directory keeps its place.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack(order + "H", data[2:4])[0] == 43
    word, count_format, entry_format, at = ("Q", "Q", "HHQ8s", 8) if big else ("I", "H", "HHI4s", 4)
    start = struct.unpack_from(order + word, data, at)[0]
    count = struct.unpack_from(order + count_format, data, start)[0]
    if not 0 < count <= _MAX_TAGS:
        raise UnreadableImageError(
            f"The TIFF file is damaged: its first page has {count} tags. Save it again."
        )
    entries: dict[int, bytes] = {}
    orientation = 1
    position = start + struct.calcsize(order + count_format)
    for _ in range(count):
        tag, _kind, values, value = struct.unpack_from(order + entry_format, data, position)
        end = position + struct.calcsize(order + entry_format)
        if tag == _ORIENTATION:
            orientation = struct.unpack(order + "H", value[:2])[0]
        if tag in _BASELINE_TAGS:
            if values > _MAX_VALUES:
                raise UnreadableImageError(f"TIFF tag {tag} claims {values} values. Save the picture again.")
            entries.setdefault(tag, data[position:end])
        position = end
    more_pages = struct.unpack_from(order + word, data, position)[0] != 0
    padding = b"\0" * (len(data) % 2)
    file = b"".join(
        [
            data[:at],
            struct.pack(order + word, len(data) + len(padding)),
            memoryview(data)[at + struct.calcsize(order + word) :],
            padding,
            struct.pack(order + count_format, len(entries)),
            *(entries[tag] for tag in sorted(entries)),
            struct.pack(order + word, 0),
        ]
    )
    valid = orientation if 1 <= orientation <= 8 else 1
    return _FirstPage(file=file, orientation=valid, more_pages=more_pages)


def _check_header(page: tifffile.TiffPage, budget: Budget, *, file_size: int) -> None:
    """Hold the declared sizes against the budget and the file."""
    itemsize = page.dtype.itemsize if page.dtype is not None else 1
    samples = page.samplesperpixel * itemsize
    pixels = page.imagewidth * page.imagelength
    tiles = 0  # pixels in all of them together: they may reach far beyond the picture
    if page.is_tiled:
        columns, rows = (
            math.ceil(page.imagewidth / page.tilewidth),
            math.ceil(page.imagelength / page.tilelength),
        )
        tiles = columns * page.tilewidth * rows * page.tilelength
    budget.check(page.imagewidth, page.imagelength, decoded_bytes=max(pixels, tiles) * samples)
    if len(page.dataoffsets) > _MAX_SEGMENTS:
        raise UnreadableImageError(
            f"The TIFF file is cut into {len(page.dataoffsets)} strips or tiles, more than {_MAX_SEGMENTS}. "
            "Save it again with larger ones."
        )
    ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False)]
    complete = len(ends) >= math.prod(page.chunked)
    if not complete or max(ends) > file_size or 0 in page.databytecounts:
        raise UnreadableImageError(
            "The TIFF file is cut short: parts of the picture are missing. Copy it again."
        )


def _decode_plain(page: tifffile.TiffPage, first: _FirstPage, *, notes: tuple[str, ...]) -> Decoded:
    """Gray or RGB samples by tifffile, with the sample range that the file declares; LZW by libtiff."""
    if page.dtype is None or page.dtype.kind not in "buif" or isinstance(page.bitspersample, tuple):
        raise UnreadableImageError(
            f"TIFF samples of {page.bitspersample} bits and sample format {page.sampleformat} are not read. "
            "Save the picture with 8 or 16 bits."
        )
    if page.compression == _LZW:  # tifffile's own decoder reads memory at random where a code is damaged
        samples = imagecodecs.tiff_decode(first.file).reshape(page.shape)
    else:
        samples = page.asarray(maxworkers=1)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    colors = 3 if page.photometric == _RGB else 1
    found = samples.shape[2] if samples.ndim == 3 else 1
    alpha = page.extrasamples[0] if page.extrasamples and found == colors + 1 else 0
    if found not in {colors, colors + 1}:
        raise UnreadableImageError(
            f"The TIFF picture has {found} channels; gray or RGB, with or without alpha, is read. Save it so."
        )
    if found > colors and alpha not in {_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA}:
        samples, notes = samples[..., :colors], (*notes, "an extra channel that is no alpha ignored")
    return Decoded(
        samples=samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples,
        white=_declared_white(page, samples),
        inverted=page.photometric == _MIN_SAMPLE_IS_WHITE,
        premultiplied=alpha == _ASSOCIATED_ALPHA,
        orientation=first.orientation,
        notes=notes,
    )


def _declared_white(page: tifffile.TiffPage, samples: np.ndarray) -> float | None:
    """The largest sample value by the file's own account; None where it does not say."""
    if samples.dtype.kind not in "bu":
        return None
    if page.bitspersample < 16:
        return float(2**page.bitspersample - 1)
    for tag in (_SMAX_SAMPLE_VALUE, _MAX_SAMPLE_VALUE):
        value = page.tags.valueof(tag)
        if value is not None and np.max(value) >= max(
            1, samples.max()
        ):  # a smaller one contradicts the samples
            return float(np.max(value))
    return None
