"""What strangers send us: read without losing a bit, or refused before it can hurt."""

import hashlib
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mambaad_demo.data.uploads import load_image, load_mask
from mambaad_demo.errors import ImageTooLargeError, InputError, UnreadableImageError
from tests.data import bad_files

EXACT = 1e-6
"""float32 rounding of a division."""


def written(tmp_path: Path, name: str) -> Path:
    return bad_files.write_files(tmp_path, {name: (bad_files.REFUSED | bad_files.UNUSUAL)[name]})[0]


@pytest.mark.parametrize("name", bad_files.REFUSED)
def test_bad_file_is_refused_with_its_name_and_without_its_folder(tmp_path, name):
    path = written(tmp_path, name)
    with pytest.raises(InputError) as refusal:
        load_image(path)
    message = str(refusal.value)
    assert message.startswith(f"{name}: ")
    assert message.count(". ") >= 1  # what happened, and what to do next
    assert str(tmp_path) not in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bomb.png", "12000 × 12000 pixels, 144 megapixels; at most 40"),
        ("twice_headed.png", "400 megapixels"),
        ("claimed_bomb.jpg", "65500 × 65500"),
        ("claimed_bomb.tif", "100000 × 100000"),
        ("tile_bomb.tif", "4295 MB to decode"),
        ("tag_bomb.tif", "TIFF tag 273 claims 4194304 values"),
        ("lying.png", "declares 62080 bytes of pixels and holds 6208"),
        ("lying.jpg", "6000 × 6000"),
        ("truncated.jpg", "cut short"),
        ("truncated.tif", "cut short"),
        ("animated.png", "animation of 3 frames"),
        ("animated.webp", "animation of 3 frames"),
        ("animated.gif", "GIF"),
        ("zero_bytes.png", "empty (0 bytes)"),
        ("zip.png", "zip archive"),
        ("drawing.svg", "SVG"),
        ("page.jpg", "HTML"),
        ("document.pdf", "PDF"),
        ("strip.png", "1 × 5000 pixels. Both sides must have at least 16"),
        ("ribbon.png", "at most 20 times"),
    ],
)
def test_refusal_says_what_the_file_is(tmp_path, name, words):
    with pytest.raises(InputError) as refusal:
        load_image(written(tmp_path, name))
    assert words in str(refusal.value)


def test_small_file_of_144_megapixels_is_refused_before_memory_is_spent(tmp_path):
    path = written(tmp_path, "bomb.png")
    assert 130_000 < path.stat().st_size < 150_000
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError):
        load_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("name", ["bomb.png", "claimed_bomb.jpg", "claimed_bomb.tif", "tile_bomb.tif"])
def test_over_budget_is_an_error_of_size(tmp_path, name):
    with pytest.raises(ImageTooLargeError):
        load_image(written(tmp_path, name))


def test_pixel_budget_is_the_callers(tmp_path):
    path = written(tmp_path, "plain.bmp")  # 96 × 64 = 0.0061 megapixels
    assert load_image(path, max_megapixels=0.0062).pixels.shape == (64, 96, 3)
    with pytest.raises(ImageTooLargeError):
        load_image(path, max_megapixels=0.0061)


@pytest.mark.parametrize("name", bad_files.UNUSUAL)
def test_unusual_file_becomes_rgb_floats(tmp_path, name):
    path = written(tmp_path, name)
    image = load_image(path)
    assert image.pixels.shape == (64, 96, 3)
    assert image.pixels.dtype == np.float32
    assert image.pixels.flags.c_contiguous
    assert image.pixels.min() >= 0
    assert image.pixels.max() <= 1
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_path_as_text_path_and_bytes_are_the_same_picture(tmp_path):
    path = written(tmp_path, "plain.bmp")
    images = [load_image(path), load_image(str(path)), load_image(path.read_bytes())]
    for image in images:
        np.testing.assert_array_equal(image.pixels, bad_files.part() / np.float32(255))
        assert image.sha256 == images[0].sha256


@pytest.mark.parametrize("source", ["nothing.png", "a\0b.png", ""])
def test_missing_file_is_named(tmp_path, source):
    with pytest.raises(UnreadableImageError, match="no such file"):
        load_image(f"{tmp_path}/{source}" if source else tmp_path)


def test_odd_file_name_cannot_garble_the_message(tmp_path):
    path = tmp_path / "a\nb\x1b[31m.png"
    path.write_bytes(b"")
    with pytest.raises(UnreadableImageError) as refusal:
        load_image(path)
    assert str(refusal.value).isprintable()


def test_other_types_are_a_mistake_of_the_programmer():
    with pytest.raises(TypeError, match="not list"):
        load_image([1, 2])


# 16 bits and more


@pytest.mark.parametrize(
    ("name", "bits"),
    [("sixteen_bit.png", 16), ("twelve_in_sixteen.tif", 12), ("packed_twelve_bit.tif", 12)],
)
def test_deep_gray_keeps_every_level_of_its_true_range(tmp_path, name, bits):
    image = load_image(written(tmp_path, name))
    expected = bad_files.ramp(bits) / (2**bits - 1)
    for channel in range(3):
        np.testing.assert_allclose(image.pixels[..., channel], expected, atol=EXACT)
    assert len(np.unique(image.pixels)) == len(np.unique(bad_files.ramp(bits)))
    assert f"0–{2**bits - 1}" in " ".join(image.notes)


def test_deep_color_png_keeps_the_low_byte(tmp_path):
    pixels = load_image(written(tmp_path, "sixteen_bit_color.png")).pixels
    ramp = bad_files.ramp(16)
    expected = np.stack([ramp, ramp ^ 1, ramp ^ 2], axis=-1) / 65535
    np.testing.assert_allclose(pixels, expected, atol=EXACT)


def test_deep_color_tiff_in_compressed_tiles_is_lossless(tmp_path):
    pixels = load_image(written(tmp_path, "color_sixteen_bit.tif")).pixels
    ramp = bad_files.ramp(16)
    np.testing.assert_allclose(
        pixels, np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1) / 65535, atol=EXACT
    )


@pytest.mark.parametrize(
    ("brightest", "white"), [(900, 1023), (1023, 1023), (1024, 4095), (9000, 16383), (16384, 65535)]
)
def test_sixteen_bit_samples_are_read_by_the_smallest_camera_range_that_holds_them(brightest, white):
    samples = np.full((32, 32), brightest, np.uint16)
    image = load_image(samples)
    np.testing.assert_allclose(image.pixels, brightest / white, atol=EXACT)
    assert f"0–{white}" in image.notes[0]


@pytest.mark.parametrize("tag", [281, 341])
def test_range_that_a_tiff_declares_goes_before_our_guess(tmp_path, tag):
    path = tmp_path / "declared.tif"
    samples = np.full((32, 32), 500, np.uint16)
    tifffile.imwrite(path, samples, photometric="minisblack", extratags=[(tag, "H", 1, 2000, True)])
    image = load_image(path)
    np.testing.assert_allclose(image.pixels, 0.25, atol=EXACT)
    assert image.notes == ("samples read by the range 0–2000 that the file declares",)


def test_declared_range_below_the_samples_is_not_believed(tmp_path):
    path = tmp_path / "declared.tif"
    samples = np.full((32, 32), 4000, np.uint16)
    tifffile.imwrite(path, samples, photometric="minisblack", extratags=[(341, "H", 1, 255, True)])
    np.testing.assert_allclose(load_image(path).pixels, 4000 / 4095, atol=EXACT)


def test_float_tiff_is_read_by_its_own_range(tmp_path):
    image = load_image(written(tmp_path, "float.tif"))
    np.testing.assert_allclose(image.pixels[..., 0], bad_files.ramp(12) / 4095, atol=1e-5)
    assert "-1000 to 3000" in image.notes[0]


def test_float_tiff_within_zero_and_one_is_taken_as_it_is(tmp_path):
    path = tmp_path / "dim.tif"
    tifffile.imwrite(path, np.full((32, 32), 0.25, np.float32), photometric="minisblack")
    assert np.all(load_image(path).pixels == 0.25)


def test_float_tiff_with_missing_values_is_refused(tmp_path):
    path = tmp_path / "nan.tif"
    samples = np.full((32, 32), 0.25, np.float32)
    samples[3, 4] = np.nan
    tifffile.imwrite(path, samples, photometric="minisblack")
    with pytest.raises(UnreadableImageError, match="nan"):
        load_image(path)


def test_signed_tiff_is_read_by_its_own_range(tmp_path):
    path = tmp_path / "signed.tif"
    samples = np.linspace(-500, 1500, 32 * 32).astype(np.int16).reshape(32, 32)
    tifffile.imwrite(path, samples, photometric="minisblack")
    np.testing.assert_allclose(load_image(path).pixels[..., 0], (samples + 500) / 2000, atol=EXACT)


def test_tiff_whose_zero_is_white_is_turned_around(tmp_path):
    path = tmp_path / "negative.tif"
    tifffile.imwrite(path, bad_files.part()[..., 0], photometric="miniswhite")
    expected = 1 - bad_files.part()[..., 0] / 255
    np.testing.assert_allclose(load_image(path).pixels[..., 0], expected, atol=EXACT)


def test_planar_tiff_is_read_as_color(tmp_path):
    path = tmp_path / "planar.tif"
    planes = np.moveaxis(bad_files.part(), -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_allclose(load_image(path).pixels, bad_files.part() / 255, atol=EXACT)


def test_tiff_of_many_channels_is_refused(tmp_path):
    path = tmp_path / "spectral.tif"
    tifffile.imwrite(path, np.zeros((32, 32, 7), np.uint16), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UnreadableImageError, match="7 channels"):
        load_image(path)


# pages, turning, transparency, colors


@pytest.mark.parametrize("name", ["multi_page.tif", "many_pages.tif", "endless.tif"])
def test_first_page_is_read_and_the_others_are_mentioned(tmp_path, name):
    image = load_image(written(tmp_path, name))
    np.testing.assert_allclose(image.pixels[..., 0], bad_files.part()[..., 0] / 255, atol=EXACT)
    assert image.notes == ("first of several TIFF pages; the others are not read",)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("turned.png", EXACT), ("turned.tif", EXACT), ("turned.jpg", 0.04)]
)
def test_turned_photo_stands_upright(tmp_path, name, tolerance):
    image = load_image(written(tmp_path, name))
    np.testing.assert_allclose(image.pixels, bad_files.part() / 255, atol=tolerance)
    assert image.notes == ("turned upright as its EXIF orientation says",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_agrees_with_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(bad_files.part()).save(file, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(load_image(file.getvalue()).pixels, expected / np.float32(255))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_damaged_exif_does_not_cost_the_picture():
    file = io.BytesIO()
    Image.fromarray(bad_files.part()).save(file, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03")
    assert load_image(file.getvalue()).notes == ()


@pytest.mark.parametrize(("name", "color"), [("transparent_palette.png", 0), ("transparent.webp", 1)])
def test_transparent_parts_are_shown_on_white(tmp_path, name, color):
    image = load_image(written(tmp_path, name))
    assert np.all(image.pixels[:, :48] == np.eye(3)[color])
    assert np.all(image.pixels[:, 48:] == 1)
    assert image.notes == ("transparent parts shown on white",)


@pytest.mark.parametrize(("extra", "gray"), [("unassalpha", 0.7), ("assocalpha", 0.9)])
def test_alpha_of_a_tiff_is_straight_or_premultiplied_as_it_says(tmp_path, extra, gray):
    path = tmp_path / "alpha.tif"
    samples = np.full((32, 32, 4), 102, np.uint8)  # 0.4 color, ...
    samples[..., 3] = 128  # ... about half opaque
    tifffile.imwrite(path, samples, photometric="rgb", extrasamples=[extra])
    np.testing.assert_allclose(load_image(path).pixels, gray, atol=0.003)


def test_cmyk_keeps_its_colors_within_jpeg_loss(tmp_path):
    image = load_image(written(tmp_path, "cmyk.jpg"))
    assert np.abs(image.pixels - bad_files.part() / 255).mean() < 0.03
    assert "CMYK" in image.notes[0]


def test_zip_behind_a_picture_is_ignored_and_said(tmp_path):
    image = load_image(written(tmp_path, "polyglot.png"))
    np.testing.assert_allclose(image.pixels, bad_files.part() / 255, atol=EXACT)
    assert image.notes == ("124 bytes after the end of the picture ignored",)


# arrays and Pillow images


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 1), (32, 48, 3)])
def test_arrays_are_read_by_their_type(dtype, shape):
    white = 255 if dtype is np.uint8 else 1
    array = (np.arange(np.prod(shape)).reshape(shape) % (white + 1)).astype(dtype)
    image = load_image(array)
    expected = np.broadcast_to(array.reshape(*shape[:2], -1) / white, (32, 48, 3))
    np.testing.assert_allclose(image.pixels, expected, atol=EXACT)
    assert image.sha256 == hashlib.sha256(array.tobytes()).hexdigest()


def test_alpha_of_an_array_is_shown_on_white():
    array = np.zeros((32, 32, 4), np.uint8)
    array[..., 3] = 51  # one fifth opaque black
    np.testing.assert_allclose(load_image(array).pixels, 0.8, atol=EXACT)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((32, 32, 2), np.uint8), "shape"),
        (np.zeros(32, np.uint8), "shape"),
        (np.zeros((0, 32), np.uint8), "32 × 0"),
        (np.zeros((32, 32), np.int64), "int64"),
        (np.full((32, 32), 7.0), "from 7 to 7"),
        (np.full((32, 32), np.nan), "nan"),
    ],
)
def test_array_that_is_no_picture_is_refused(array, words):
    with pytest.raises(UnreadableImageError, match=words):
        load_image(array)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "F", "I"])
def test_pillow_images_of_every_mode_are_read(mode):
    image = Image.fromarray(bad_files.part()).convert(mode)
    assert load_image(image).pixels.shape == (64, 96, 3)


def test_deep_pillow_image_keeps_its_levels():
    image = Image.fromarray(bad_files.ramp(12))
    assert image.mode == "I;16"
    np.testing.assert_allclose(load_image(image).pixels[..., 0], bad_files.ramp(12) / 4095, atol=EXACT)


def test_pillow_image_is_left_as_it_was():
    image = Image.fromarray(bad_files.part())
    before = image.tobytes()
    load_image(image)
    assert image.tobytes() == before


def test_animated_pillow_image_is_refused(tmp_path):
    with (
        Image.open(written(tmp_path, "animated.gif")) as image,
        pytest.raises(UnreadableImageError, match="animation"),
    ):
        load_image(image)


# masks


def test_mask_is_true_wherever_a_pixel_is_not_black(tmp_path):
    stored = np.zeros((4, 500), np.uint8)  # of any shape
    stored[1, 2:9] = (1, 2, 100, 127, 128, 254, 255)
    Image.fromarray(stored).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png")
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, stored > 0)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_mask_may_be_stored_in_any_mode(tmp_path, mode):
    expected = np.zeros((20, 30), bool)
    expected[5:9, 3:20] = True
    image = Image.fromarray(expected.astype(np.uint16) * 300 if mode == "I;16" else expected)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png"), expected)


def test_damaged_mask_is_refused_by_name(tmp_path):
    (tmp_path / "000_mask.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    with pytest.raises(UnreadableImageError, match=r"^000_mask.png: "):
        load_mask(tmp_path / "000_mask.png")


# anything at all


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> list[bytes]:
    makers = {name: make for name, make in bad_files.UNUSUAL.items() if name != "many_pages.tif"}
    return [path.read_bytes() for path in bad_files.write_files(tmp_path_factory.mktemp("seeds"), makers)]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged metadata
@settings(derandomize=True, max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_of_any_kind_is_read_or_refused(seeds, data):
    file = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(file), 300) - 1))
        file[place : place + 1] = data.draw(st.binary(max_size=4))
    end = data.draw(st.sampled_from([len(file), len(file) // 2, 40]))
    try:
        image = load_image(bytes(file[:end]))
    except InputError:
        return
    assert image.pixels.ndim == 3
    assert np.isfinite(image.pixels).all()


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(UnreadableImageError):
        load_image(data)
