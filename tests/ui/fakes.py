"""A predictor without a network for tests of the page: a part is as anomalous as it is bright."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from scipy.ndimage import gaussian_filter

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import DemoError, InputError, UnknownCategoryError, UnknownReleaseError
from mambaad_demo.hub.schemas import CalibrationFile, CategoryCalibration, Rates
from mambaad_demo.hub.self_test import SelfTest
from mambaad_demo.pipeline.catalog import Loading
from mambaad_demo.pipeline.prediction import Limits, Prediction
from mambaad_demo.pipeline.regions import find_regions

CATEGORIES = ("bottle_cap", "circuit_board")
CHECK, REJECT = 0.40, 0.50
GOOD_SCORES = tuple(np.linspace(0.20, 0.39, 40).round(4).tolist())

MapOf = Callable[[np.ndarray], np.ndarray]


def bright_spots(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) float in [0, 1] → (H, W) map: how much brighter than usual each place is."""
    gray = pixels.max(axis=2)
    return gaussian_filter(np.clip(gray - np.median(gray), 0, None), 1.0).astype(np.float32) * 1.5


def calibration() -> CategoryCalibration:
    return CategoryCalibration(
        scores=GOOD_SCORES,
        pixel_quantiles={"0.5": 0.05},
        check=CHECK,
        reject=REJECT,
        images=len(GOOD_SCORES),
        rates=Rates(check=0.1, reject=0.01),
        embedding=(0.0,),
        embedding_distances=(1.0,) * len(GOOD_SCORES),
    )


@dataclass
class FakePredictor:
    """Stands in for `Predictor` where only its answers matter."""

    name: str = "mambaad"
    map_of: MapOf = bright_spots
    categories: tuple[str, ...] = CATEGORIES
    device: str = "cpu"
    precision: str = "float32"
    kernel: str = "torch"
    asked: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checkpoint = SimpleNamespace(
            name=self.name,
            detector=SimpleNamespace(config=SimpleNamespace(decoder="mambaad")),
            sha256="ab" * 32,
            self_test=SelfTest(passed=True, largest_difference=2e-6),
            calibration=CalibrationFile(
                embedding_scale=(1.0,), categories={name: calibration() for name in self.categories}
            ),
        )

    def at_rates(self, rates: Rates) -> "FakePredictor":
        return self

    def calibration_of(self, category: str) -> CategoryCalibration | None:
        return self.checkpoint.calibration.categories.get(category)

    def limits(self, category: str) -> Limits:
        return Limits(check=CHECK, reject=REJECT) if category in self.categories else Limits()

    def predict_batch(
        self, images: Iterable[object], *, category: str | None = None
    ) -> list[Prediction | DemoError]:
        answers: list[Prediction | DemoError] = []
        for image in images:
            try:
                answers.append(self.predict(image, category=category))
            except InputError as error:
                answers.append(error)
        return answers

    def predict(self, image: object, *, category: str | None = None) -> Prediction:
        if category is not None and category not in self.categories:
            raise UnknownCategoryError(f"There is no category {category!r}.")
        self.asked.append(category)
        loaded = load_image(image)  # type: ignore[arg-type]
        return prediction(
            loaded.pixels,
            map_of=self.map_of,
            checkpoint=self.name,
            category=category or self.categories[0],
            category_source="given" if category else "suggested",
            file=getattr(image, "name", None),
            sha256=loaded.sha256,
            notes=loaded.notes,
        )


class FakeCatalog:
    """Stands in for `Catalog`."""

    def __init__(self, *predictors: FakePredictor) -> None:
        self.predictors = {predictor.name: predictor for predictor in predictors}

    def names(self) -> tuple[str, ...]:
        return tuple(self.predictors)

    def own_names(self) -> tuple[str, ...]:
        return ()

    def fetching(self, name: str) -> Iterator[Loading]:
        yield from ()

    def delete(self, name: str) -> None:
        raise UnknownReleaseError(f"There is no version {name!r}.")

    def predictor(self, name: str) -> FakePredictor:
        if name not in self.predictors:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return self.predictors[name]


def prediction(pixels: np.ndarray, *, map_of: MapOf = bright_spots, **changes: object) -> Prediction:
    """A prediction for (H, W, 3) float pixels in [0, 1], judged as `FakePredictor` does."""
    anomaly_map = map_of(pixels)
    score = float(anomaly_map.max())
    limits = Limits(check=CHECK, reject=REJECT)
    height, width = anomaly_map.shape
    shown = np.rint(pixels * 255).astype(np.uint8)
    values: dict[str, object] = {
        "image": shown,
        "anomaly_map": anomaly_map,
        "model_map": np.ascontiguousarray(anomaly_map[:64, :64]),
        "model_input": np.ascontiguousarray(shown[:64, :64]),
        "file": "part.png",
        "sha256": "cd" * 32,
        "width": width,
        "height": height,
        "checkpoint": "mambaad",
        "checkpoint_sha256": "ab" * 32,
        "decoder": "mambaad",
        "encoder": "tf_efficientnet_lite0",
        "category": CATEGORIES[0],
        "category_source": "suggested",
        "category_margin": 0.5,
        "embedding_distance": 1.0,
        "image_score": score,
        "percentile": 100.0 * min(np.searchsorted(GOOD_SCORES, score), 40) / 41,
        "limits": limits,
        "pixel_median": 0.05,
        "verdict": limits.verdict(score),
        "regions": find_regions(anomaly_map, CHECK) if score >= CHECK else (),
        "timings_ms": {"decode": 9.1, "preprocess": 3.0, "model": 214.4, "map": 6.2, "total": 232.7},
        "kernel": "torch",
        "device": "cpu",
        "precision": "float32",
        "version": "0.1.0",
        "notes": (),
    }
    return Prediction(**{**values, **changes})  # type: ignore[arg-type]
