"""Anomaly maps as files: float32 at model resolution, compressed without loss."""

import io

import numpy as np

from mambaad_demo.errors import StorageError


def packed(anomaly_map: np.ndarray) -> bytes:
    """(M, N) float32 as bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, map=anomaly_map.astype(np.float32, copy=False))
    return buffer.getvalue()


def unpacked(content: bytes) -> np.ndarray:
    """The map, (M, N) float32, exactly as it was packed.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return np.asarray(archive["map"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StorageError("An anomaly map of the store is damaged. Inspect the picture again.") from error
