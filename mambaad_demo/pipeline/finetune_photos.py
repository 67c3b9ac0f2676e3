"""The good photos of a fine-tuning: read, encoded, changed as their part allows, and divided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mambaad_demo.data.uploads import load_image
from mambaad_demo.hub.checkpoints import Checkpoint
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.pipeline import augmentation
from mambaad_demo.pipeline.augmentation import Augmentation
from mambaad_demo.pipeline.encoded_images import EncodedImage, encode
from mambaad_demo.pipeline.good_set_duplicates import like_any, perceptual_hash, similar_photos
from mambaad_demo.pipeline.inference import ModelInput, content_of
from mambaad_demo.pipeline.learned import learned_categories
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Photos to learn from, and photos to hold out."""

    train: list[GoodPhoto]
    held_out: list[GoodPhoto]
    learned_before: int
    """Of those held out: how many the base learned, or a double of them."""


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


def divided(photos: Sequence[GoodPhoto], *, seed: int, learned: Sequence[np.ndarray] = ()) -> Division:
    """Photos to learn from and photos to hold out: a quarter, from 3 to 60, drawn by the seed.

    Held out are photos that the base never learned: others would score too low, since its weights know them.
    Photos that are nearly the same are not torn apart, and photos without a double are held out first: one
    whose double is learned scores as low as if it had been learned itself, and would make the good parts look
    more spread out than they are. Where that leaves fewer than 3 to hold out, photos that the base learned
    are held out too, and where that is not enough, doubles are torn apart.

    Args:
        learned: hashes of the photos that the base learned.
    """
    share = round(_HELD_OUT_SHARE * len(photos))
    count = min(max(share, _HELD_OUT_AT_LEAST), _HELD_OUT_AT_MOST)
    drawn = [photos[index] for index in np.random.default_rng(seed).permutation(len(photos))]
    hashes = [photo.hash_bits for photo in drawn]
    is_known = like_any(hashes, learned)
    groups = sorted(_doubles(hashes), key=len)
    known = [group for group in groups if any(is_known[place] for place in group)]
    unknown = [group for group in groups if group not in known]
    known_places = {place for group in known for place in group}
    held_out = _fitting(unknown, count)
    if len(held_out) < _HELD_OUT_AT_LEAST:
        held_out = _fitting([*unknown, *known], count)
    if len(held_out) < _HELD_OUT_AT_LEAST:
        held_out = sorted(range(len(drawn)), key=known_places.__contains__)[:count]
    return Division(
        train=[photo for place, photo in enumerate(drawn) if place not in held_out],
        held_out=[drawn[place] for place in held_out],
        learned_before=len(known_places.intersection(held_out)),
    )


def notices(division: Division, base: CheckpointConfig, category: str) -> list[str]:
    """What the owner of a new version should know of its limits: that they may rest on photos that the base
    learned."""
    if division.learned_before:
        return [
            f"{base.name} learned {division.learned_before} of the {len(division.held_out)} held-out photos "
            "before, or doubles of them, so the limits may be too tight: add new photos."
        ]
    is_recorded = category in learned_categories(base) and base.learned_photos
    if category in base.categories and not is_recorded:
        return [
            f"{base.name} knows {category}, but does not say which photos it learned. If these are among "
            "them, the limits may be too tight: add new photos."
        ]
    return []


def _fitting(groups: Sequence[Sequence[int]], count: int) -> list[int]:
    """The members of the first groups, at most so many; a group is taken whole or not at all."""
    taken: list[int] = []
    for group in groups:
        if len(taken) + len(group) <= count:
            taken += group
    return taken


def _doubles(hashes: Sequence[np.ndarray]) -> list[list[int]]:
    """All photos in groups of nearly the same, most of them alone, in order of the first of each."""
    groups = similar_photos([str(number) for number in range(len(hashes))], hashes)
    grouped = {number for group in groups for number in group}
    alone = [[number] for number in range(len(hashes)) if number not in grouped]
    return sorted([*groups, *alone])


def _pixels(path: Path) -> np.ndarray:
    return load_image(path, max_megapixels=MAX_MEGAPIXELS_IN_BATCH).pixels
