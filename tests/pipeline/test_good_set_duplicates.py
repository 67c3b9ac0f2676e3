"""Photos that are the same or nearly, by their hashes."""

import io

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.pipeline.good_set_duplicates import perceptual_hash, same_photos, similar_photos


def part(seed: int, side: int = 192) -> Image.Image:
    """A part under a fixture: every photo shows the same shapes, and grain and marks of its own."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    shape = 90 + 80 * (np.hypot(x - 0.5, y - 0.5) < 0.35) - 50 * (np.abs(x - y) < 0.06)
    marks = np.kron(generator.normal(0, 4, (24, 24)), np.ones((side // 24, side // 24)))
    grain = generator.normal(0, 2, (side, side))
    gray = np.clip(shape + marks + grain, 0, 255).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


def jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(io.BytesIO(buffer.getvalue()))


CHANGES = {
    "saved again": jpeg,
    "half the size": lambda image: image.resize((96, 96), Image.Resampling.LANCZOS),
    "brighter": lambda image: image.point(lambda value: min(255, int(1.1 * value))),
}


def groups_of(images: list[Image.Image]) -> list[list[int]]:
    return similar_photos([str(i) for i in range(len(images))], [perceptual_hash(image) for image in images])


def bits(*changed: int, length: int = 100) -> np.ndarray:
    """A hash that differs from that without arguments in these places."""
    pattern = np.arange(length) % 2 == 0
    pattern[list(changed)] ^= True
    return pattern


def test_parts_under_one_fixture_are_not_the_same():
    assert groups_of([part(seed) for seed in range(30)]) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_photo_is_found_again_when_it_was(change):
    again = [CHANGES[change](part(seed)) for seed in (3, 8)]

    assert groups_of([*(part(seed) for seed in range(12)), *again]) == [[3, 12], [8, 13]]


def test_nearness_carries_over():
    first, second = range(5), range(5, 10)
    far = np.roll(bits(), 1)
    chain = [bits(), bits(*first), far, bits(*first, *second)]

    assert similar_photos(list("abcd"), chain) == [[0, 1, 3]]


def test_equal_photos_are_one_group_and_set_no_standard_of_what_is_usual():
    generator = np.random.default_rng(0)
    others = [generator.random(576) < 0.5 for _ in range(6)]

    groups = similar_photos(list("aaaaaaaabcdef"), [others[0]] * 8 + others[1:])

    assert groups == [list(range(8))]


def test_what_is_near_follows_from_the_set():
    generator = np.random.default_rng(0)
    unlike = [generator.random(400) < 0.5 for _ in range(8)]
    alike = [bits(*range(40 * i, 40 * i + 40), length=400) for i in range(8)]
    pair = [bits(length=400), bits(*range(330, 370), length=400)]  # a tenth of them differs

    assert similar_photos(list("abcdefghij"), [*unlike, *pair]) == [[8, 9]]
    assert similar_photos(list("abcdefghij"), [*alike, *pair]) == []


@pytest.mark.parametrize(
    ("digests", "groups"), [("", []), ("a", []), ("ab", []), ("aa", [[0, 1]]), ("abcab", [[0, 3], [1, 4]])]
)
def test_same_photos_are_grouped_in_order(digests, groups):
    hashes = {letter: np.random.default_rng(ord(letter)).random(576) < 0.5 for letter in "abc"}

    assert same_photos(digests) == groups
    assert similar_photos(digests, [hashes[letter] for letter in digests]) == groups
