"""The pre-flight of a good set: what is odd about the photos before anybody waits for a training.

Reading and figures of one photo stand in `good_set_photos`, the comparisons in `good_set_duplicates`,
`good_set_outliers` and `good_set_oddness`, the sentences in `good_set_problems` and `good_set_words`, time
and memory of a run in `good_set_estimate`. Nothing here knows a page or a store.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import length_hint

import numpy as np

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.good_set_duplicates import same_photos, similar_photos
from mambaad_demo.pipeline.good_set_estimate import Estimate, estimate
from mambaad_demo.pipeline.good_set_oddness import PatchSample, odd_ones
from mambaad_demo.pipeline.good_set_outliers import Finding, badly_exposed, blurred
from mambaad_demo.pipeline.good_set_photos import GoodPicture, Photo, read_photo
from mambaad_demo.pipeline.good_set_report import GoodSetReport
from mambaad_demo.pipeline.predictor import Predictor

__all__ = [
    "Estimate",
    "Finding",
    "GoodPicture",
    "GoodSetReport",
    "Progress",
    "estimate",
    "examine_good_set",
]

Progress = Callable[[str, int, int], None]
"""Hears what is being done, how many photos are done, and of how many; 0 where nobody knows."""


def examine_good_set(
    predictor: Predictor,
    pictures: Iterable[GoodPicture],
    *,
    progress: Progress = lambda what, done, total: None,
) -> GoodSetReport:
    """Look at all photos of a good set once, one at a time; those that cannot be read stop nobody.

    Tensor work runs on the model thread, a photo at a time, so call it from any other one.

    Args:
        predictor: of the checkpoint that shall be trained on; only its encoder is asked.
        pictures: read as they come.
        progress: whatever it raises ends the examination.
    """
    total = length_hint(pictures)
    sample = PatchSample(predictor.runner.detector)
    photos: list[Photo] = []
    refused: list[tuple[str, str]] = []
    for done, picture in enumerate(pictures):
        progress("Reading the photos", done, total)
        try:
            photo, model_input = read_photo(picture, predictor)
        except InputError as error:
            refused.append((picture.name, str(error)))
            continue
        photos.append(photo)
        sample.add(model_input)
    digests = [photo.sha256 for photo in photos]
    similar = similar_photos(digests, [photo.hash_bits for photo in photos])
    oddness = sample.oddness(
        _group_numbers(len(photos), similar),
        progress=lambda done, total: progress("Comparing the photos", done, total),
    )
    return _report(photos, refused, similar, same_photos(digests), oddness)


def _report(
    photos: Sequence[Photo],
    refused: Sequence[tuple[str, str]],
    similar: Sequence[Sequence[int]],
    same: Sequence[Sequence[int]],
    oddness: np.ndarray,
) -> GoodSetReport:
    names = [photo.name for photo in photos]
    shown = [photo for photo in photos if not photo.quality.is_blank]
    gray = [photo.name for photo in shown if photo.quality.is_gray]
    levels = [photo.quality.brightness for photo in photos]
    return GoodSetReport(
        count=len(photos),
        usable=len({photo.sha256 for photo in shown}),
        refused=tuple(refused),
        sizes=tuple(Counter((photo.width, photo.height) for photo in photos).most_common()),
        gray=tuple(gray if len(gray) < len(shown) else ()),
        duplicates=_named(similar, names),
        copies=_named(same, names),
        blank=tuple(photo.name for photo in photos if photo.quality.is_blank),
        blurred=tuple(blurred(shown)),
        exposure=tuple(badly_exposed(shown)),
        brightness=(min(levels), float(np.median(levels)), max(levels)) if levels else None,
        odd=tuple(odd_ones(names, oddness)),
        leave_out=tuple((names[i], float(oddness[i])) for i in np.argsort(-oddness, kind="stable")),
    )


def _group_numbers(count: int, groups: Sequence[Sequence[int]]) -> list[int]:
    """The number of the first photo of its group for each photo; its own where it is in none."""
    numbers = list(range(count))
    for group in groups:
        for member in group:
            numbers[member] = group[0]
    return numbers


def _named(groups: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[number] for number in group) for group in groups)
