"""What the decoders agree on: the budget they check before decoding, and the samples they hand over.

Which file is read how stands in `raster_files` and `tiff_files`; the step to float is `uploads`.
"""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.errors import ImageTooLargeError, UnreadableImageError

READABLE_KINDS = "PNG, JPEG, BMP, TIFF and WebP"

_BYTES_PER_PIXEL = 16
"""Room for four float32 samples; what needs more than this times the pixel budget is not decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Sizes that may be decoded; every decoder asks with the header's numbers, before it decodes."""

    max_megapixels: float = 40.0
    min_side: int = 16
    """Shortest side, in pixels, that still shows a part."""
    max_aspect: float = 20.0
    """Longest side over shortest; beyond it too little is left of the short side in a square model input."""

    def check(self, width: int, height: int, *, decoded_bytes: int = 0) -> None:
        """Refuse a size that is over the budget or no picture of a part.

        Args:
            width, height: as declared by the header, in pixels.
            decoded_bytes: what the decoder would allocate, where that is not a few bytes per pixel.

        Raises:
            ImageTooLargeError: more pixels or bytes than the budget allows.
            UnreadableImageError: no pixels at all, too small, or too narrow a strip.
        """
        megapixels = width * height / 1e6
        if megapixels > self.max_megapixels:
            raise ImageTooLargeError(
                f"The picture declares {width} × {height} pixels, {megapixels:.4g} megapixels; at most "
                f"{self.max_megapixels:.4g} are read. Crop it or save it smaller."
            )
        if decoded_bytes > self.max_megapixels * 1e6 * _BYTES_PER_PIXEL:
            raise ImageTooLargeError(
                f"The picture of {width} × {height} pixels takes {decoded_bytes / 1e6:.0f} MB to decode. "
                "Save it with at most four channels and 32 bits each, in ordinary strips or tiles."
            )
        short, long = sorted((width, height))
        if short < self.min_side or long > self.max_aspect * short:
            raise UnreadableImageError(
                f"The picture is {width} × {height} pixels. Both sides must have at least {self.min_side} "
                f"pixels, and the long side at most {self.max_aspect:g} times as many as the short one. "
                "Choose a photo of the whole part."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Samples as the file stores them, and what is needed to understand them."""

    samples: np.ndarray
    """(H, W) or (H, W, C): gray, gray + alpha (C = 2), RGB or RGB + alpha; any real dtype."""
    white: float | None = None
    """The sample value that means white, where the file says it; None: to be found from the samples."""
    inverted: bool = False
    """True where 0 means white (TIFF "min is white")."""
    premultiplied: bool = False
    """True where the colors are already multiplied by alpha."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    notes: tuple[str, ...] = ()
