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
from mambaad_demo.pipeline.finetune_photos import Division, GoodPhoto, PhotoReader, divided, notices
from mambaad_demo.pipeline.learned import with_learned
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


def parts_of(division: Division) -> tuple[list[GoodPhoto], list[GoodPhoto]]:
    return division.train, division.held_out


def hashes(photos: dict[str, GoodPhoto], *names: str) -> list[np.ndarray]:
    return [photos[name].hash_bits for name in names]


@pytest.mark.parametrize("seed", range(5))
def test_a_photo_is_not_held_out_while_its_double_is_learned(photos, seed):
    learned, held_out = parts_of(divided(list(photos.values()), seed=seed))

    assert names(learned).isdisjoint(names(held_out))
    assert len(learned) + len(held_out) == PARTS + len(DOUBLES)
    assert len(held_out) == 6
    assert len(names(held_out)) == 6, "photos without a double are held out first"


def test_doubles_are_held_out_together_where_nothing_else_is_left(photos):
    pairs = [photo for name, photo in photos.items() if name.removesuffix(" again") in map(str, DOUBLES)]
    learned, held_out = parts_of(divided([*pairs, photos["9"], photos["10"]], seed=0))

    assert names(learned).isdisjoint(names(held_out))
    assert len(held_out) == 4
    assert {"9", "10"} < names(held_out)


def test_photos_of_one_part_alone_are_divided_all_the_same(photos):
    learned, held_out = parts_of(divided([photos["3"]] * 8, seed=0))

    assert (len(learned), len(held_out)) == (5, 3)


def test_the_seed_draws_the_division(photos):
    distinct = [photos[str(seed)] for seed in range(PARTS)]
    drawn = [[photo.name for photo in divided(distinct, seed=seed).held_out] for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("seed", range(3))
def test_a_photo_that_the_base_learned_is_not_held_out_nor_is_a_double_of_it(photos, seed):
    known = hashes(photos, *(f"{name} again" for name in DOUBLES), "6", "7", "8", "9")
    division = divided(list(photos.values()), seed=seed, learned=known)

    assert names(division.held_out) == {"10", "11", "12", "13", "14", "15"}
    assert len(division.train) == 16
    assert division.learned_before == 0


def test_of_many_photos_that_are_new_to_the_base_a_quarter_of_all_is_drawn(photos):
    distinct = [photos[str(seed)] for seed in range(PARTS)]
    known = hashes(photos, "0", "1", "2", "3")
    drawn = [names(divided(distinct, seed=seed, learned=known).held_out) for seed in (1, 2)]

    assert [len(held_out) for held_out in drawn] == [4, 4]
    assert drawn[0] != drawn[1]
    assert (drawn[0] | drawn[1]).isdisjoint({"0", "1", "2", "3"})


@pytest.mark.parametrize("new", [0, 1, 2])
def test_where_fewer_than_three_are_new_to_the_base_learned_ones_are_held_out_and_counted(photos, new):
    distinct = [photos[str(seed)] for seed in range(PARTS)]
    known = hashes(photos, *map(str, range(new, PARTS)))
    division = divided(distinct, seed=0, learned=known)

    assert len(division.held_out) == 4
    assert names(division.held_out) > {str(seed) for seed in range(new)}
    assert division.learned_before == 4 - new


def test_where_only_one_part_is_new_to_the_base_its_doubles_are_torn_apart_first(photos):
    division = divided([photos["3"]] * 4 + [photos["4"]] * 4, seed=0, learned=hashes(photos, "4 again"))

    assert [photo.name for photo in division.held_out] == ["3", "3", "3"]
    assert division.learned_before == 0


def test_the_owner_is_told_where_limits_may_rest_on_learned_photos(photos):
    base = CheckpointConfig(name="washer-1", detector={}, categories=("washer",))
    packed = with_learned(base, [photo.hash_bits for photo in photos.values()])
    division = divided(list(photos.values()), seed=0, learned=hashes(photos, *photos))
    fresh = divided(list(photos.values()), seed=0)

    (told,) = notices(division, base.model_copy(update={"learned_photos": packed}), "washer")
    assert told.startswith("washer-1 learned 6 of the 6 held-out photos before")
    version = base.model_copy(update={"learned_photos": packed, "training": {"learned": ["washer"]}})
    assert notices(fresh, version, "washer") == notices(fresh, base, "cap") == []
    other = version.model_copy(update={"training": {"learned": ["cap"]}})
    older = base.model_copy(update={"training": {"category": "washer"}})
    for unsure in (base, other, older):
        (unknown,) = notices(fresh, unsure, "washer")
        assert unknown.startswith("washer-1 knows washer, but does not say which photos it learned.")
