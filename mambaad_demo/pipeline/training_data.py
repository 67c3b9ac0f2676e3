"""Good images of folders as training tensors, and the part of them held out for limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mambaad_demo.data.folders import Category, Sample
from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.pipeline.calibration import MIN_IMAGES
from mambaad_demo.pipeline.inference import ModelInput

_HELD_OUT_SHARE = 0.15
_HELD_OUT_AT_LEAST = 5
_HELD_OUT_AT_MOST = 60
_MOST_TENSORS = 6000  # whose features take some 2 GB of memory with the packaged encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The good training images of one category, divided once and for all by the seed."""

    category: str
    train: list[Sample]
    held_out: list[Sample]
    """Never trained on; the limits rest on them."""


def split_good(category: Category, *, seed: int) -> Split:
    """Hold out 15 % of the good training images, at least 5 and at most 60.

    Raises:
        TooFewImagesError: too few images to train on and to set limits from.
    """
    samples = category.train_good
    count = min(max(round(_HELD_OUT_SHARE * len(samples)), _HELD_OUT_AT_LEAST), _HELD_OUT_AT_MOST)
    if len(samples) < count + MIN_IMAGES:
        raise TooFewImagesError(
            f"Category {category.name!r} has {len(samples)} good training images; at least "
            f"{_HELD_OUT_AT_LEAST + MIN_IMAGES} are needed. Add more good photos."
        )
    order = np.random.default_rng(seed).permutation(len(samples))
    held_out = {int(index) for index in order[:count]}
    return Split(
        category=category.name,
        train=[sample for index, sample in enumerate(samples) if index not in held_out],
        held_out=[samples[index] for index in sorted(held_out)],
    )


def model_inputs(
    samples: Sequence[Sample], *, side: int, resize: Resize, tiles: int = 1
) -> Iterator[ModelInput]:
    """Read images one by one as the detector takes them."""
    for sample in samples:
        yield ModelInput.from_pixels(load_image(sample.path).pixels, side=side, resize=resize, tiles=tiles)


def training_tensors(
    splits: Sequence[Split], *, side: int, resize: Resize, tiles: int = 1, seed: int = 0
) -> Iterator[tuple[Tensor, int]]:
    """The training images as (3, S, S) float32 in [0, 1], each with the number of its category.

    In tile mode an image gives several; of many, those drawn by the seed, so that all fit into memory.
    """
    per_image = max(1, _MOST_TENSORS // max(1, sum(len(split.train) for split in splits)))
    rng = np.random.default_rng(seed)
    for number, split in enumerate(splits):
        for item in model_inputs(split.train, side=side, resize=resize, tiles=tiles):
            inputs = item.tiles
            for index in sorted(rng.permutation(len(inputs))[:per_image]):
                yield as_tensor(inputs[index]), number


def as_tensor(pixels: np.ndarray) -> Tensor:
    """A model input (S, S, 3) as (3, S, S) float32."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
