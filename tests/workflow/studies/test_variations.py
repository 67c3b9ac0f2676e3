"""Mild changes of a picture."""

import numpy as np
import pytest

from mambaad_demo.workflow.studies.variations import BOUNDS, MOST_SHIFT, Variation, vary


@pytest.fixture(scope="module")
def picture():
    """(200, 400, 3) of soft blobs that leave room at both ends of the scale."""
    y, x = np.mgrid[:200, :400]
    gray = 128 + 50 * np.sin(x / 17) * np.cos(y / 23)
    return np.repeat(gray[..., None], 3, axis=2).astype(np.uint8)


def varied(picture, *variations, seed=0):
    return vary(picture, variations, np.random.default_rng(seed))


@pytest.mark.parametrize("variation", Variation)
def test_each_changes_the_picture_a_little_and_keeps_its_shape(picture, variation):
    results = [varied(picture, variation, seed=seed) for seed in range(5)]
    assert {(result.shape, result.dtype) for result in results} == {(picture.shape, np.dtype(np.uint8))}
    differences = [np.abs(result.astype(float) - picture).mean() for result in results]
    assert 0 < max(differences) < 12


@pytest.mark.parametrize("variations", [(variation,) for variation in Variation] + [tuple(Variation)])
def test_the_same_seed_gives_the_same_shot_and_another_seed_another(picture, variations):
    assert np.array_equal(varied(picture, *variations, seed=5), varied(picture, *variations, seed=5))
    assert not np.array_equal(varied(picture, *variations, seed=5), varied(picture, *variations, seed=6))


def test_without_variations_nothing_changes(picture):
    assert np.array_equal(varied(picture), picture)


def test_brightness_stays_within_three_percent_on_both_sides(picture):
    gains = [varied(picture, Variation.BRIGHTNESS, seed=seed).mean() / picture.mean() for seed in range(40)]
    assert 0.969 < min(gains) < 0.985  # rounding to whole levels moves the mean by less than 0.001
    assert 1.015 < max(gains) < 1.031


def test_contrast_changes_the_spread_and_leaves_the_mean(picture):
    for seed in range(20):
        result = varied(picture, Variation.CONTRAST, seed=seed)
        assert abs(result.mean() - picture.mean()) < 0.1
        assert 0.96 < result.std() / picture.std() < 1.04


def test_noise_has_the_stated_standard_deviation(picture):
    for seed in range(20):
        spread = (varied(picture, Variation.NOISE, seed=seed).astype(float) - picture).std()
        assert 0.5 < spread < 2.1  # rounding adds 1/12 to the variance


def test_a_shift_moves_a_point_by_at_most_its_bound():
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[95:105, 195:205] = 255
    y, x = np.mgrid[:200, :400]
    moved = []
    for seed in range(40):
        gray = varied(picture, Variation.SHIFT, seed=seed)[..., 0].astype(float)
        moved.append([(gray * x).sum() / gray.sum() - 199.5, (gray * y).sum() / gray.sum() - 99.5])
    most = MOST_SHIFT * 400
    assert most * 0.8 < np.abs(moved).max() < most + 0.1
    assert np.min(moved) < 0 < np.max(moved)


def test_a_rotation_turns_about_the_middle_by_at_most_one_degree():
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[98:102, 196:204] = picture[98:102, 376:384] = 255
    y, x = np.mgrid[:200, :400]
    angles = []
    for seed in range(40):
        gray = varied(picture, Variation.ROTATION, seed=seed)[..., 0].astype(float)
        middle, end = gray * (np.abs(x - 199.5) < 30), gray * (x > 350)
        assert (middle * x).sum() / middle.sum() == pytest.approx(199.5, abs=0.1)
        rise = (end * y).sum() / end.sum() - 99.5
        angles.append(np.degrees(np.arctan2(rise, 180)))
    assert 0.8 < np.abs(angles).max() < 1.05
    assert min(angles) < 0 < max(angles)


def test_edges_are_filled_by_reflection_not_with_black():
    picture = np.full((64, 96, 3), 200, np.uint8)
    for seed in range(10):
        assert varied(picture, Variation.SHIFT, Variation.ROTATION, seed=seed).min() == 200


def test_the_smallest_picture_that_is_read_can_be_varied():
    picture = np.random.default_rng(0).integers(0, 256, (16, 320, 3), np.uint8)
    assert varied(picture, *Variation).shape == (16, 320, 3)


def test_each_variation_says_how_far_it_goes():
    assert BOUNDS.keys() == set(Variation)
