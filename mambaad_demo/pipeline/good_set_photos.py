"""One photo of a good set, read safely and reduced to the few figures by which photos are compared."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mambaad_demo.data.uploads import load_image, read_file
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.good_set_duplicates import perceptual_hash
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.photo_quality import PhotoQuality, photo_quality
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS_IN_BATCH, Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPicture:
    """A photo that a person holds for one of a good part."""

    name: str
    """As the person knows it; it may be hostile."""
    content: bytes | Path | Callable[[], bytes | Path]
    """A file, the bytes of it, or what gives either when the photo's turn comes.

    Raises:
        InputError: it cannot be had.
    """

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            InputError: it cannot be had.
        """
        content = self.content() if callable(self.content) else self.content
        return content if isinstance(content, bytes) else read_file(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """What is kept of a photo that can be read."""

    name: str
    width: int
    """Of the upright picture, in pixels, as `height`."""
    height: int
    quality: PhotoQuality
    """Of the picture as small as the model sees it: what is lost on the way there harms nobody."""
    sha256: str
    """Of the pixels that the model sees, so that the same photo in another kind of file is the same."""
    hash_bits: np.ndarray
    """(576,) bool, alike for photos that look alike."""


def read_photo(picture: GoodPicture, predictor: Predictor) -> tuple[Photo, ModelInput]:
    """Read a photo of at most 12.5 megapixels as this predictor looks at it.

    Raises:
        InputError: it is none that we read.
    """
    pixels = load_image(picture.read(), max_megapixels=MAX_MEGAPIXELS_IN_BATCH).pixels
    model_input = model_thread.run(
        ModelInput.from_pixels,
        pixels,
        side=predictor.runner.detector.side,
        resize=predictor.checkpoint.config.resize,
        tiles=predictor.tiles,
    )
    content = model_input.geometry.content
    seen = (model_input.pixels[content.rows, content.columns] * 255 + 0.5).astype(np.uint8)
    photo = Photo(
        name=picture.name,
        width=pixels.shape[1],
        height=pixels.shape[0],
        quality=photo_quality(seen),
        sha256=hashlib.sha256(repr(seen.shape).encode() + seen.tobytes()).hexdigest(),
        hash_bits=perceptual_hash(Image.fromarray(seen)),
    )
    return photo, model_input
