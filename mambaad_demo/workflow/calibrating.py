"""From good parts to limits that are in force: photos or labeled pictures in, a calibration out, then kept.

Statistics are `pipeline.calibration`'s, keeping is `storage.limits`'. The tensor work runs on the model
thread, a few pictures a turn, so that others get theirs in between.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.data.uploads import read_file
from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.hub.schemas import CategoryCalibration, Rates
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.calibration import DEFAULT_RATES, GoodParts, aimed_at, scale_of
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.pipeline.learned import learned_categories
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import collecting, labels, limits, rejudging
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import StoredInspection, VersionFacts, anomaly_map, sha256_of
from mambaad_demo.storage.limits import Rejudged, Source
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import Progress, good_pictures_of
from mambaad_demo.workflow.redrawing import redraw
from mambaad_demo.workflow.rendering import geometry_of

MOST_PHOTOS = 500
"""Of one measurement: their maps are held in memory together."""

_AT_ONCE = 8
_MEGAPIXELS_AT_ONCE = 12.0  # of canvases; sixteen tiles make one of nine megapixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What good parts of a category look like, and the limits that follow; not in force yet."""

    category: str
    tiles: int
    calibration: CategoryCalibration
    source: Source
    is_moved: bool = False
    """Whether a person put the limits where they are."""
    refused: tuple[tuple[str, str], ...] = ()
    """Pictures that were left out, and why."""
    notes: tuple[str, ...] = ()
    """Sentences about whole groups that were left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodPicture:
    """A stored picture that people called good."""

    image_id: int
    sha256: str
    name: str


Outcome = TypeVar("Outcome", Measured, Rejudged)


def measure_photos(
    predictor: Predictor, paths: Iterable[Path], category: str, *, rates: Rates = DEFAULT_RATES
) -> Generator[Progress | Measured]:
    """Measure good photos that the checkpoint was not trained on; stop iterating to cancel.

    Yields progress, at last the result. A photo that comes twice counts once.

    Args:
        predictor: looking as closely as the limits are meant for; other limits in force do not matter.
        paths: photos, folders, zip files; of those in folders of defects or tests none is taken.
        category: may be new to the checkpoint.
        rates: false-reject rates to aim at.

    Raises:
        InputError: no pictures, too many, a damaged zip file, or fewer than three that can be read.
    """
    good = good_pictures_of(list(paths))
    _require_few(len(good.pictures))
    name = limits.category_name(category)
    gathering = _Gathering(predictor, len(good.pictures))
    yield gathering.progress
    seen: dict[str, str] = {}
    for picture in good.pictures:
        yield from gathering.take(picture.name, partial(_unseen, picture, seen))
    yield from gathering.measure_waiting()
    yield replace(gathering.measured(name, rates, Source.PHOTOS), notes=good.notes)


def measure_labeled(
    workspace: Workspace, predictor: Predictor, category: str, *, rates: Rates = DEFAULT_RATES
) -> Generator[Progress | Measured]:
    """Measure the stored pictures that people call good; stop iterating to cancel.

    What the store knows already is not computed again: where the category has limits, only pictures without a
    result by this very version are. Of more than `MOST_PHOTOS` the newest are taken; the result says so.

    Args:
        workspace: holds pictures, labels and results.
        predictor: with the limits in force, looking as closely as the new ones are meant for.
        category: may be new to the checkpoint.
        rates: false-reject rates to aim at.

    Raises:
        InputError: fewer than three such pictures can be read.
    """
    name = limits.category_name(category)
    found = good_pictures(workspace, predictor, name)
    good = found[-MOST_PHOTOS:]
    notes = _notes(workspace, predictor, name, found=len(found))
    known = predictor.calibration_of(name)
    version = VersionFacts.of(predictor)
    results = {result.image_id: result for result in rejudging.results(workspace, predictor, name)}
    gathering = _Gathering(predictor, len(good), known)
    yield gathering.progress
    for picture in good:
        result = results.get(picture.image_id)
        if result is None or known is None or not _is_of(result, name, version):
            yield from gathering.take(
                picture.name, partial(workspace.files.read, FileKind.PICTURE, picture.sha256)
            )
        else:
            yield from gathering.take_stored(workspace, result)
    yield from gathering.measure_waiting()
    yield replace(gathering.measured(name, rates, Source.LABELS), notes=notes)


def placed(measured: Measured, rates: Rates) -> Measured:
    """The same good parts with limits that aim at other rates.

    Raises:
        TooFewImagesError: there are fewer than three.
    """
    return replace(measured, calibration=aimed_at(measured.calibration, rates), is_moved=False)


def good_pictures(workspace: Workspace, predictor: Predictor, category: str) -> list[GoodPicture]:
    """Pictures of the product of this name, or judged as it, that most call good or that are to be taught, in
    the order in which they came.

    Without those to be taught where the version or one it was made from was trained on the category: it may
    have learned from them, so that they score lower than other good parts.
    """
    learned = _learned(workspace, predictor, category)
    judged = {score.image_id for score in rejudging.stored_scores(workspace, predictor, category)}
    labeled = [
        GoodPicture(image_id=one.image_id, sha256=one.sha256, name=one.name)
        for one in labels.labeled_images(workspace)
        if one.finding is Finding.GOOD and (one.product == category or one.image_id in judged)
    ]
    taught = [
        GoodPicture(image_id=one.image_id, sha256=one.sha256, name=one.name)
        for one in collecting.members(workspace, Collection.TEACH, product=category)
    ]
    known = {one.image_id: one for one in (*labeled, *taught) if one.image_id not in learned}
    return [known[image_id] for image_id in sorted(known)]


def _learned(workspace: Workspace, predictor: Predictor, category: str) -> set[int]:
    """Pictures that the version may have been trained on, by number."""
    if category not in learned_categories(predictor.checkpoint.config):
        return set()
    return {one.image_id for one in collecting.members(workspace, Collection.TEACH, product=category)}


def _notes(workspace: Workspace, predictor: Predictor, category: str, *, found: int) -> tuple[str, ...]:
    """What of the stored pictures was left out."""
    learned, name = len(_learned(workspace, predictor, category)), predictor.checkpoint.name
    notes = []
    if learned:
        notes.append(
            f"Parts taught as good were left out ({learned}): {name} was trained on this product and may "
            "have learned from them, so limits set from them would be too tight."
        )
    if found > MOST_PHOTOS:
        notes.append(f"Of {found} pictures labeled good the newest {MOST_PHOTOS} were taken.")
    return tuple(notes)


def put_in_force(
    workspace: Workspace, predictor: Predictor, measured: Measured, *, actor: str, note: str = ""
) -> Generator[Progress | Rejudged]:
    """Save limits, judge stored results by them, and draw the regions of what is not accepted anew.

    The verdicts are one transaction, done before the first step is yielded; regions follow one by one and may
    be left off at any time.

    Args:
        predictor: as the catalog has it, looking as closely as the parts were measured.
        note: why, for people.

    Raises:
        StorageError: nothing was changed.
    """
    plain = predictor.tiled(measured.tiles)
    yield from _applied(
        workspace,
        plain,
        measured.category,
        limits.save(
            workspace,
            plain,
            measured.category,
            measured.calibration,
            source=measured.source,
            is_moved=measured.is_moved,
            actor=actor,
            note=note,
        ),
    )


def take_back(
    workspace: Workspace, predictor: Predictor, category: str, *, actor: str, note: str = ""
) -> Generator[Progress | Rejudged]:
    """Let the checkpoint's own limits hold again; as `put_in_force`.

    Raises:
        InputError: they hold already.
        StorageError: nothing was changed.
    """
    changed = limits.take_back(workspace, predictor, category, actor=actor, note=note)
    yield from _applied(workspace, predictor, category, changed)


def outcome(steps: Iterable[Progress | Outcome]) -> Outcome:
    """What a run comes to, where nobody watches its progress."""
    for step in steps:
        if not isinstance(step, Progress):
            return step
    raise ValueError("the run ended without a result")


def _applied(
    workspace: Workspace, predictor: Predictor, category: str, changed: Rejudged
) -> Generator[Progress | Rejudged]:
    for done, total in redraw(workspace, predictor, category):
        yield Progress(done=done, total=total, refused=0)
    yield changed


class _Gathering:
    """Good parts on their way: read here, measured a few at a time on the model thread."""

    def __init__(self, predictor: Predictor, total: int, known: CategoryCalibration | None = None) -> None:
        self._predictor = predictor
        self._parts = GoodParts(None if known is None else np.array(known.embedding))
        self._waiting: list[ModelInput] = []
        self._refused: list[tuple[str, str]] = []
        self._total = total

    @property
    def progress(self) -> Progress:
        done = len(self._parts) + len(self._refused)
        return Progress(done=done, total=self._total, refused=len(self._refused))

    def take(self, name: str, read: Callable[[], bytes]) -> Iterator[Progress]:
        """Read a picture and measure it with the next few."""
        try:
            self._waiting.append(self._predictor.input_of(read()))
        except (InputError, StorageError) as error:
            self._refused.append((name, str(error)))
        pixels = sum(item.pixels.size for item in self._waiting) / 3e6
        if len(self._waiting) >= _AT_ONCE or pixels >= _MEGAPIXELS_AT_ONCE:
            yield from self.measure_waiting()

    def take_stored(self, workspace: Workspace, found: StoredInspection) -> Iterator[Progress]:
        """Take a result out of the store; without its map, the picture is measured."""
        try:
            self._parts.add_stored(
                anomaly_map(workspace, found), geometry_of(found), found.embedding_distance or 0.0
            )
        except StorageError:
            yield from self.take(found.name, partial(workspace.files.read, FileKind.PICTURE, found.sha256))

    def measure_waiting(self) -> Iterator[Progress]:
        if self._waiting:
            model_thread.run(self._parts.measure, self._predictor.runner, self._waiting)
            self._waiting = []
        yield self.progress

    def measured(self, category: str, rates: Rates, source: Source) -> Measured:
        self._parts.require_enough(category)
        scale = scale_of(self._predictor.checkpoint.calibration, self._parts.length)
        return Measured(
            category=category,
            tiles=self._predictor.tiles,
            calibration=self._parts.calibration(scale, rates),
            source=source,
            refused=tuple(self._refused),
        )


def _unseen(picture: Picture, seen: dict[str, str]) -> bytes:
    """The bytes of a picture that has not come before under another name."""
    source = picture.read()
    content = source if isinstance(source, bytes) else read_file(source)
    first = seen.setdefault(sha256_of(content), picture.name)
    if first != picture.name:
        raise InputError(f"The same picture as {first}; it counts once.")
    return content


def _is_of(found: StoredInspection, category: str, version: VersionFacts) -> bool:
    """Whether a result holds what a calibration needs: its distance is to the centroid that stands."""
    return (
        found.category == category
        and found.embedding_distance is not None
        and found.calibration_sha256 == version.calibration_sha256
    )


def _require_few(count: int) -> None:
    if count > MOST_PHOTOS:
        raise InputError(f"These are {count} pictures; limits are set from at most {MOST_PHOTOS} at once.")
