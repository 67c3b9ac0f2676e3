"""Sample parts: the same arguments give the same photograph, and masks cover what changed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from mambaad_demo.data.sample_parts import CATEGORIES, DEFECTS, render_part, write_sample_parts
from mambaad_demo.data.sample_parts.camera import Camera, developed
from mambaad_demo.data.sample_parts.fields import Frame, noise
from mambaad_demo.data.sample_parts.shapes import box, disc, path
from train.make_sample_parts import app

EACH_DEFECT = [(category, defect) for category in CATEGORIES for defect in DEFECTS[category]]


def test_there_are_many_kinds_of_part_with_several_defects_each():
    assert len(CATEGORIES) >= 8
    assert set(DEFECTS) == set(CATEGORIES)
    assert min(len(defects) for defects in DEFECTS.values()) >= 3


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_good_part_is_a_color_picture_with_an_empty_mask(category):
    part = render_part(category, seed=1, side=128)
    assert part.image.shape == (128, 128, 3)
    assert part.image.dtype == np.uint8
    assert part.mask.shape == (128, 128)
    assert part.mask.dtype == np.bool_
    assert not part.mask.any()
    assert part.category == category
    assert part.defect is None
    assert 30 < part.image.mean() < 225


@pytest.mark.parametrize("category", CATEGORIES)
def test_another_seed_shows_another_part_of_the_same_product(category):
    one, other = (render_part(category, seed=seed, side=96).image.astype(float) for seed in (1, 2))
    assert np.abs(one - other).mean() > 1
    assert np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 30


@pytest.mark.parametrize("defect", [None, *DEFECTS["hex_nut"]])
def test_the_same_arguments_give_the_same_part(defect):
    one, again = (render_part("hex_nut", seed=7, defect=defect, side=96) for _ in range(2))
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.mask, again.mask)


@pytest.mark.parametrize(("category", "defect"), EACH_DEFECT)
def test_a_mask_covers_what_the_defect_changed_and_nothing_else(category, defect):
    good = render_part(category, seed=3, side=256)
    spoilt = render_part(category, seed=3, defect=defect, side=256)
    change = np.abs(spoilt.image.astype(float) - good.image).max(axis=2)
    apart = ~ndimage.binary_dilation(spoilt.mask, iterations=6)
    assert 0.001 <= spoilt.mask.mean() <= 0.15
    assert change[spoilt.mask].mean() > 15
    assert change[apart].mean() < 0.5
    assert np.quantile(change[apart], 0.999) <= 13


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_small_picture_shows_the_scene_of_the_large_one(category):
    large = render_part(category, seed=5, side=256).image
    small = render_part(category, seed=5, side=128).image.astype(float)
    shrunk = np.asarray(Image.fromarray(large).resize((128, 128), Image.Resampling.BOX), float)
    smooth = [ndimage.gaussian_filter(image, (2, 2, 0)) for image in (small, shrunk)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 6


def test_folders_are_laid_out_as_mvtec_ad_is(tmp_path: Path):
    write_sample_parts(
        tmp_path, train=2, test_good=1, test_defect=1, seed=0, categories=("tablet", "canvas"), side=64
    )
    for category in ("tablet", "canvas"):
        root = tmp_path / category
        assert sorted(file.name for file in (root / "train" / "good").iterdir()) == ["000.jpg", "001.jpg"]
        assert sorted(folder.name for folder in (root / "test").iterdir()) == sorted(
            ["good", *DEFECTS[category]]
        )
        for defect in DEFECTS[category]:
            with Image.open(root / "test" / defect / "000.jpg") as image:
                assert image.size == (64, 64)
                assert image.mode == "RGB"
            with Image.open(root / "ground_truth" / defect / "000_mask.png") as mask:
                assert mask.size == (64, 64)
                assert mask.mode == "1"
                assert np.asarray(mask).any()


def test_no_two_images_of_a_folder_show_the_same_part(tmp_path: Path):
    write_sample_parts(tmp_path, train=2, test_good=2, test_defect=0, seed=0, categories=("gasket",), side=64)
    images = {file.read_bytes() for file in tmp_path.rglob("*.jpg")}
    assert len(images) == 4


def test_another_seed_writes_other_parts(tmp_path: Path):
    for seed in (0, 1):
        write_sample_parts(
            tmp_path / str(seed),
            train=1,
            test_good=0,
            test_defect=0,
            seed=seed,
            categories=("gear",),
            side=64,
        )
    one, other = (tmp_path / str(seed) / "gear" / "train" / "good" / "000.jpg" for seed in (0, 1))
    assert one.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"category": "spoon", "seed": 0}, "Unknown category 'spoon'"),
        ({"category": "gear", "seed": 0, "defect": "misprint"}, "gear has no defect 'misprint'"),
        ({"category": "gear", "seed": 0, "side": 8}, "8 pixels is too small"),
    ],
)
def test_impossible_wishes_are_refused_with_the_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_part(**arguments)


def test_unknown_categories_and_negative_numbers_are_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match="spoon"):
        write_sample_parts(
            tmp_path, train=1, test_good=0, test_defect=0, seed=0, categories=("gear", "spoon"), side=64
        )
    with pytest.raises(ValueError, match="-1"):
        write_sample_parts(tmp_path, train=-1, test_good=0, test_defect=0, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_categories_it_is_asked_for(tmp_path: Path):
    numbers = ["--train", "1", "--test-good", "0", "--test-defect", "0", "--side", "64"]
    result = CliRunner().invoke(app, ["--out", str(tmp_path), *numbers, "--categories", "screw"])
    assert result.exit_code == 0, result.output
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.jpg")] == [
        "screw/train/good/000.jpg"
    ]


def test_the_command_names_the_categories_it_knows(tmp_path: Path):
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--categories", "spoon"])
    assert result.exit_code == 2
    assert "spoon" in result.output


def test_distances_are_negative_inside_a_shape_and_exact_outside():
    frame = Frame.of_side(64)
    middle = frame.cut((slice(31, 33), slice(31, 33)))
    assert np.all(disc(middle, 0.2) < 0)
    at = (slice(32, 33), slice(60, 61))
    x, y = float(frame.x[at][0, 0]), float(frame.y[at][0, 0])
    assert disc(frame, 0.2)[at] == pytest.approx(np.hypot(x, y) - 0.2, abs=1e-6)
    assert box(frame, 0.4, 0.4)[at] == pytest.approx(x - 0.2, abs=1e-6)


def test_a_path_is_measured_in_the_pose_of_its_part():
    part = Frame.of_side(128).posed(angle=0.6, dx=0.1, dy=-0.05, scale=1.2)
    distance = path(part, [(-0.1, 0.0), (0.2, 0.0)], reach=0.05)
    on_axis = (np.abs(part.y) < 0.004) & (part.x > -0.1) & (part.x < 0.2)
    assert on_axis.any()
    assert distance[on_axis].max() < 0.004
    assert distance.max() == pytest.approx(0.05, abs=1e-6)


def test_noise_has_unit_deviation_and_does_not_depend_on_the_size_of_the_picture():
    large, small = (noise(np.random.default_rng(4), side, 8, octaves=2) for side in (256, 64))
    shrunk = large.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    assert 0.7 < large.std() < 1.4
    assert np.abs(shrunk - small).mean() < 0.1


def test_the_tone_curve_keeps_order_and_stays_below_white():
    frame = Frame.of_side(32)
    camera = Camera(exposure=1.0, balance=(1.0, 1.0, 1.0), vignette=0.0, focus=0.0, noise=0.0)
    ramp = np.linspace(0, 3, 32, dtype=np.float32)
    shown = developed(np.broadcast_to(ramp[None, :, None], (32, 32, 3)).copy(), frame, camera)[0, :, 0]
    assert np.all(np.diff(shown) >= 0)
    assert shown[0] == 0
    assert shown[-1] <= 1
