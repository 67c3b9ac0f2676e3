"""The sample parts beside the upload box: which ones, drawn when first needed and then kept in memory.

How a part is drawn is the business of `data.sample_parts`.
"""

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.data.sample_parts import CATEGORIES, DEFECTS, render_part
from mambaad_demo.errors import InputError
from mambaad_demo.ui.words import spoken

JPEG_QUALITY = 92  # as the sample parts on disk that checkpoints are trained on
THUMBNAIL_SIDE = 128

_SET_GOOD, _SET_DEFECTIVE = 16, 4
_SET_SEED = 5_000_000  # small seeds are those of the shelf


@dataclass(frozen=True, slots=True)
class SamplePart:
    """One part of the shelf; the same values give the same picture."""

    category: str
    defect: str | None
    """None for a good part."""
    seed: int

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return f"{spoken(self.category)}, {spoken(self.defect) if self.defect else 'good part'}"


SHELF = (
    SamplePart("circuit_board", "missing_component", 71),
    SamplePart("circuit_board", None, 101),
    SamplePart("gear", "broken_tooth", 101),
    SamplePart("gear", None, 102),
    SamplePart("bottle_cap", "crack", 75),
    SamplePart("screw", "worn_thread", 77),
    SamplePart("leather", "cut", 78),
    SamplePart("tablet", "chip", 79),
    SamplePart("planks", None, 80),
    SamplePart("brushed_steel", "scratch", 81),
    SamplePart("hex_nut", "nick", 101),
    SamplePart("circuit_board", "solder_bridge", 71),
)
"""Defective and good parts of several kinds; the first one stands on the page when it opens."""


def sample_set(category: str) -> list[Picture]:
    """Labeled pictures of one kind of part that no checkpoint was trained on, each drawn when it is read.

    Raises:
        InputError: no such kind.
    """
    if category not in CATEGORIES:
        raise InputError(f"There are no sample parts of the kind {category!r}. Choose one of the list.")
    kinds = [(None, _SET_GOOD), *((defect, _SET_DEFECTIVE) for defect in DEFECTS[category])]
    parts = [
        SamplePart(category, defect, _SET_SEED + number) for defect, count in kinds for number in range(count)
    ]
    return [
        Picture(
            name=f"{part.title} {part.seed - _SET_SEED + 1}",
            is_anomalous=part.defect is not None,
            read=partial(_drawn, part, 512),
        )
        for part in parts
    ]


class SampleShelf:
    """Pictures of some sample parts; safe to share between threads."""

    def __init__(self, parts: Sequence[SamplePart] = SHELF) -> None:
        self.parts = tuple(parts)
        self._files: dict[tuple[SamplePart, int], bytes] = {}
        self._lock = threading.Lock()

    def part_at(self, position: object) -> SamplePart:
        """The part at a position that came from a browser.

        Raises:
            InputError: nothing stands there.
        """
        if not isinstance(position, int) or not 0 <= position < len(self.parts):
            raise InputError("There is no such sample part. Load the page again.")
        return self.parts[position]

    def position(self, part: object) -> int | None:
        """Where a part stands; None for anything that is not on the shelf."""
        return self.parts.index(part) if isinstance(part, SamplePart) and part in self.parts else None

    def photo(self, part: SamplePart) -> bytes:
        """The part as a JPEG file of the size that cameras of the data set have."""
        return self._file(part, 512)

    def thumbnail(self, part: SamplePart) -> bytes:
        """The part as a small JPEG file."""
        return self._file(part, THUMBNAIL_SIDE)

    def _file(self, part: SamplePart, side: int) -> bytes:
        with self._lock:
            if (part, side) not in self._files:
                self._files[part, side] = _drawn(part, side)
            return self._files[part, side]


def _drawn(part: SamplePart, side: int) -> bytes:
    """A JPEG file."""
    picture = render_part(part.category, seed=part.seed, defect=part.defect, side=side).image
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()
