"""Damaged and spiteful pictures of every kind: read within the budget, or refused in words; nothing else."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mambaad_demo.data.uploads import load_image, load_mask
from mambaad_demo.errors import ImageTooLargeError, InputError, UnreadableImageError
from tests.data.bad_files import part, png_bytes, png_chunk, png_rows, tiff_bytes
from tests.data.hostile_files import claimed_png, jumping_bmp, png_with, zip_of
from tests.data.mutations import mutated
from tests.data.valid_pictures import HEIGHT, WIDTH, valid_pictures

VALID = valid_pictures()
BUDGET = 1.0
"""Megapixels: what a lying header makes us decode stays cheap."""

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow and tifffile warn of damaged metadata


def read_or_refused(data: bytes) -> np.ndarray | None:
    """The pixels within the budget, or None after a refusal that a person can be shown."""
    try:
        pixels = load_image(data, max_megapixels=BUDGET).pixels
    except InputError as refusal:
        message = str(refusal)
        assert message.count(". ") >= 1  # what happened, and what to do next
        assert "/" not in message  # no path of ours
        assert "\n" not in message
        return None
    assert pixels.dtype == np.float32
    assert pixels.shape[0] * pixels.shape[1] <= BUDGET * 1e6
    assert pixels.shape[2] == 3
    assert pixels.min() >= 0
    assert pixels.max() <= 1  # false for NaN too
    return pixels


@pytest.mark.parametrize("name", VALID)
def test_what_the_damage_starts_from_is_valid(name):
    pixels = read_or_refused(VALID[name])
    assert pixels is not None
    assert sorted(pixels.shape[:2]) == [HEIGHT, WIDTH]


@pytest.mark.parametrize("name", VALID)
@settings(derandomize=True, max_examples=120, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_picture_is_read_within_the_budget_or_refused(name, seed):
    read_or_refused(mutated(VALID[name], list(VALID.values()), seed))


@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(name=st.sampled_from(sorted(VALID)), seed=st.integers(0, 2**32 - 1))
def test_a_damaged_mask_is_read_within_the_budget_or_refused(name, seed):
    with contextlib.suppress(InputError):
        mask = load_mask(mutated(VALID[name], list(VALID.values()), seed), max_megapixels=BUDGET)
        assert mask.dtype == np.bool_
        assert mask.size <= BUDGET * 1e6


@pytest.mark.parametrize("name", VALID)
def test_a_picture_cut_anywhere_is_read_or_refused(name):
    whole = read_or_refused(VALID[name])
    for end in range(0, len(VALID[name]), 7):
        pixels = read_or_refused(VALID[name][:end])
        assert pixels is None or pixels.shape == whole.shape


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("tail", ["zip", "html", "picture", "zeros"])
def test_what_follows_a_picture_does_not_change_it(name, tail):
    behind = {
        "zip": zip_of({"part.txt": b"no picture"}),
        "html": b"<html><script>alert(1)</script></html>",
        "picture": VALID["gray.png"],
        "zeros": bytes(5000),
    }
    pixels = read_or_refused(VALID[name] + behind[tail])
    assert pixels is not None
    np.testing.assert_array_equal(pixels, load_image(VALID[name]).pixels)


# lies about the size: where the width lies in each kind, how many bytes it has, and in which order


@pytest.mark.parametrize(
    ("name", "at", "size", "order"),
    [
        ("gray.png", 16, 4, "big"),
        ("deep_color.png", 16, 4, "big"),
        ("interlaced.png", 16, 4, "big"),
        ("color.bmp", 18, 4, "little"),
        ("runs.bmp", 18, 4, "little"),
        ("lossless.webp", VALID["lossless.webp"].index(b"VP8L") + 9, 2, "little"),
        ("color.jpg", VALID["color.jpg"].index(b"\xff\xc0") + 7, 2, "big"),
        ("progressive.jpg", VALID["progressive.jpg"].index(b"\xff\xc2") + 7, 2, "big"),
        ("gray.tif", VALID["gray.tif"].index(struct.pack("<HH", 256, 4)) + 8, 4, "little"),
    ],
)
@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(share=st.floats(0, 1))
@example(share=0.0)
@example(share=1.0)
def test_a_lie_about_the_width_costs_no_memory(name, at, size, order, share):
    data = bytearray(VALID[name])
    width = int(share * (2 ** (8 * size) - 1))
    data[at : at + size] = width.to_bytes(size, order)
    if name.endswith("png"):
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    pixels = read_or_refused(bytes(data))
    assert pixels is None or width in pixels.shape[:2] or name.endswith("webp")  # its width shares a byte


# the named ones


@pytest.mark.parametrize("chunk", [b"IHDR", b"IDAT", b"IEND"])
def test_a_wrong_checksum_of_a_needed_piece_is_damage(chunk):
    data = bytearray(VALID["deep_color.png"])
    at = data.index(chunk)
    end = at + 4 + struct.unpack(">I", data[at - 4 : at])[0]
    data[end] ^= 1
    pixels = read_or_refused(bytes(data))
    assert pixels is None or chunk == b"IEND"  # the pixels are complete before it


@pytest.mark.parametrize("chunk", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"])
@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_a_huge_text_or_profile_is_read_past_or_refused(chunk, size):
    packed = zlib.compress(bytes(size))
    payload = {
        b"tEXt": b"Comment\0" + b"x" * size,
        b"zTXt": b"Comment\0\0" + packed,
        b"iTXt": b"Comment\0\1\0\0\0" + packed,
        b"iCCP": b"profile\0\0" + packed,
        b"eXIf": b"II*\0" + bytes(size),
    }
    pixels = read_or_refused(png_with(chunk, payload[chunk]))
    assert pixels is not None or size > 1_000


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xFE])
def test_a_jpeg_of_many_long_segments_is_the_same_picture(marker):
    plain = VALID["gray.jpg"]
    segment = struct.pack(">BBH", 0xFF, marker, 65_535) + b"x" * 65_533
    pixels = read_or_refused(plain[:2] + segment * 60 + plain[2:])
    np.testing.assert_array_equal(pixels, load_image(plain).pixels)


def test_more_pieces_than_any_png_has_are_refused():
    empty = png_chunk(b"tEXt", b"a\0") * 200_001
    with pytest.raises(UnreadableImageError, match="more than 200000 pieces"):
        load_image(png_bytes(96, 64, png_rows(part()), color_type=2, before=empty))


@pytest.mark.parametrize("following", ["the first", "itself"])
def test_tiff_pages_in_a_circle_end_with_the_first(following):
    data = bytearray(tiff_bytes(part()[..., 0].tobytes(), 96, 64, pages=2))
    first, length = 8, 2 + 12 * 9 + 4
    second = first + length
    target = first if following == "the first" else second
    data[second + length - 4 : second + length] = struct.pack("<I", target)
    assert load_image(bytes(data)).notes == ("first of several TIFF pages; the others are not read",)


def test_thousands_of_tiff_pages_are_not_visited():
    image = load_image(tiff_bytes(part()[..., 0].tobytes(), 96, 64, pages=5000))
    assert image.pixels.shape == (64, 96, 3)


def test_a_tiff_that_points_at_itself_for_everything_is_refused():
    data = bytearray(tiff_bytes(part()[..., 0].tobytes(), 96, 64))
    for entry in range(9):
        at = 10 + 12 * entry
        data[at + 4 : at + 12] = struct.pack("<II", 500_000, 8)
    assert read_or_refused(bytes(data)) is None


def test_progressive_jpegs_of_usual_encoders_have_few_scans_and_are_read():
    data = VALID["progressive.jpg"]
    assert 6 <= data.count(b"\xff\xda") <= 20
    assert read_or_refused(data) is not None


def test_marks_of_scans_within_a_segment_are_no_scans():
    plain = VALID["gray.jpg"]
    payload = b"\xff\xda" * 1000  # a thumbnail, a profile or a comment may hold them
    segment = struct.pack(">BBH", 0xFF, 0xFE, 2 + len(payload)) + payload
    assert read_or_refused(plain[:2] + segment + plain[2:]) is not None


def test_a_skip_in_a_run_length_bmp_may_not_take_more_than_the_picture():
    assert load_image(jumping_bmp(400, 100)).pixels.shape == (100, 400, 3)
    with pytest.raises(ImageTooLargeError, match="MB to decode"):
        load_mask(jumping_bmp(4_000_000, 1))


@pytest.mark.parametrize(("width", "height"), [(0, 64), (96, 0), (2**31 - 1, 1), (2**32 - 1, 2**32 - 1)])
def test_impossible_sizes_are_refused(width, height):
    assert read_or_refused(claimed_png(width, height)) is None


def test_an_lzw_code_that_stands_for_nothing_is_damage_and_no_memory_of_ours():
    """imagecodecs' own LZW decoder looks such a code up all the same, and then reads wherever that points."""
    codes = [256, 258, *[7] * 127] * 2 + [257]  # twice: clear, a code that is not defined yet, letters
    bits = "".join(f"{code:09b}" for code in codes)
    packed = int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big")
    with pytest.raises(UnreadableImageError, match="damaged"):
        load_image(tiff_bytes(packed, 16, 16, compression=5))


def test_two_headers_of_a_jpeg_must_not_leave_the_size_open():
    plain = VALID["gray.jpg"]
    at = plain.index(b"\xff\xc0")
    (length,) = struct.unpack(">H", plain[at + 2 : at + 4])
    wide = bytearray(plain[at : at + 2 + length])
    wide[7:9] = struct.pack(">H", 400)
    for data in (
        plain[:at] + bytes(wide) + plain[at:],
        plain[: at + 2 + length] + bytes(wide) + plain[at + 2 + length :],
    ):
        with pytest.raises(UnreadableImageError, match="JPEG file"):
            load_image(data)
