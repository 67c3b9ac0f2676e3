"""Pictures as every tool reads them: the bytes as they came, unless EXIF says that they have to be turned.

Some tools turn such pictures and some do not, and a mask fits one way only.
"""

import io

import imagecodecs
import numpy as np
from PIL import Image

from mambaad_demo.data.file_kinds import ImageKind, image_kind
from mambaad_demo.data.uploads import TURNED_UPRIGHT, load_image

_SUFFIXES = {
    ImageKind.PNG: ".png",
    ImageKind.JPEG: ".jpg",
    ImageKind.BMP: ".bmp",
    ImageKind.TIFF: ".tif",
    ImageKind.WEBP: ".webp",
}
_MARKS = {
    ImageKind.PNG: (b"eXIf",),
    ImageKind.JPEG: (b"Exif", b":Orientation"),
    ImageKind.WEBP: (b"EXIF", b":Orientation"),
    ImageKind.TIFF: (b"",),
    ImageKind.BMP: (),
}
"""Without one of these somewhere in the file, nothing can say that the picture has to be turned."""


def upright(content: bytes) -> tuple[bytes, str]:
    """A picture file and the ending of its name.

    Turned pictures become PNG of 8 bits, or of 16 where 8 do not hold all gray levels.

    Raises:
        UnreadableImageError: no picture we read.
    """
    kind = image_kind(content)
    if any(mark in content for mark in _MARKS[kind]):
        loaded = load_image(content)
        if TURNED_UPRIGHT in loaded.notes:
            return _png(loaded.pixels), ".png"
    return content, _SUFFIXES[kind]


def _png(pixels: np.ndarray) -> bytes:
    """(H, W, 3) float32 in [0, 1] as a PNG."""
    eight = np.rint(pixels * 255).astype(np.uint8)
    if not np.array_equal(eight / np.float32(255), pixels):
        return bytes(imagecodecs.png_encode(np.rint(pixels * 65535).astype(np.uint16)))
    buffer = io.BytesIO()
    Image.fromarray(eight).save(buffer, "PNG")
    return buffer.getvalue()
