"""The good photos of a fine-tuning: read, encoded, changed as their part allows, and divided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mambaad_demo.data.uploads import load_image
from mambaad_demo.hub.checkpoints import Checkpoint
from mambaad_demo.pipeline import augmentation
from mambaad_demo.pipeline.augmentation import Augmentation
from mambaad_demo.pipeline.encoded_images import EncodedImage, encode
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS_IN_BATCH

_HELD_OUT_SHARE = 0.25
_HELD_OUT_AT_LEAST, _HELD_OUT_AT_MOST = 3, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPhoto:
    """A good part, read and encoded."""

    name: str
    path: Path
    encoded: EncodedImage
    canvas: np.ndarray
    """(M, N, 3) uint8."""
    golden: np.ndarray
    """(S, S, 3) uint8: the middle tile, for the self-test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A photo that could not be read."""

    name: str
    reason: str


class PhotoReader:
    """Reads photos as a checkpoint looks at them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._detector = checkpoint.detector
        self._config = checkpoint.config

    def read(self, path: Path, name: str) -> GoodPhoto:
        """Read and encode a photo.

        Args:
            name: what people call it.

        Raises:
            InputError: it cannot be read, or is too large.
        """
        item = self._model_input(_pixels(path))
        tiles = item.tiles
        return GoodPhoto(
            name=name,
            path=path,
            encoded=next(encode(self._detector, [item])),
            canvas=(item.pixels * 255 + 0.5).astype(np.uint8),
            golden=(tiles[len(tiles) // 2] * 255 + 0.5).astype(np.uint8),
        )

    def variants(self, photo: GoodPhoto, changes: Sequence[Augmentation]) -> Iterator[EncodedImage]:
        """The photo changed in every way that its part allows, read anew."""
        changed = augmentation.variants(_pixels(photo.path), changes)
        yield from encode(self._detector, (self._model_input(pixels) for pixels in changed))

    def _model_input(self, pixels: np.ndarray) -> ModelInput:
        config = self._config
        return ModelInput.from_pixels(
            pixels, side=self._detector.side, resize=config.resize, tiles=config.tiles
        )


def divided(photos: Sequence[GoodPhoto], *, seed: int) -> tuple[list[GoodPhoto], list[GoodPhoto]]:
    """Photos to learn from and photos to hold out: a quarter, from 3 to 60, drawn by the seed."""
    share = round(_HELD_OUT_SHARE * len(photos))
    count = min(max(share, _HELD_OUT_AT_LEAST), _HELD_OUT_AT_MOST)
    order = np.random.default_rng(seed).permutation(len(photos))
    return [photos[index] for index in order[count:]], [photos[index] for index in order[:count]]


def _pixels(path: Path) -> np.ndarray:
    return load_image(path, max_megapixels=MAX_MEGAPIXELS_IN_BATCH).pixels
