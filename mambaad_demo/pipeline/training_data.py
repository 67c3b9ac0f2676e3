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


def model_inputs(samples: Sequence[Sample], *, side: int, resize: Resize) -> Iterator[ModelInput]:
    """Read images one by one as the detector takes them."""
    for sample in samples:
        yield ModelInput.from_pixels(load_image(sample.path).pixels, side=side, resize=resize)


def as_tensor(item: ModelInput) -> Tensor:
    """(3, S, S) float32 in [0, 1]."""
    return torch.from_numpy(item.pixels).permute(2, 0, 1).contiguous()
