"""A checkpoint and some good photos of a part → a checkpoint that knows this part as well.

One engine for the command line, the Train page's job and the tests: `prepare`, then `steps`, then `save`; to
cancel, stop iterating. Fusion and decoder learn on from the base's weights while what the base knows is
rehearsed; a share of the photos is held out, and by these alone training ends, the best state is chosen (the
one that rebuilds them best and does not copy noise) and the limits are set. The loop itself is `training`'s.
"""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from pydantic import JsonValue
from torch import Tensor

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.hub.checkpoints import Checkpoint, round_to_half, save_checkpoint
from mambaad_demo.hub.layout import WEIGHTS
from mambaad_demo.hub.schemas import CalibrationFile, CategoryCalibration, CheckpointConfig
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.pipeline import run_state
from mambaad_demo.pipeline.best_state import BestState
from mambaad_demo.pipeline.calibration import GoodParts, limits_from_scores, scale_of
from mambaad_demo.pipeline.encoded_images import EncodedImage, mapped, same_picture
from mambaad_demo.pipeline.finetune_photos import GoodPhoto, PhotoReader, Refusal, divided, notices
from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS, FinetuneSpec
from mambaad_demo.pipeline.held_out import HeldOutParts
from mambaad_demo.pipeline.inference import content_of, image_score
from mambaad_demo.pipeline.learned import digest, learned_categories, learned_hashes, with_learned
from mambaad_demo.pipeline.overlay import blended, small_jpeg
from mambaad_demo.pipeline.rehearsal import Rehearsal, RehearsalStore
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig, processes
from mambaad_demo.version import __version__

_NEW_SHARE = 0.5  # of a batch; the rest is rehearsed
_VALIDATIONS = 20
_MOST_TENSORS = 6000  # whose features take some 2 GB of memory with the packaged encoder
_PREVIEWS = 4
_PREVIEW_SIDE = 256

Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How far reading and encoding are."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What the held-out good parts say; see `held_out.Judgment`."""

    loss: float
    separation: float
    is_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one optimiser step did."""

    step: int
    progress: float
    """Share of the run that is done, 0 to 1."""
    loss: float
    learning_rate: float
    seconds: float
    """Training time so far, earlier parts of a resumed run included."""
    remaining_seconds: float
    validation: Validation | None


class Finetuning:
    """One run. Trains the base's own detector, which nobody else may use meanwhile."""

    def __init__(
        self,
        base: Checkpoint,
        photos: Sequence[Path],
        spec: FinetuneSpec,
        *,
        replay_folder: Path | None = None,
        state_path: Path | None = None,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """
        Args:
            base: what to go on from.
            photos: of good parts.
            spec: what to learn and how.
            replay_folder: where encoder features of known categories lie; None keeps none and finds sample
                parts alone.
            state_path: where the state of the run is kept so that it can be resumed; None keeps none.
            names: what people call the photos, by file name; else they are called as their files.
        """
        self.base, self.spec = base, spec
        self.detector = base.detector
        self.refused: list[Refusal] = []
        self.notices: list[str] = []
        """Sentences that its owner should know, after `prepare`."""
        self._photos = list(photos)
        self._names = names
        self._reader = PhotoReader(base)
        self._store = RehearsalStore(replay_folder)
        self._state_path = state_path
        self._known: dict[str, Rehearsal] = {}
        self._unknown: list[str] = []
        self._before: dict[str, dict[str, float]] = {}
        self._best = BestState()

    def prepare(self) -> Iterator[Preparation]:
        """Read and encode the photos and what is rehearsed.

        Raises:
            TooFewImagesError: fewer than `MIN_PHOTOS` of the photos can be read.
        """
        yield from self._read_photos()
        yield from self._recall()
        self._parts = HeldOutParts([image.encoded for image in self._held_out], seed=self.spec.seed)
        for done, (name, known) in enumerate(self._known.items(), start=1):
            if known.held_out:
                self._before[name] = self._judged(known)
            yield Preparation(what="measuring known parts", done=done, total=len(self._known))
        cache, shares = self._cache()
        config = TrainingConfig(
            steps=self.spec.steps,
            minutes=self.spec.minutes,
            batch_size=min(self.spec.batch_size, len(cache)),
            learning_rate=self.spec.learning_rate,
            seed=self.spec.seed,
            frozen_statistics=True,
            precision=self.spec.precision,
        )
        self._trainer = Trainer(self.detector, cache, config, shares=shares)
        state = self._read_state()
        if state is not None:
            self._restore(state)
        else:
            self._validate()
            self._write_state()

    def steps(self) -> Generator[Progress]:
        """Train until the budget is spent or nothing gets better, yielding after each step.

        The state is written before the first step, at each validation and when the iteration is closed.

        Raises:
            OSError: the state cannot be written; the one before stays.
            DivergedError: the loss became NaN or infinite; the best state until then is kept.
        """
        due = self._next_due()
        try:
            for step in self._trainer.steps():
                validation = None
                if step.progress >= due:
                    validation = self._validate()
                    due = self._next_due()
                    self._write_state()
                yield Progress(
                    step=step.number,
                    progress=step.progress,
                    loss=step.loss,
                    learning_rate=step.learning_rate,
                    seconds=step.seconds,
                    remaining_seconds=step.seconds * (1 - step.progress) / max(step.progress, 1e-9),
                    validation=validation,
                )
                if self._is_exhausted():
                    break
        finally:
            self._write_state()

    def previews(self) -> list[tuple[str, bytes]]:
        """(name, JPEG) of up to four held-out photos, heated by the present weights on the scale their limits
        would give; good parts stay cold when it is learned."""
        self.detector.eval()
        output = mapped(self.detector, [image.encoded for image in self._held_out])
        scores = [
            image_score(found, image.encoded.geometry)
            for found, image in zip(output.maps, self._held_out, strict=True)
        ]
        median = float(np.median([np.median(found) for found in output.maps]))
        limit = limits_from_scores(scores, self.spec.rates).reject or 1.0
        shown = []
        for image, found in zip(self._held_out[:_PREVIEWS], output.maps, strict=False):
            geometry = image.encoded.geometry
            canvas = content_of(image.canvas, geometry)
            heat = blended(canvas, (content_of(found, geometry) - median) / max(limit - median, 1e-6))
            shown.append((image.name, small_jpeg(heat, _PREVIEW_SIDE)))
        return shown

    def save(self, folder: Path, name: str) -> dict[str, JsonValue]:
        """Calibrate the best state and write it as a checkpoint folder; returns the report of the run.

        Raises:
            InputError: the folder or name is taken by something else, or not allowed.
        """
        self._load(self._best.weights)
        detector = round_to_half(self.detector).eval()
        calibration = self._calibration()
        report = self._report(calibration)
        config = CheckpointConfig(
            name=name,
            detector={},
            resize=self.base.config.resize,
            tiles=self.base.config.tiles,
            categories=tuple(dict.fromkeys((*self.base.config.categories, self.spec.category))),
            training=report,
            license=self.base.config.license,
            learned_photos=with_learned(self.base.config, (photo.hash_bits for photo in self._train)),
        )
        golden = np.stack([self._held_out[index].golden for index in (0, -1)])
        save_checkpoint(folder, detector, config, calibration, golden, half=True)
        known = self._known.get(self.spec.category, Rehearsal(train=[], held_out=[]))
        self._store.keep(
            file_sha256(folder / WEIGHTS),
            self.base,
            self.spec.category,
            Rehearsal(
                train=[image.encoded for image in self._train] + known.train,
                held_out=[image.encoded for image in self._held_out] + known.held_out,
            ),
            inherited=[name for name in self._known if name != self.spec.category],
        )
        return report

    @property
    def trained_steps(self) -> int:
        """Steps so far, those of an interrupted run included."""
        return self._trainer.number

    # Reading

    def _read_photos(self) -> Iterator[Preparation]:
        readable: list[GoodPhoto] = []
        for done, path in enumerate(self._photos, start=1):
            try:
                readable.append(self._reader.read(path, self._name(path)))
            except InputError as error:
                self.refused.append(
                    Refusal(name=self._name(path), reason=str(error).removeprefix(f"{path.name}: "))
                )
            yield Preparation(what="reading photos", done=done, total=len(self._photos))
        if len(readable) < MIN_PHOTOS:
            raise TooFewImagesError(
                f"{len(readable)} of {len(self._photos)} photos can be used; at least {MIN_PHOTOS} good "
                "parts are needed, and 20 or more for limits that mean something. Add good photos."
            )
        division = divided(readable, seed=self.spec.seed, learned=learned_hashes(self.base.config))
        self._train, self._held_out = division.train, division.held_out
        self._learned_before = division.learned_before
        self.notices = notices(division, self.base.config, self.spec.category)

    def _name(self, path: Path) -> str:
        return self._names.get(path.name, path.name)

    def _recall(self) -> Iterator[Preparation]:
        """Find what the base knows."""
        names = list(dict.fromkeys((*self.base.config.categories, *self.base.calibration.categories)))
        for done, name in enumerate(names if self.spec.replay else (), start=1):
            is_new = name == self.spec.category
            found = self._store.rehearsal(self.base, name, own_only=is_new)
            if found is not None:
                self._known[name] = self._without_own(found) if is_new else found
            yield Preparation(what="recalling known parts", done=done, total=len(names))
        self._unknown = [name for name in names if name not in self._known and name != self.spec.category]

    def _without_own(self, found: Rehearsal) -> Rehearsal:
        """What was learned before, less the photos that were given again: they are divided anew."""
        own = [photo.encoded for photo in (*self._train, *self._held_out)]
        return Rehearsal(
            train=[image for image in found.train if not any(same_picture(image, one) for one in own)],
            held_out=[image for image in found.held_out if not any(same_picture(image, one) for one in own)],
        )

    def _cache(self) -> tuple[FeatureCache, dict[int, float]]:
        """Everything to learn from, and how often each category is drawn."""
        groups: list[list[EncodedImage]] = [[*self._augmented()]]
        groups[0] += self._known[self.spec.category].train if self.spec.category in self._known else []
        groups += [known.train for name, known in self._known.items() if name != self.spec.category]
        tiles = [
            (tile, number)
            for number, images in enumerate(groups)
            for image in images
            for tile in zip(*image.features, strict=True)
        ]
        if len(tiles) > _MOST_TENSORS:
            chosen = np.random.default_rng(self.spec.seed).permutation(len(tiles))[:_MOST_TENSORS]
            tiles = [tiles[index] for index in sorted(chosen)]
        cache = FeatureCache(
            [torch.stack(scale) for scale in zip(*(tile for tile, _ in tiles), strict=True)],
            [number for _, number in tiles],
        )
        others = max(1, len(groups) - 1)
        shares = {n: _NEW_SHARE if n == 0 else (1 - _NEW_SHARE) / others for n in range(len(groups))}
        return cache, shares

    def _augmented(self) -> Iterator[EncodedImage]:
        for photo in self._train:
            yield photo.encoded
            if self.spec.augmentations:
                yield from self._reader.variants(photo, self.spec.augmentations)

    # Choosing the best state

    def _validate(self) -> Validation:
        judgment = _shared(self._parts.judge(self.detector))
        is_best = self._best.offer(self._learned(), self._trainer.number, judgment)
        return Validation(loss=judgment.loss, separation=judgment.separation, is_best=is_best)

    def _is_exhausted(self) -> bool:
        return 0 < self.spec.patience <= self._best.since

    def _next_due(self) -> float:
        """Progress from which the next validation is due."""
        return (math.floor(self._trainer.progress * _VALIDATIONS) + 1) / _VALIDATIONS

    def _learned(self) -> Mapping[str, Tensor]:
        """What training changes."""
        return {
            name: value.detach() for name, value in self.detector.named_parameters() if value.requires_grad
        }

    def _load(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self._learned().items():
                value.copy_(weights[name])

    # The state of a run

    def _read_state(self) -> dict[str, Any] | None:
        """The state of an interrupted run, as the main process finds it."""
        found = None
        if processes().is_main_process and self._state_path is not None:
            found = run_state.read(self._state_path)
        return _shared(found)

    def _write_state(self) -> None:
        if self._state_path is None or not processes().is_main_process:
            return
        state = {
            "trainer": self._trainer.state_dict(),
            "best": self._best.state_dict(),
            "run": self._identity(),
        }
        run_state.write(self._state_path, state)

    def _identity(self) -> dict[str, str]:
        """What an interrupted run must have had to be gone on with."""
        return {
            "base": self.base.sha256,
            "category": self.spec.category,
            "learned": digest([photo.hash_bits for photo in self._train]),
            "held_out": digest([photo.hash_bits for photo in self._held_out]),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state.get("run") != self._identity():
            raise InputError(
                "The interrupted run had another checkpoint or category, or other photos. Start anew instead "
                "of resuming it."
            )
        self._trainer.load_state_dict(state["trainer"])
        self._best.load_state_dict(state["best"])

    # The result

    def _calibration(self) -> CalibrationFile:
        """Limits of the new category and, anew, of all that were rehearsed; the others lose theirs."""
        base = self.base.calibration
        others = {name: known for name, known in self._known.items() if name != self.spec.category}
        measured = {name: self._measured(known.held_out) for name, known in others.items()}
        learned = self._known.get(self.spec.category)
        earlier = learned.held_out if learned is not None else []
        new = self._measured([*(image.encoded for image in self._held_out), *earlier])
        scale = scale_of(base, new.embeddings.shape[1])
        limits: dict[str, CategoryCalibration] = {}
        for name, parts in (measured | {self.spec.category: new}).items():
            known = base.categories.get(name)
            rates = self.spec.rates if known is None or name == self.spec.category else known.rates
            limits[name] = parts.calibration(scale, rates)
        return CalibrationFile(embedding_scale=tuple(scale.tolist()), categories=limits)

    def _measured(self, images: Sequence[EncodedImage]) -> GoodParts:
        parts = GoodParts()
        parts.measure(partial(mapped, self.detector), images)
        return parts

    def _judged_known(self) -> dict[str, dict[str, float]]:
        return {name: self._judged(known) for name, known in self._known.items() if known.held_out}

    def _judged(self, known: Rehearsal) -> dict[str, float]:
        """What the rehearsed category's held-out parts say now."""
        return asdict(HeldOutParts(known.held_out).judge(self.detector))

    def _report(self, calibration: CalibrationFile) -> dict[str, JsonValue]:
        """The run in JSON types; it stands in the checkpoint's model card too."""
        after = self._judged_known()
        best = asdict(self._best.judgment)
        return {
            "base": self.base.name,
            "base_sha256": self.base.sha256,
            "category": self.spec.category,
            "learned": list(dict.fromkeys((*learned_categories(self.base.config), self.spec.category))),
            "photos": {
                "given": len(self._photos),
                "trained_on": len(self._train),
                "held_out": len(self._held_out) - self._learned_before,
                "held_out_learned_before": self._learned_before,
                "refused": [asdict(refusal) for refusal in self.refused],
            },
            "spec": self.spec.model_dump(mode="json"),
            "limits": {
                "check": round(calibration.categories[self.spec.category].check, 5),
                "reject": round(calibration.categories[self.spec.category].reject, 5),
            },
            "steps": self._trainer.number,
            "seconds": round(self._trainer.seconds, 1),
            "best_step": self._best.step,
            "ended_early": self._is_exhausted(),
            "best": {key: round(value, 5) for key, value in best.items()},
            "history": [
                {key: round(value, 5) for key, value in entry.items()} for entry in self._best.history
            ],
            "known": {
                name: {
                    "before": {key: round(value, 5) for key, value in self._before[name].items()},
                    "after": {key: round(value, 5) for key, value in after[name].items()},
                    "reject_before": _reject(self.base.calibration, name),
                    "reject_after": _reject(calibration, name),
                }
                for name in after
            },
            "not_rehearsed": list(self._unknown),
            "device": next(self.detector.parameters()).device.type,
            "kernel": self.detector.resolved_kernel(next(self.detector.parameters()).device),
            "processes": processes().num_processes,
            "torch": torch.__version__,
            "version": __version__,
        }


def _shared(value: Shared) -> Shared:
    """What the main process has, in all processes: they must never decide differently."""
    if processes().num_processes == 1:
        return value
    held = [value]
    broadcast_object_list(held)
    return held[0]


def _reject(calibration: CalibrationFile, category: str) -> float | None:
    known = calibration.categories.get(category)
    return None if known is None else round(known.reject, 5)
