"""Masks as COCO writes them: lengths of runs down the columns, black first, packed into letters.

Packing and measuring are pycocotools' work. Unpacking is ours: its C code writes past the end of the mask
when a stranger's runs are longer than the mask is (seen with 2.0.11).
"""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask  # type: ignore[import-untyped]
from pydantic import BaseModel

from mambaad_demo.data.decoded import Budget
from mambaad_demo.errors import InputError

_ANY_MASK = Budget(min_side=1, max_aspect=float("inf"))
_MOST_DIGITS = 7  # of a run, five bits each

_DAMAGED = "Its mask is damaged: the runs do not fill the picture. Export it again."


class RunLengths(BaseModel):
    """A mask in a COCO file."""

    size: tuple[int, int]
    """Height, width."""
    counts: str | list[int]
    """Lengths of the runs, packed or plain."""


def annotation_of(mask: np.ndarray) -> dict[str, Any]:
    """Segmentation, area and bounding box of a mask, (H, W) bool.

    It is no crowd although it is run-length encoded: evaluations pass over crowds.
    """
    packed = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()},
        "area": int(coco_mask.area(packed)),
        "bbox": [float(value) for value in coco_mask.toBbox(packed)],
        "iscrowd": 0,
    }


def mask_of_runs(runs: RunLengths) -> np.ndarray:
    """The mask, (H, W) bool.

    Raises:
        InputError: the runs do not fill it, or it is larger than any picture we read.
    """
    height, width = runs.size
    _ANY_MASK.check(width, height)
    counts = _unpacked(runs.counts) if isinstance(runs.counts, str) else _plain(runs.counts)
    if (counts < 0).any() or (counts > height * width).any() or counts.sum() != height * width:
        raise InputError(_DAMAGED)
    is_defect = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(is_defect, counts).reshape(width, height).T)


def _plain(counts: list[int]) -> np.ndarray:
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError as error:
        raise InputError(_DAMAGED) from error


def _unpacked(text: str) -> np.ndarray:
    """Numbers of five bits a letter, low bits first; from the fourth on, differences to the last but one."""
    letters = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - ord("0")
    ends = np.flatnonzero(letters & 32 == 0)
    if not len(ends) or ends[-1] != len(letters) - 1 or letters.min() < 0 or letters.max() > 63:
        raise InputError(_DAMAGED)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > _MOST_DIGITS:
        raise InputError(_DAMAGED)
    place = np.arange(len(letters)) - np.repeat(starts, digits)
    numbers = np.add.reduceat((letters & 31) << (5 * place), starts)
    numbers -= np.where(letters[ends] & 16, 1 << (5 * digits), 0)  # the highest bit is the sign
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
