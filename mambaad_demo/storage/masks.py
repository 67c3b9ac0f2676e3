"""Masks as files: one-bit PNG at the size of the upright picture, kept to the bit."""

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mambaad_demo.data.uploads import DECODER_ERRORS
from mambaad_demo.errors import InputError, StorageError


def mask_png(mask: np.ndarray) -> bytes:
    """(H, W) bool as a one-bit PNG, white where the defect is; equal masks give equal bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mask, dtype=bool)).save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def mask_of(content: bytes) -> np.ndarray:
    """The mask, (H, W) bool, exactly as `mask_png` took it.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        with PngImageFile(io.BytesIO(content)) as image:
            return np.asarray(image.convert("L")) > 0
    except DECODER_ERRORS as error:
        raise StorageError("A mask of the store is damaged. Draw it again.") from error


def checked_mask(content: bytes, width: int, height: int) -> bytes:
    """The same bytes, if they are a one-bit PNG of this size.

    Raises:
        InputError: they are not.
    """
    try:
        with PngImageFile(io.BytesIO(content)) as image:  # reads the header alone
            size, mode = image.size, image.mode
            if size == (width, height) and mode == "1":
                image.load()
                return content
    except DECODER_ERRORS as error:
        raise InputError("The mask is no PNG file, or a damaged one. Draw it again.") from error
    raise InputError(
        f"The mask is {size[0]} × {size[1]} pixels of kind {mode}; {width} × {height} of kind 1 are needed."
    )
