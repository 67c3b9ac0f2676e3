"""Anomaly maps as files: float32 at model resolution, compressed without loss."""

import io
import zipfile

import numpy as np

from mambaad_demo.data.uploads import DECODER_ERRORS
from mambaad_demo.errors import StorageError

_DAMAGED = (*DECODER_ERRORS, zipfile.BadZipFile, MemoryError)  # the last: a header that asks for terabytes
_MESSAGE = "An anomaly map of the store is damaged. Inspect the picture again."


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
            anomaly_map = np.asarray(archive["map"])
    except _DAMAGED as error:
        raise StorageError(_MESSAGE) from error
    if anomaly_map.ndim != 2 or anomaly_map.dtype != np.float32:
        raise StorageError(_MESSAGE)
    return anomaly_map
