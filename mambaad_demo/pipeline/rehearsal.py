"""What a checkpoint was trained on, as stored encoder features: rehearsed while it learns a new part, so that
the old ones are not forgotten, and their limits set anew.

A version that was fine-tuned here has its features beside the others, under the hash of its weights. The
sample parts of the embedded checkpoints are drawn when they are first needed.
"""

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mambaad_demo.data.sample_parts import CATEGORIES
from mambaad_demo.data.sample_parts.rendering import render_part
from mambaad_demo.hub.checkpoints import Checkpoint
from mambaad_demo.pipeline.encoded_images import EncodedImage, encode, read_encoded, write_encoded
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.suggestion import CategoryIndex

TRAIN = 8
"""Good images of a category to rehearse with."""
HELD_OUT = 16
"""Good images of a category to set its limits anew with."""

_PARTS = ("train", "held_out")
_MOST_HELD_OUT = 60
_FIRST_SEED = 7_000_000  # of sample parts; training and tests began elsewhere
_LEAST_ALIKE = 0.8  # share of drawn parts that the checkpoint must recognise as the category


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Good images of one category."""

    train: list[EncodedImage]
    held_out: list[EncodedImage]
    """Never trained on, as far as there were such photos."""


class RehearsalStore:
    """Stored features in a folder; without a folder nothing is kept and only sample parts are rehearsed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def rehearsal(self, base: Checkpoint, category: str, *, own_only: bool = False) -> Rehearsal | None:
        """Images of a category the base knows; None where there are none.

        Args:
            base: whose category it is.
            category: its name.
            own_only: never sample parts, which a person's part may be called like.

        Raises:
            CheckpointCorruptError: a stored file is damaged.
        """
        found = self._read(self._of_version(base.sha256, category), base)
        if found is None and not own_only and category in CATEGORIES and base.config.tiles == 1:
            found = self._sample_parts(base, category)
        return found

    def keep(
        self, sha256: str, base: Checkpoint, category: str, rehearsal: Rehearsal, *, inherited: Sequence[str]
    ) -> None:
        """Store the images of a new version's category, and those it inherits from its base.

        Args:
            sha256: of the version's weights.
            base: what it was fine-tuned from.
            category: the new one.
            rehearsal: its images; more than are rehearsed are left out.
            inherited: categories of the base that are to be found under the version too.
        """
        if self._folder is None:
            return
        for name in inherited:
            old, new = self._of_version(base.sha256, name), self._of_version(sha256, name)
            if old is not None and new is not None and old != new and old.is_dir():
                shutil.copytree(old, new, dirs_exist_ok=True, copy_function=_linked)
        place = self._of_version(sha256, category)
        if place is not None:
            _write(place, rehearsal, base)

    def forget(self, sha256: str) -> None:
        """Delete what a version could rehearse; others hold their own."""
        if self._folder is not None:
            shutil.rmtree(self._folder / sha256, ignore_errors=True)

    def _of_version(self, sha256: str, category: str) -> Path | None:
        return None if self._folder is None else self._folder / sha256 / _file_name(category)

    def _read(self, place: Path | None, base: Checkpoint) -> Rehearsal | None:
        if place is None or not all((place / f"{name}.safetensors").is_file() for name in _PARTS):
            return None
        parts = [
            read_encoded(
                place / f"{name}.safetensors",
                side=base.detector.side,
                resize=base.config.resize,
                tiles=base.config.tiles,
            )
            for name in _PARTS
        ]
        return Rehearsal(train=parts[0], held_out=parts[1])

    def _sample_parts(self, base: Checkpoint, category: str) -> Rehearsal | None:
        """Sample parts, drawn once for each encoder; None where the checkpoint sees something else in
        them."""
        place = None if self._folder is None else self._folder / _encoder_key(base) / category
        found = self._read(place, base)
        if found is None:
            images = list(encode(base.detector, _drawn(base, category)))
            found = Rehearsal(train=images[:TRAIN], held_out=images[TRAIN:])
            if place is not None:
                _write(place, found, base)
        return found if _is_recognised(base, category, found) else None


def _linked(source: str, target: str) -> str:
    """A second name for a file, which is only ever replaced as a whole; a copy where the disk knows none."""
    Path(target).unlink(missing_ok=True)
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _spread(images: list[EncodedImage], count: int) -> list[EncodedImage]:
    """So many of the images, evenly from first to last."""
    if len(images) <= count:
        return images
    return [images[round(index)] for index in np.linspace(0, len(images) - 1, count)]


def _write(place: Path, rehearsal: Rehearsal, base: Checkpoint) -> None:
    held_out = _spread(rehearsal.held_out, _MOST_HELD_OUT)
    for name, images in (("held_out", held_out), ("train", _spread(rehearsal.train, 2 * TRAIN))):
        path = place / f"{name}.safetensors"
        write_encoded(path, images, resize=base.config.resize, tiles=base.config.tiles)


def _drawn(base: Checkpoint, category: str) -> Iterator[ModelInput]:
    for number in range(TRAIN + HELD_OUT):
        part = render_part(category, seed=_FIRST_SEED + number)
        pixels = part.image.astype(np.float32) / 255.0
        yield ModelInput.from_pixels(pixels, side=base.detector.side, resize=base.config.resize)


@torch.inference_mode()
def _is_recognised(base: Checkpoint, category: str, rehearsal: Rehearsal) -> bool:
    """Whether the checkpoint finds the images most like the category of that name."""
    index = CategoryIndex(base.calibration)
    device = next(iter(base.detector.state_dict().values())).device
    suggestions = [
        index.suggest(base.detector.embed(targets)[0].cpu().numpy())
        for image in rehearsal.held_out
        for targets in [base.detector.standardized([f.float().to(device) for f in image.features])]
    ]
    alike = [found is not None and found.category == category for found in suggestions]
    return float(np.mean(alike)) >= _LEAST_ALIKE


def _encoder_key(base: Checkpoint) -> str:
    """Names all that decides about bare features of sample parts."""
    record = base.config.encoder
    encoder = base.sha256 if record is None or record.sha256 is None else record.sha256
    return f"sample-parts-{encoder[:16]}-{base.detector.side}-{base.config.resize}"


def _file_name(category: str) -> str:
    """A category's name as a folder: readable, and never two alike."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", category)[:40]
    return f"{plain}-{hashlib.sha256(category.encode()).hexdigest()[:8]}"
