"""The good photos of a fine-tuning: read, encoded, changed as their part allows, and divided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mambaad_demo.data.uploads import load_image
from mambaad_demo.hub.checkpoints import Checkpoint
from mambaad_demo.pipeline import augmentation
from mambaad_demo.pipeline.augmentation import Augmentation
from mambaad_demo.pipeline.encoded_images import EncodedImage, encode
from mambaad_demo.pipeline.good_set_duplicates import perceptual_hash, similar_photos
from mambaad_demo.pipeline.inference import ModelInput, content_of
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
    hash_bits: np.ndarray
    """(b,) bool; see `good_set_duplicates.perceptual_hash`."""


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
        canvas = (item.pixels * 255 + 0.5).astype(np.uint8)
        tiles = item.tiles
        return GoodPhoto(
            name=name,
            path=path,
            encoded=next(encode(self._detector, [item])),
            canvas=canvas,
            golden=(tiles[len(tiles) // 2] * 255 + 0.5).astype(np.uint8),
            hash_bits=perceptual_hash(Image.fromarray(content_of(canvas, item.geometry))),
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
    """Photos to learn from and photos to hold out: a quarter, from 3 to 60, drawn by the seed.

    Photos that are nearly the same are not torn apart, and photos without a double are held out first: one
    whose double is learned scores as low as if it had been learned itself, and would make the good parts look
    more spread out than they are. Where that leaves fewer than 3 to hold out, doubles are torn apart.
    """
    share = round(_HELD_OUT_SHARE * len(photos))
    count = min(max(share, _HELD_OUT_AT_LEAST), _HELD_OUT_AT_MOST)
    order = np.random.default_rng(seed).permutation(len(photos)).tolist()
    held_out: list[int] = []
    for group in sorted(_doubles([photos[index].hash_bits for index in order]), key=len):
        if len(held_out) + len(group) <= count:
            held_out += [order[place] for place in group]
    if len(held_out) < _HELD_OUT_AT_LEAST:
        held_out = order[:count]
    return [photos[i] for i in order if i not in held_out], [photos[i] for i in held_out]


def _doubles(hashes: Sequence[np.ndarray]) -> list[list[int]]:
    """All photos in groups of nearly the same, most of them alone, in order of the first of each."""
    groups = similar_photos([str(number) for number in range(len(hashes))], hashes)
    grouped = {number for group in groups for number in group}
    alone = [[number] for number in range(len(hashes)) if number not in grouped]
    return sorted([*groups, *alone])


def _pixels(path: Path) -> np.ndarray:
    return load_image(path, max_megapixels=MAX_MEGAPIXELS_IN_BATCH).pixels
