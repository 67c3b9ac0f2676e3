"""Which photos a fine-tuning learns from and which it holds out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mambaad_demo.hub.checkpoints import load_folder, save_checkpoint
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig
from mambaad_demo.hub.self_test import pattern_images
from mambaad_demo.models.detector import build_detector
from mambaad_demo.pipeline.finetune_photos import GoodPhoto, PhotoReader, divided
from tests.conftest import TINY

PARTS = 16
DOUBLES = range(6)


def part(seed: int) -> Image.Image:
    """A plate with marks of its own, 96 × 96."""
    marks = np.random.default_rng(seed).normal(128, 30, (12, 12))
    return Image.fromarray(np.kron(marks, np.ones((8, 8))).clip(0, 255).astype(np.uint8)).convert("RGB")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GoodPhoto]:
    """Sixteen parts, and once more six of them a little brighter, named `3` and `3 again`."""
    folder = tmp_path_factory.mktemp("photos")
    torch.manual_seed(0)
    calibration = CalibrationFile(embedding_scale=(), categories={})
    config = CheckpointConfig(name="tiny", detector={})
    save_checkpoint(folder / "tiny", build_detector(TINY), config, calibration, pattern_images(64))
    reader = PhotoReader(load_folder(folder / "tiny", device="cpu"))
    pictures = {str(seed): part(seed) for seed in range(PARTS)}
    pictures |= {f"{seed} again": part(seed).point(lambda value: min(255, value + 4)) for seed in DOUBLES}
    read = {}
    for name, picture in pictures.items():
        picture.save(path := Path(folder / f"{name}.png"))
        read[name] = reader.read(path, name)
    return read


def names(photos: list[GoodPhoto]) -> set[str]:
    return {photo.name.removesuffix(" again") for photo in photos}


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_is_not_held_out_while_its_double_is_learned(photos, seed):
    learned, held_out = divided(list(photos.values()), seed=seed)

    assert names(learned).isdisjoint(names(held_out))
    assert len(learned) + len(held_out) == PARTS + len(DOUBLES)
    assert len(held_out) == 6
    assert len(names(held_out)) == 6, "photos without a double are held out first"


def test_doubles_are_held_out_together_where_nothing_else_is_left(photos):
    pairs = [photo for name, photo in photos.items() if name.removesuffix(" again") in map(str, DOUBLES)]
    learned, held_out = divided([*pairs, photos["9"], photos["10"]], seed=0)

    assert names(learned).isdisjoint(names(held_out))
    assert len(held_out) == 4
    assert {"9", "10"} < names(held_out)


def test_photos_of_one_part_alone_are_divided_all_the_same(photos):
    learned, held_out = divided([photos["3"]] * 8, seed=0)

    assert (len(learned), len(held_out)) == (5, 3)


def test_the_seed_draws_the_division(photos):
    distinct = [photos[str(seed)] for seed in range(PARTS)]
    drawn = [[photo.name for photo in divided(distinct, seed=seed)[1]] for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]
