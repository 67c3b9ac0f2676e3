"""What fine-tuning taught a checkpoint, as the checkpoint itself says: categories, and photos by their hash.

Hashes go with the version, so that a further version of it holds out photos that none of its bases learned.

`n` photos · `b` bits of a hash.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from mambaad_demo.hub.schemas import MOST_LEARNED_PHOTOS, CheckpointConfig


def learned_categories(config: CheckpointConfig) -> tuple[str, ...]:
    """Categories that a checkpoint and its bases were fine-tuned on; of an older version, its own alone."""
    own = config.training.get("category")
    named = config.training.get("learned", [own])
    return tuple(name for name in named if isinstance(name, str)) if isinstance(named, list) else ()


def learned_hashes(config: CheckpointConfig) -> list[np.ndarray]:
    """(n) of (b,) bool: hashes of the photos that a checkpoint and its bases were fine-tuned on."""
    return [
        np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8)).astype(bool)
        for packed in config.learned_photos
    ]


def with_learned(config: CheckpointConfig, hashes: Iterable[np.ndarray]) -> tuple[str, ...]:
    """What a version keeps that learned photos beyond those of its base; of too many, the newest.

    Args:
        config: of the base.
        hashes: (n) of `good_set_duplicates.perceptual_hash`.
    """
    new = dict.fromkeys(np.packbits(bits).tobytes().hex() for bits in hashes)
    earlier = [known for known in config.learned_photos if known not in new]
    return (*earlier, *new)[-MOST_LEARNED_PHOTOS:]


def digest(hashes: Sequence[np.ndarray]) -> str:
    """Another one for other photos, or for another order of them."""
    return hashlib.sha256(b"".join(np.packbits(bits).tobytes() for bits in hashes)).hexdigest()
