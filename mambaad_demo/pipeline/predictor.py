"""The single door to the detector: a picture in, a judged `Prediction` at the picture's own size out.

It holds no state between calls and may be shared by threads. Decoding is `data.uploads`' business, the
checkpoint `hub.checkpoints`', drawing the overlay's.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import DemoError, InputError, UnknownCategoryError
from mambaad_demo.hub.checkpoints import Checkpoint, load_checkpoint
from mambaad_demo.hub.schemas import MOST_TILES, CalibrationFile, CategoryCalibration, Rates
from mambaad_demo.models.encoder import Precision
from mambaad_demo.pipeline.calibration import calibration_sha256, limits_from_scores, scale_of
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput, ModelOutput, image_score
from mambaad_demo.pipeline.prediction import UNKNOWN_CATEGORY, Limits, Prediction, Region, Verdict
from mambaad_demo.pipeline.regions import find_regions
from mambaad_demo.pipeline.suggestion import CategoryIndex, Suggestion
from mambaad_demo.version import __version__

__all__ = ["ImageSource", "Limits", "Prediction", "Predictor", "Region", "Verdict"]

ImageSource = str | Path | bytes | Image.Image | np.ndarray
"""A path, the bytes of a file, a PIL image or a uint8/uint16 array (H, W) or (H, W, 3)."""

MAX_MEGAPIXELS = 40.0
"""Pixel budget of one image."""
MAX_MEGAPIXELS_IN_BATCH = 12.5
"""Pixel budget of each image of a batch: cameras sold as twelve megapixels make 4032 × 3024, or 12.2."""

STRANGER_NOTE = "Looks like none of the products this checkpoint knows; the verdict may mean nothing."

_CHUNK_IMAGES = 8
_CHUNK_MEGAPIXELS = 24.0  # of images and canvases held while a batch streams, whichever bound is met first


class Predictor:
    """Judges images with one checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        """With the limits that are in force here; see `with_calibrations`."""
        self._plain = checkpoint
        self._sets: dict[tuple[str, int], CategoryCalibration] = {}
        self.runner = DetectorRunner(checkpoint.detector)
        self._index = CategoryIndex(checkpoint.calibration)
        self._rates: Rates | None = None
        self.tiles = checkpoint.config.tiles
        """Overlapping model inputs along the longer side of an image."""

    @classmethod
    def from_checkpoint(
        cls,
        name: str | Path,
        *,
        device: str = "auto",
        kernel: str = "auto",
        precision: Precision = "float32",
        checkpoints_root: Path | None = None,
        versions_root: Path | None = None,
        allowed_repos: Iterable[str] = (),
    ) -> Self:
        """Load a checkpoint and stand ready; see `load_checkpoint` for the arguments and errors."""
        return cls(
            load_checkpoint(
                name,
                device=device,
                kernel=kernel,
                precision=precision,
                checkpoints_root=checkpoints_root,
                versions_root=versions_root,
                allowed_repos=allowed_repos,
            )
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories that `predict` accepts, whether or not they have limits for this number of tiles."""
        known = self._plain.config.categories, self._plain.calibration.categories
        return tuple(dict.fromkeys((*known[0], *known[1], *(name for name, _ in self._sets))))

    @property
    def device(self) -> str:
        """Kind of device the detector runs on: `cpu` or `cuda`."""
        return self.runner.device.type

    @property
    def kernel(self) -> str:
        """Selective-scan backend that runs there."""
        return self.runner.kernel

    @property
    def precision(self) -> str:
        """Arithmetic of the encoder: `float32`, `float16` or `bfloat16`."""
        return self.runner.detector.encoder.precision

    def limits(self, category: str) -> Limits:
        """Limits of a category; both None where it is not calibrated, or for another number of tiles."""
        calibration = self.calibration_of(category)
        if calibration is None:
            return Limits()
        if self._rates is not None:
            return limits_from_scores(calibration.scores, self._rates)
        return Limits(check=calibration.check, reject=calibration.reject)

    def at_rates(self, rates: Rates) -> Self:
        """The same detector with limits that aim at other false-reject rates."""
        other = copy(self)
        other._rates = rates
        return other

    def with_calibration(
        self, category: str, calibration: CategoryCalibration, *, tiles: int | None = None
    ) -> Self:
        """The same detector with other limits for one category, which may be new to the checkpoint.

        Args:
            tiles: for which the scores hold; those of this predictor where None.
        """
        return self.with_calibrations({**self._sets, (category, tiles or self.tiles): calibration})

    def with_calibrations(self, sets: Mapping[tuple[str, int], CategoryCalibration]) -> Self:
        """The same detector with these sets in place of the checkpoint's own limits and of all sets before.

        `checkpoint` is then as if it had been saved with the limits for this number of tiles, hash included,
        so that results say what they were judged by.

        Args:
            sets: (category, tiles) → what good parts look like when looked at this closely.
        """
        other = copy(self)
        other._sets = dict(sets)
        other._take_sets()
        return other

    def tiled(self, tiles: int) -> Self:
        """The same detector looking at `tiles` overlapping parts along an image's longer side, 1 to
        `MOST_TILES`.

        Scores depend on how closely the model looks: limits hold for the number they were set with.

        Raises:
            InputError: a number out of range.
        """
        if not 1 <= tiles <= MOST_TILES:
            raise InputError(f"Choose 1 to {MOST_TILES} tiles along the longer side, not {tiles}.")
        other = copy(self)
        other.tiles = tiles
        other._take_sets()
        return other

    def input_of(self, image: ImageSource, *, max_megapixels: float = MAX_MEGAPIXELS_IN_BATCH) -> ModelInput:
        """An image as the detector takes it.

        Raises:
            InputError: it cannot be read or is too large.
        """
        return _read(image, self._plain, self.tiles, max_megapixels).model_input

    def predict(self, image: ImageSource, *, category: str | None = None) -> Prediction:
        """Judge one image.

        Args:
            image: see `ImageSource`; at most `MAX_MEGAPIXELS`.
            category: one of `categories`, or None to take the nearest one.

        Raises:
            InputError: the image cannot be read, is too large, or the category is unknown.
        """
        self._require_known(category)
        return self._judge([_read(image, self.checkpoint, self.tiles, MAX_MEGAPIXELS)], category)[0]

    def predict_batch(
        self, images: Iterable[ImageSource], *, category: str | None = None
    ) -> list[Prediction | DemoError]:
        """Judge many images; the result has their order, and an error in place of each refused one."""
        return list(self.predict_stream(images, category=category))

    def predict_stream(
        self,
        images: Iterable[ImageSource],
        *,
        category: str | None = None,
        max_megapixels: float = MAX_MEGAPIXELS_IN_BATCH,
    ) -> Iterator[Prediction | DemoError]:
        """Judge images as they come, holding only a few at a time; errors are yielded in their place.

        Raises:
            UnknownCategoryError: on the first step, if the checkpoint does not know the category.
        """
        self._require_known(category)
        chunk: list[_Prepared | DemoError] = []
        megapixels = 0.0
        for image in images:
            try:
                prepared = _read(image, self.checkpoint, self.tiles, max_megapixels)
                megapixels += (prepared.display.size + prepared.model_input.pixels.size) / 3e6
                chunk.append(prepared)
            except InputError as error:
                chunk.append(error)
            if len(chunk) >= _CHUNK_IMAGES or megapixels >= _CHUNK_MEGAPIXELS:
                yield from self._judge_chunk(chunk, category)
                chunk, megapixels = [], 0.0
        yield from self._judge_chunk(chunk, category)

    def calibration_of(self, category: str) -> CategoryCalibration | None:
        """What is known of good parts of a category when looked at this closely."""
        found = self._sets.get((category, self.tiles))
        if found is None and self.tiles == self._plain.config.tiles:
            return self._plain.calibration.categories.get(category)
        return found

    def _take_sets(self) -> None:
        """Let the sets for this number of tiles hold."""
        sets = {name: one for (name, tiles), one in self._sets.items() if tiles == self.tiles}
        self.checkpoint = self._plain if not sets else _recalibrated(self._plain, sets)
        self._index = CategoryIndex(self.checkpoint.calibration)

    def _judge_chunk(
        self, chunk: "list[_Prepared | DemoError]", category: str | None
    ) -> Iterator[Prediction | DemoError]:
        predictions = iter(self._judge([item for item in chunk if isinstance(item, _Prepared)], category))
        for item in chunk:
            yield item if isinstance(item, DemoError) else next(predictions)

    def _judge(self, images: "list[_Prepared]", category: str | None) -> list[Prediction]:
        if not images:
            return []
        output = self.runner([image.model_input for image in images])
        return [
            self._prediction(
                image, anomaly_map, self._index.suggest(embedding, given=category), category, output
            )
            for image, anomaly_map, embedding in zip(images, output.maps, output.embeddings, strict=True)
        ]

    def _prediction(
        self,
        image: "_Prepared",
        anomaly_map: np.ndarray,
        suggestion: Suggestion | None,
        given: str | None,
        output: ModelOutput,
    ) -> Prediction:
        start = time.perf_counter()
        category = given or (suggestion.category if suggestion else UNKNOWN_CATEGORY)
        calibration = self.calibration_of(category)
        limits = self.limits(category)
        score = image_score(anomaly_map, image.model_input.geometry)
        verdict = limits.verdict(score)
        full_map = image.model_input.geometry.map_to_image(anomaly_map)  # (H, W)
        regions: tuple[Region, ...] = ()
        if limits.check is not None and verdict is not Verdict.ACCEPT:
            regions = regions_from(full_map, limits.check, image.model_input.geometry)
        model_ms = output.milliseconds / len(output.maps)
        timings = image.timings_ms | {"model": model_ms, "map": _milliseconds_since(start)}
        height, width = full_map.shape
        return Prediction(
            image=image.display,
            anomaly_map=full_map,
            model_map=anomaly_map,
            model_input=_as_uint8(image.model_input.pixels),
            file=image.file,
            sha256=image.sha256,
            width=width,
            height=height,
            checkpoint=self.checkpoint.name,
            checkpoint_sha256=self.checkpoint.sha256,
            decoder=self.checkpoint.detector.config.decoder,
            encoder=self.checkpoint.detector.config.encoder,
            category=category,
            category_source="suggested" if given is None else "given",
            category_margin=suggestion.margin if suggestion else 0.0,
            embedding_distance=suggestion.distance if suggestion else None,
            image_score=score,
            percentile=None if calibration is None else good_percentile(score, calibration),
            limits=limits,
            pixel_median=0.0 if calibration is None else calibration.pixel_quantiles["0.5"],
            verdict=verdict,
            regions=regions,
            timings_ms=timings | {"total": sum(timings.values())},
            kernel=output.kernel,
            device=output.device,
            precision=self.precision,
            version=__version__,
            tiles=len(image.model_input.geometry.tiling),
            notes=(*image.notes, *output.notes, *self._notes(category, suggestion, given)),
        )

    def _notes(self, category: str, suggestion: Suggestion | None, given: str | None) -> Iterator[str]:
        """What a person should know about the category and the limits."""
        if self.calibration_of(category) is None:
            own = self.checkpoint.config.tiles
            yield no_limits_note(category, self.tiles, own_tiles=own)
            if self.tiles != own:
                return
        if suggestion and suggestion.is_stranger:
            yield STRANGER_NOTE
        elif suggestion and given and suggestion.nearest != given:
            yield f"Judged as {given}, but it looks more like {suggestion.nearest}."

    def _require_known(self, category: str | None) -> None:
        if category is None or category in self.categories:
            return
        known = ", ".join(self.categories) or "no categories"
        raise UnknownCategoryError(
            f"Checkpoint {self.checkpoint.name!r} does not know the category {category!r}; it knows {known}. "
            "Choose one of them, or leave the category out to take the nearest."
        )


def no_limits_note(category: str, tiles: int, *, own_tiles: int) -> str:
    """Why there is no verdict but `check`, and what to do.

    Args:
        category: what a picture was judged as.
        tiles: how closely it was looked at.
        own_tiles: how closely the checkpoint looks by itself.
    """
    if tiles != own_tiles:
        return (
            f"The limits of this checkpoint are for {tiles_text(own_tiles)}, not for {tiles_text(tiles)}, so "
            "the verdict is 'check' for every image. Calibrate it with good images at this number of tiles."
        )
    what = "This checkpoint" if category == UNKNOWN_CATEGORY else f"The category {category}"
    return (
        f"{what} has no limits yet, so the verdict is 'check' for every image. Calibrate it with good images."
    )


def tiles_text(tiles: int) -> str:
    """How closely the model looks, in words."""
    return "whole pictures" if tiles == 1 else f"{tiles} tiles along the longer side"


def regions_from(full_map: np.ndarray, check: float, geometry: Geometry) -> tuple[Region, ...]:
    """What stands out of a map of a part that is not accepted; at least one region.

    Args:
        full_map: (H, W) at the size of the image.
        check: the limit from which a person should look.
        geometry: how the image lay on the canvas of the model.
    """
    threshold = min(check, float(full_map.max()))  # resizing may lower a borderline peak
    content = geometry.content
    image_pixels_in_one = geometry.width * geometry.height / (content.width * content.height)
    return find_regions(full_map, threshold, cell_area=image_pixels_in_one)


def good_percentile(score: float, calibration: CategoryCalibration) -> float:
    """Share of good images with a lower score, in percent; n good images show at most n / (n + 1)."""
    return 100.0 * bisect_left(calibration.scores, score) / (calibration.images + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A decoded image, reduced to what the result needs."""

    display: np.ndarray
    model_input: ModelInput
    file: str | None
    sha256: str
    notes: tuple[str, ...]
    timings_ms: dict[str, float]


def _read(source: ImageSource, checkpoint: Checkpoint, tiles: int, max_megapixels: float) -> _Prepared:
    start = time.perf_counter()
    loaded = load_image(source, max_megapixels=max_megapixels)
    decode_ms = _milliseconds_since(start)
    start = time.perf_counter()
    model_input = ModelInput.from_pixels(
        loaded.pixels, side=checkpoint.detector.side, resize=checkpoint.config.resize, tiles=tiles
    )
    display = _as_uint8(loaded.pixels)
    return _Prepared(
        display=display,
        model_input=model_input,
        file=Path(source).name if isinstance(source, str | Path) else None,
        sha256=loaded.sha256,
        notes=loaded.notes,
        timings_ms={"decode": decode_ms, "preprocess": _milliseconds_since(start)},
    )


def _recalibrated(checkpoint: Checkpoint, sets: Mapping[str, CategoryCalibration]) -> Checkpoint:
    """The checkpoint as if it had been saved with these categories instead of, or beside, its own."""
    length = len(next(iter(sets.values())).embedding)
    calibration = CalibrationFile(
        embedding_scale=tuple(scale_of(checkpoint.calibration, length).tolist()),
        categories={**checkpoint.calibration.categories, **sets},
    )
    config, hashes = checkpoint.config, checkpoint.config.sha256
    if hashes is not None:
        hashes = hashes.model_copy(update={"calibration": calibration_sha256(calibration)})
        config = config.model_copy(update={"sha256": hashes})
    return replace(checkpoint, calibration=calibration, config=config)


def _as_uint8(pixels: np.ndarray) -> np.ndarray:
    return (pixels * 255.0 + 0.5).astype(np.uint8)


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
