"""What was found in a good set; the sentences that follow from it stand in `good_set_words`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mambaad_demo.pipeline import good_set_words
from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS
from mambaad_demo.pipeline.good_set_outliers import Finding
from mambaad_demo.pipeline.good_set_problems import problems


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodSetReport:
    """Photos that are held for ones of good parts, before anything is trained on them."""

    count: int
    """Photos that can be read."""
    usable: int
    """Those that show something and are not copies of others."""
    refused: tuple[tuple[str, str], ...]
    """Name and reason of those that cannot be read."""
    sizes: tuple[tuple[tuple[int, int], int], ...]
    """Width and height in pixels, and how many photos have them; the most usual first."""
    gray: tuple[str, ...]
    """Photos without color, where others have some."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of photos that are the same or nearly."""
    copies: tuple[tuple[str, ...], ...]
    """Groups of photos that are the same."""
    blank: tuple[str, ...]
    """Photos of one even color."""
    blurred: tuple[Finding, ...]
    exposure: tuple[Finding, ...]
    """Photos darker or brighter than the others."""
    brightness: tuple[float, float, float] | None
    """Smallest, middle and largest mean gray level, 0 to 1; None without photos."""
    odd: tuple[Finding, ...]
    """Photos unlike all others, the most odd first."""
    leave_out: tuple[tuple[str, float], ...]
    """How unlike the others each photo is, in multiples of what is usual, the most odd first; empty where too
    few photos are there to tell."""

    @property
    def problems(self) -> list[str]:
        """Why the set cannot be trained on, and what to do."""
        return problems(
            count=self.count, usable=self.usable, refused=self.refused, copies=self.copies, blank=self.blank
        )

    @property
    def can_train(self) -> bool:
        return not self.problems

    @property
    def warnings(self) -> list[str]:
        """What may make the limits worse, and what to do; the most important first."""
        said = [
            good_set_words.odd(self.odd),
            good_set_words.refused(self.refused, count=self.count),
            good_set_words.blank(self.blank),
            good_set_words.duplicates(self.duplicates, self.copies),
            good_set_words.blurred(self.blurred),
            good_set_words.exposure(self.exposure),
            good_set_words.darkness(self.brightness),
            good_set_words.sizes(self.sizes),
            good_set_words.mixed_colors(self.gray, count=self.count),
            good_set_words.few(self.usable) if self.usable >= MIN_PHOTOS else "",
        ]
        return [words for words in said if words]

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return {
            "count": self.count,
            "usable": self.usable,
            "can_train": self.can_train,
            "problems": self.problems,
            "warnings": self.warnings,
            "refused": [{"name": name, "reason": reason} for name, reason in self.refused],
            "sizes": [
                {"width": width, "height": height, "count": count} for (width, height), count in self.sizes
            ],
            "gray": list(self.gray),
            "duplicates": [list(names) for names in self.duplicates],
            "copies": [list(names) for names in self.copies],
            "blank": list(self.blank),
            "blurred": _findings(self.blurred),
            "exposure": _findings(self.exposure),
            "brightness": None if self.brightness is None else list(self.brightness),
            "odd": _findings(self.odd),
            "leave_out": [{"name": name, "score": score} for name, score in self.leave_out],
        }


def _findings(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value, "words": words} for name, value, words in findings]
