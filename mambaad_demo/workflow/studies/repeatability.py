"""Runs a repeatability study: every shot of every part through one checkpoint, a few at a time.

Each part is seen in k shots: stored pictures of it, or the one stored picture followed by k - 1 mild
variations in which everything that may vary does so at once. Then each variation once on its own, which goes
into no figure but the comparison of variations. The draws of a part depend on the seed and its picture alone,
not on the other parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import (
    DemoError,
    InputError,
    NonFiniteMapError,
    StorageError,
    TooFewImagesError,
)
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS_IN_BATCH, ImageSource, Predictor
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import VersionFacts
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.version import __version__
from mambaad_demo.workflow.studies.parts import Part, chosen_parts
from mambaad_demo.workflow.studies.study import (
    LimitsInForce,
    PartResult,
    Setup,
    Shot,
    ShotKind,
    Study,
    StudySpec,
)
from mambaad_demo.workflow.studies.variations import Variation, vary

AS_STORED = "as stored"
_AT_ONCE = 4  # shots in one turn on the model thread; others get theirs in between


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A shot that is to be judged."""

    name: str
    source: ImageSource
    alone: Variation | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    planned: _Planned
    prediction: Prediction


def run_study(workspace: Workspace, predictor: Predictor, spec: StudySpec) -> Iterator[Progress | Study]:
    """Judge all shots on the model thread.

    Yields progress in shots, at last the study. Stop iterating to cancel.

    Args:
        workspace: holds the pictures and what they are known to be.
        predictor: of the checkpoint that `spec` names, with the limits in force.
        spec: what is asked for; shots are judged as `spec.product` where the checkpoint knows it.

    Raises:
        TooFewImagesError: there are no such parts, or none could be read.
        InputError: the checkpoint has no limits for them.
        CheckpointError: the checkpoint has no hashes.
    """
    setup = _setup(predictor)
    category = spec.product if spec.product in predictor.categories else None
    parts = chosen_parts(workspace, spec)
    total = sum(_count(part, spec) for part in parts)
    results: list[PartResult] = []
    refused: list[tuple[str, str]] = []
    done = 0
    for part in parts:
        yield Progress(done=done, total=total)
        answers: list[_Judged] = []
        try:
            for turn in _turns(_shots(workspace, part, spec)):
                answers += _judged(predictor, turn, category)
                yield Progress(done=done + len(answers), total=total)
        except (InputError, NonFiniteMapError, StorageError) as error:
            refused.append((part.name, str(error)))
        else:
            _require_limits(predictor, answers)
            results.append(_result(part, answers))
        done += _count(part, spec)
    if not results:
        raise TooFewImagesError(f"None of the {len(parts)} parts could be judged: {refused[0][1]}")
    categories = dict.fromkeys(shot.category for part in results for shot in part.shots)
    yield Study(
        spec=spec,
        setup=setup,
        category=category,
        limits=tuple(limits_in_force(predictor, name) for name in categories),
        parts=tuple(results),
        refused=tuple(refused),
    )


def limits_in_force(predictor: Predictor, category: str) -> LimitsInForce:
    """The limits of a calibrated category."""
    limits = predictor.limits(category)
    calibration = predictor.checkpoint.calibration.categories[category]
    return LimitsInForce(
        category=category,
        check=limits.check or 0.0,
        reject=limits.reject or 0.0,
        check_rate=calibration.rates.check,
        reject_rate=calibration.rates.reject,
        good_parts=calibration.images,
    )


def _setup(predictor: Predictor) -> Setup:
    return Setup(
        version=VersionFacts.of(predictor),
        tiles=predictor.tiles,
        kernel=predictor.kernel,
        device=predictor.device,
        precision=predictor.precision,
        app_version=__version__,
    )


def _count(part: Part, spec: StudySpec) -> int:
    """Shots of a part."""
    return len(part.pictures) if spec.kind is ShotKind.STORED else spec.shots + len(Variation)


def _shots(workspace: Workspace, part: Part, spec: StudySpec) -> Iterator[_Planned]:
    """The shots of a part, each made when it is its turn."""
    if spec.kind is ShotKind.STORED:
        for picture in part.pictures:
            yield _Planned(name=picture.name, source=workspace.files.read(FileKind.PICTURE, picture.sha256))
        return
    sha256 = part.pictures[0].sha256
    content = workspace.files.read(FileKind.PICTURE, sha256)
    yield _Planned(name=AS_STORED, source=content)
    pixels = _pixels(content)
    for number in range(1, spec.shots):
        generator = np.random.default_rng([spec.seed, int(sha256[:16], 16), number])
        yield _Planned(name=f"varied {number}", source=vary(pixels, tuple(Variation), generator))
    for number, variation in enumerate(Variation):
        generator = np.random.default_rng([spec.seed, int(sha256[:16], 16), spec.shots + number])
        yield _Planned(name=variation.value, source=vary(pixels, (variation,), generator), alone=variation)


def _pixels(content: bytes) -> np.ndarray:
    """(H, W, 3) uint8, upright."""
    loaded = load_image(content, max_megapixels=MAX_MEGAPIXELS_IN_BATCH)
    return np.rint(loaded.pixels * 255).astype(np.uint8)


def _turns(shots: Iterator[_Planned]) -> Iterator[list[_Planned]]:
    while turn := list(islice(shots, _AT_ONCE)):
        yield turn


def _judged(predictor: Predictor, turn: list[_Planned], category: str | None) -> list[_Judged]:
    answers = model_thread.run(
        predictor.predict_batch, [planned.source for planned in turn], category=category
    )
    return [_Judged(planned, _accepted(answer)) for planned, answer in zip(turn, answers, strict=True)]


def _accepted(answer: Prediction | DemoError) -> Prediction:
    if isinstance(answer, DemoError):
        raise answer
    return answer


def _require_limits(predictor: Predictor, answers: list[_Judged]) -> None:
    for answer in answers:
        if not answer.prediction.limits.reject:
            raise InputError(
                f"Checkpoint {predictor.checkpoint.name!r} has no limits for {answer.prediction.category!r}, "
                "so there is no verdict that could repeat. Calibrate it, or choose another checkpoint."
            )


def _result(part: Part, answers: list[_Judged]) -> PartResult:
    return PartResult(
        name=part.name,
        sha256s=tuple(picture.sha256 for picture in part.pictures),
        reference=part.reference,
        shots=tuple(_shot(answer) for answer in answers if answer.planned.alone is None),
        alone={answer.planned.alone: _shot(answer) for answer in answers if answer.planned.alone is not None},
    )


def _shot(answer: _Judged) -> Shot:
    return Shot(
        name=answer.planned.name,
        category=answer.prediction.category,
        score=answer.prediction.image_score,
        limits=answer.prediction.limits,
        verdict=answer.prediction.verdict,
    )
