"""A good set looked at before anything is trained: what the check finds, with small pictures of it."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.preflight import (
    Estimate,
    GoodPicture,
    GoodSetReport,
    estimate,
    examine_good_set,
)
from mambaad_demo.ui.good_photos import thumbnails
from mambaad_demo.ui.told import Tell, Told, told

MOST_SHOWN = 60
"""Photos of a report that are drawn; the others are named only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of a good set."""

    report: GoodSetReport
    thumbnails: Mapping[str, bytes]
    """JPEG by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the warm-up measured, for the photos of that moment."""

    estimate: Estimate
    photos: int


def look_at(predictor: Predictor, photos: Sequence[Picture]) -> Generator[Told | Look]:
    """Examine a good set, telling how far that is; the last value is the look.

    Raises:
        InputError: the checkpoint cannot judge them.
    """

    def examine(tell: Tell) -> Look:
        report = examine_good_set(predictor, _pictures(photos), progress=lambda *step: tell(Told(*step)))
        tell(Told("Drawing what stands out"))
        return Look(report=report, thumbnails=thumbnails(photos, named(report)))

    yield (yield from told(examine))


def pace(predictor: Predictor, photos: Sequence[Picture]) -> Pace:
    """How fast a training on these photos would be; tried out in a process of its own, which takes seconds.

    Raises:
        InputError: it could not be tried; says why.
    """
    return Pace(estimate=estimate(predictor, _pictures(photos)), photos=len(photos))


def _pictures(photos: Sequence[Picture]) -> list[GoodPicture]:
    return [GoodPicture(name=photo.name, content=photo.read) for photo in photos]


def named(report: GoodSetReport) -> list[str]:
    """The first photos that a report draws attention to, each once."""
    names = [name for name, *_ in (*report.odd, *report.blurred, *report.exposure)]
    names += [name for group in report.duplicates for name in group]
    names += report.blank
    return list(dict.fromkeys(names))[:MOST_SHOWN]
