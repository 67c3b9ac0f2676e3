"""What one photo is like by itself."""

import numpy as np
import pytest

from mambaad_demo.pipeline.photo_quality import photo_quality
from tests.conftest import textured


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_even_color_is_blank_and_has_nothing_sharp(level):
    quality = photo_quality(np.full((40, 60, 3), level, np.uint8))

    assert quality.is_blank
    assert quality.is_gray
    assert quality.sharpness == pytest.approx(0, abs=1e-6)
    assert quality.brightness == pytest.approx(level / 255, abs=1e-4)


def test_black_and_white_shares_count_pixels():
    picture = np.full((10, 10, 3), 100, np.uint8)
    picture[:2] = 1
    picture[2:5] = 254

    quality = photo_quality(picture)

    assert (quality.black, quality.white) == pytest.approx((0.2, 0.3))
    assert not quality.is_blank


def test_a_little_color_anywhere_is_color_and_the_rounding_of_a_jpeg_is_none():
    gray = textured()
    rounded = gray + np.array([0, 2, 1], np.uint8)
    colored = gray.copy()
    colored[3, 4] = (90, 100, 110)

    assert photo_quality(gray).is_gray
    assert photo_quality(rounded).is_gray
    assert not photo_quality(colored).is_gray
