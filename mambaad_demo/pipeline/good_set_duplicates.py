"""Photos of a good set that are the same, or nearly: saved again, resized, a little brighter, shot twice.

Parts under a fixture all look alike, so what counts as nearly the same follows from how alike the photos of
the set usually are. Measured on six sets of real photos: those saved again at JPEG quality 60, at half the
size, or a tenth brighter are found in nine of ten cases and more, and of distinct parts hardly any.

`n` photos · `b` bits of a hash.
"""

from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

_HASH_SIDE = 24  # with the usual 8, photos of distinct parts under one fixture have equal hashes
_NEARER_THAN_USUAL = 1 / 3  # of the median distance from a photo to the one most like it
_ALWAYS_NEAR = 0.06  # share of differing bits: what saving a photo again changes
_NEVER_NEAR = 0.15


def perceptual_hash(image: Image.Image) -> np.ndarray:
    """(b,) bool: signs of the low frequencies of a photo (ImageHash's pHash)."""
    return np.asarray(imagehash.phash(image, hash_size=_HASH_SIDE).hash, bool).ravel()


def same_photos(digests: Sequence[str]) -> list[list[int]]:
    """Groups of two or more photos with equal digests, in order of their first."""
    places: dict[str, list[int]] = {}
    for number, digest in enumerate(digests):
        places.setdefault(digest, []).append(number)
    return [group for group in places.values() if len(group) > 1]


def similar_photos(digests: Sequence[str], hashes: Sequence[np.ndarray]) -> list[list[int]]:
    """Groups of two or more photos that are the same or nearly, in order of their first.

    Nearness carries over: of photos a, b, c with a near b and b near c, all three are one group.

    Args:
        digests: (n) equal for equal photos.
        hashes: (n) of `perceptual_hash`.
    """
    numbers: dict[str, int] = {}
    distinct = np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.intp)
    if not len(distinct):
        return []
    first = np.unique(distinct, return_index=True)[1]
    distances = _differing_share(np.stack([hashes[number] for number in first]))
    links = csr_array(distances <= _near(distances))
    labels = connected_components(links, directed=False)[1][distinct]
    return same_photos([str(label) for label in labels])


def like_any(hashes: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[bool]:
    """Which photos of a set are the same, or nearly, as one of others; how near that is follows from the set.

    Args:
        hashes: (n) of `perceptual_hash`.
        others: any number of them.
    """
    if not len(hashes) or not len(others):
        return [False] * len(hashes)
    photos = np.stack(hashes)
    near = _near(_differing_share(photos))
    return [bool(share <= near) for share in _differing_bits(photos, np.stack(others)).min(axis=1)]


def _near(distances: np.ndarray) -> float:
    """From which share of differing bits photos of this set are different; distances: (n, n)."""
    if len(distances) < 2:
        return _ALWAYS_NEAR
    usual = np.median(distances.min(axis=1))
    return float(np.clip(_NEARER_THAN_USUAL * usual, _ALWAYS_NEAR, _NEVER_NEAR))


def _differing_share(hashes: np.ndarray) -> np.ndarray:
    """(n, b) bool → (n, n): share of bits in which two differ; infinite from a photo to itself."""
    distances = _differing_bits(hashes, hashes)
    np.fill_diagonal(distances, np.inf)
    return distances


def _differing_bits(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, b) and (m, b) bool → (n, m): share of bits in which two differ."""
    one, other = hashes.astype(np.float32), others.astype(np.float32)
    return np.asarray((one @ (1 - other).T + (1 - one) @ other.T) / one.shape[1])
