"""Photos that are less sharp, darker or brighter than the others of their set."""

from collections.abc import Sequence

import numpy as np
import pytest

from mambaad_demo.pipeline.good_set_outliers import badly_exposed, blurred, robust_z
from mambaad_demo.pipeline.good_set_photos import Photo
from mambaad_demo.pipeline.photo_quality import PhotoQuality


def photos(
    *,
    sharpness: Sequence[float] = (),
    brightness: Sequence[float] = (),
    black: Sequence[float] = (),
    white: Sequence[float] = (),
) -> list[Photo]:
    """As many photos as figures are given; called a, b, c."""
    count = max(map(len, (sharpness, brightness, black, white)))

    def figures(given: Sequence[float], usual: float) -> Sequence[float]:
        return given or [usual] * count

    rows = zip(
        figures(sharpness, 5), figures(brightness, 0.5), figures(black, 0), figures(white, 0), strict=True
    )
    return [
        Photo(
            name="abcdefghijklmnop"[i],
            width=10,
            height=10,
            quality=PhotoQuality(
                sharpness=sharp, brightness=level, black=dark, white=bright, is_gray=True, is_blank=False
            ),
            sha256=str(i),
            hash_bits=np.zeros(4, bool),
        )
        for i, (sharp, level, dark, bright) in enumerate(rows)
    ]


def test_the_deviation_counts_in_medians():
    # median 3, absolute deviations 2 1 0 1 97, their median 1
    z = robust_z(np.array([1.0, 2, 3, 4, 100]), least_spread=0.1)

    assert z == pytest.approx(np.array([-2, -1, 0, 1, 97]) / 1.4826)


def test_equal_photos_have_no_outliers():
    same = photos(sharpness=[5.0] * 9)

    assert blurred(same) == badly_exposed(same) == []


def test_the_least_sharp_photo_comes_first():
    found = blurred(photos(sharpness=[5, 5.5, 4.5, 1, 5, 6, 0.5, 5.2, 4.9]))

    assert [name for name, _, _ in found] == ["g", "d"]
    assert found[0].value == pytest.approx(0.1)
    assert found[0].words == "10 % of the usual sharpness"


@pytest.mark.parametrize(
    "sharpness",
    [
        [5, 5, 5, 5, 5, 5, 3],  # far by the spread of the set, but hardly to be seen
        [1, 2, 4, 8, 16, 32, 64],  # all differ
        [5, 5, 5, 5, 5, 5, 500],  # sharper
        [5, 5, 5, 0.1],  # too few to say which is usual
        [0, 0, 0, 0, 0, 0],  # plain surfaces
    ],
    ids=["slight", "varied", "sharper", "few", "plain"],
)
def test_a_set_without_a_clearly_blurred_photo_has_none(sharpness):
    assert blurred(photos(sharpness=sharpness)) == []


def test_a_dark_photo_is_as_sharp_as_a_bright_one():
    dark = photos(sharpness=[5, 5, 5, 5, 5, 5, 0.45], brightness=[0.5] * 6 + [0.15])

    assert blurred(dark) == []


def test_dark_and_bright_photos_are_told_apart():
    found = badly_exposed(photos(brightness=[0.5, 0.52, 0.48, 0.51, 0.15, 0.49, 0.8, 0.5]))

    assert [(name, words.split(":")[0]) for name, _, words in found] == [("e", "darker"), ("g", "brighter")]
    assert found[0].value == 0.15
    assert "0.15, usually 0.50" in found[0].words


@pytest.mark.parametrize(
    "brightness",
    [
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.58],  # far by the spread of the set, but hardly to be seen
        [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1],
    ],
    ids=["slight", "varied", "black", "white"],
)
def test_a_set_without_a_clearly_different_exposure_has_none(brightness):
    assert badly_exposed(photos(brightness=brightness)) == []


def test_clipped_parts_are_named_where_they_are_unusual():
    found = badly_exposed(photos(white=[0, 0, 0, 0.3, 0, 0.1, 0], black=[0, 0.2, 0, 0, 0, 0, 0]))

    assert [(name, words) for name, _, words in found] == [
        ("b", "20 % of it is plain black"),
        ("d", "30 % of it is plain white"),
        ("f", "10 % of it is plain white"),
    ]


def test_a_white_background_is_no_overexposure():
    assert badly_exposed(photos(white=[0.4, 0.41, 0.39, 0.4, 0.6, 0.4])) == []


def test_a_photo_is_named_once_whatever_is_wrong_with_it():
    found = badly_exposed(photos(brightness=[0.5] * 6 + [0.95], white=[0.0] * 6 + [0.9]))

    assert [name for name, _, _ in found] == ["g"]
