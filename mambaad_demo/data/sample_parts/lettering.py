"""Printed and embossed words in the pose of a part."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mambaad_demo.data.sample_parts.fields import Field, Frame, sampled

_TALL = 96


@lru_cache(maxsize=64)
def _stencil(text: str) -> Field:
    """Coverage 0–1 of the words on a small picture, 96 px to the line."""
    font = ImageFont.load_default(_TALL * 0.8)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 24, int(bottom - top) + 24))
    ImageDraw.Draw(image).text((12 - left, 12 - top), text, fill=255, font=font)
    stencil = np.asarray(image, np.float32) / 255.0
    stencil.flags.writeable = False
    return stencil


def lettering(part: Frame, text: str, *, x: float, y: float, size: float, turn: float = 0.0) -> Field:
    """Coverage 0–1 of words centered on (x, y), capitals about `size` high, turned by `turn` radians."""
    stencil = _stencil(text)
    rows, columns = stencil.shape
    scale = size / (_TALL * 0.6)
    window = part.window([(x, y)], 0.5 * scale * float(np.hypot(rows, columns)))
    local = part.cut(window).posed(angle=turn, dx=x, dy=y, scale=scale)
    row, column = local.y + np.float32(rows / 2), local.x + np.float32(columns / 2)
    near = (row > 0) & (row < rows - 1) & (column > 0) & (column < columns - 1)
    coverage = np.zeros((part.side, part.side), np.float32)
    inside = coverage[window]
    inside[near] = sampled(stencil, row[near], column[near])
    return coverage
