"""Pictures as other tools read them: turned ones are turned for good, without losses."""

import io

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import UnreadableImageError
from mambaad_demo.workflow.exchange.upright import upright
from tests.conftest import textured
from tests.data.bad_files import turned_jpeg, turned_png, turned_tiff
from tests.workflow.exchange.stores import lying_jpeg, lying_tiff


def saved(kind, orientation=None):
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(textured(60, 44)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("make", [turned_jpeg, turned_png, turned_tiff])
def test_turned_pictures_become_png_with_the_same_pixels(tmp_path, make):
    make(tmp_path / "turned")
    content = (tmp_path / "turned").read_bytes()

    turned, suffix = upright(content)

    with Image.open(io.BytesIO(turned)) as image:
        pixels = np.asarray(image)
    assert suffix == ".png"
    assert np.array_equal(pixels / np.float32(255), load_image(content).pixels)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_every_way_of_lying_is_stood_up(orientation):
    content = saved("WEBP", orientation)
    turned, suffix = upright(content)
    assert suffix == ".png"
    assert np.array_equal(load_image(turned).pixels, load_image(content).pixels)


def test_sixteen_bits_keep_all_their_levels():
    content = lying_tiff()
    turned, _ = upright(content)
    assert np.array_equal(load_image(turned).pixels, load_image(content).pixels)
    assert len(np.unique(load_image(turned).pixels)) > 256


def test_the_written_file_is_upright_for_those_who_ignore_exif():
    turned, _ = upright(lying_jpeg(60, 44))
    with Image.open(io.BytesIO(turned)) as image:
        assert image.size == (60, 44)
        assert not image.getexif()


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("PNG", ".png"), ("JPEG", ".jpg"), ("BMP", ".bmp"), ("TIFF", ".tif"), ("WEBP", ".webp")],
)
def test_upright_pictures_stay_as_they_came_and_are_named_by_what_they_are(kind, suffix):
    assert upright(saved(kind)) == (saved(kind), suffix)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_that_say_they_are_upright_stay_as_they_came(kind):
    assert upright(saved(kind, 1))[0] == saved(kind, 1)


def test_what_is_no_picture_is_refused():
    with pytest.raises(UnreadableImageError):
        upright(b"%PDF-1.7")
