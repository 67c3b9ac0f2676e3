"""Stores that hold judged pictures, made without a network: a part's score is the red of its first pixel."""

import io
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import DemoError, InputError, UnknownCategoryError, UnknownReleaseError
from mambaad_demo.hub.schemas import CalibrationFile, CategoryCalibration
from mambaad_demo.pipeline.prediction import Limits, Prediction
from mambaad_demo.pipeline.regions import find_regions
from mambaad_demo.storage import jobs, listing, review
from mambaad_demo.storage.database import Database
from mambaad_demo.storage.files import FileStore
from mambaad_demo.storage.inspections import StoredInspection, sha256_of
from mambaad_demo.storage.listing import Filters, Order
from mambaad_demo.storage.review import Queue
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import BatchSpec, new_batch, run_batch
from tests.ui.fakes import calibration, prediction

CATEGORIES = ("cap", "gear")
LIMITS = Limits(check=0.4, reject=0.5)
SIDE = 16
WIDTH, HEIGHT = 32, 24
SPEC = BatchSpec(checkpoint="scorer")


def part(score: float = 0.2, number: int = 0, *, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A PNG that is judged as `score`, to 1/255; other numbers give other pictures."""
    noise = np.random.default_rng(number).integers(60, 120, (HEIGHT, WIDTH, 3), np.uint8)
    pixels = np.tile(noise, (height // HEIGHT + 1, width // WIDTH + 1, 1))[:height, :width]
    pixels[0, 0] = round(score * 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def parts(count: int, *, score: float = 0.2) -> dict[str, bytes]:
    """Different parts by name, in order."""
    return {f"part {number:03d}.png": part(score, number) for number in range(count)}


@dataclass
class Scorer:
    """Stands in for `Predictor`; remembers which pictures it was asked about and where."""

    name: str = "scorer"
    limits: Limits = LIMITS
    categories: tuple[str, ...] = CATEGORIES
    before: Callable[[int], None] = lambda asked: None
    """Called before each turn with how many pictures there were so far; may wait or raise."""
    tiles: int = 1
    asked: list[str] = field(default_factory=list)
    """Hashes."""
    turns: list[int] = field(default_factory=list)
    """Pictures in each call."""
    threads: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.checkpoint = SimpleNamespace(
            name=self.name,
            sha256=sha256_of(self.name.encode()),
            config=SimpleNamespace(
                sha256=SimpleNamespace(calibration="ef" * 32), resize="letterbox", tiles=1
            ),
            detector=SimpleNamespace(side=SIDE, config=SimpleNamespace(decoder="mambaad", encoder="none")),
            calibration=CalibrationFile(
                embedding_scale=(1.0,), categories={name: calibration() for name in self.categories}
            ),
        )

    def tiled(self, tiles: int) -> "Scorer":
        if not 1 <= tiles <= 16:
            raise InputError(f"Choose 1 to 16 tiles along the longer side, not {tiles}.")
        other = copy(self)
        other.tiles = tiles
        return other

    def with_calibrations(self, sets: Mapping[tuple[str, int], CategoryCalibration]) -> "Scorer":
        assert not sets, "its limits are those it was made with"
        return self

    def calibration_of(self, category: str) -> CategoryCalibration | None:
        return self.checkpoint.calibration.categories.get(category)

    def predict_batch(
        self, images: Iterable[bytes], *, category: str | None = None
    ) -> list[Prediction | DemoError]:
        if category is not None and category not in self.categories:
            raise UnknownCategoryError(f"The checkpoint does not know {category!r}.")
        contents = list(images)
        self.before(len(self.asked))
        self.asked += map(sha256_of, contents)
        self.turns.append(len(contents))
        self.threads.add(threading.current_thread().name)
        return [self._judged(content, category) for content in contents]

    def _judged(self, content: bytes, category: str | None) -> Prediction | DemoError:
        try:
            loaded = load_image(content, max_megapixels=12)
        except InputError as error:
            return error
        height, width = loaded.pixels.shape[:2]
        geometry = Geometry.fit(width, height, SIDE, "letterbox", self.tiles)
        score = float(loaded.pixels[0, 0, 0])
        model_map = np.full((geometry.tiling.height, geometry.tiling.width), score / 2, np.float32)
        model_map[geometry.content.top + geometry.content.height // 2, geometry.content.left + 3] = score
        anomaly_map = geometry.map_to_image(model_map)
        verdict = self.limits.verdict(score)
        return prediction(
            loaded.pixels,
            anomaly_map=anomaly_map,
            model_map=model_map,
            file=None,
            sha256=loaded.sha256,
            checkpoint=self.name,
            checkpoint_sha256=self.checkpoint.sha256,
            category=category or self.categories[0],
            category_source="given" if category else "suggested",
            image_score=score,
            limits=self.limits,
            verdict=verdict,
            regions=find_regions(anomaly_map, min(0.4, float(anomaly_map.max())))
            if self.limits.check is not None and verdict != "accept"
            else (),
        )


class Shelf:
    """Stands in for `Catalog`."""

    def __init__(self, *predictors: Scorer) -> None:
        self.predictors = {predictor.name: predictor for predictor in predictors}

    def names(self) -> tuple[str, ...]:
        return tuple(self.predictors)

    def own_names(self) -> tuple[str, ...]:
        return ()

    def delete(self, name: str) -> None:
        raise UnknownReleaseError(f"There is no version {name!r}.")

    def predictor(self, name: str) -> Scorer:
        if name not in self.predictors:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return self.predictors[name]


@cache
def _empty_database() -> bytes:
    """A file with all tables; making them takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        Database.open(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def open_store(folder: Path) -> Iterator[Workspace]:
    """An empty SQLite store that is closed in the end; its files lie in memory, which waits for no disk."""
    (folder / "store.db").write_bytes(_empty_database())
    database = Database.at_any_schema(f"sqlite:///{folder / 'store.db'}")
    files = FileStore(f"memory://{secrets.token_hex(8)}")
    workspace = Workspace(database, files)
    try:
        yield workspace
    finally:
        workspace.database.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Such a store; import it where SQLite alone will do."""
    with open_store(tmp_path) as opened:
        yield opened


def pictures(contents: Mapping[str, bytes]) -> list[Picture]:
    """Pictures in memory, as `pictures_of` would list them."""
    return [
        Picture(name=name, is_anomalous=None, read=partial(bytes, content))
        for name, content in contents.items()
    ]


def inspected(
    workspace: Workspace,
    contents: Mapping[str, bytes],
    *,
    predictor: Scorer | None = None,
    spec: BatchSpec = SPEC,
    name: str = "batch",
) -> str:
    """Run a batch over pictures by name; returns the id of its job."""
    job_id = new_batch(workspace, spec, name=name, actor="test")
    for _ in run_batch(workspace, job_id, predictor or Scorer(), pictures(contents)):  # type: ignore[arg-type]
        pass
    return job_id


def found(workspace: Workspace, **filters: object) -> list[StoredInspection]:
    """What a listing shows, by default in the order of the names."""
    return listing.page(workspace, Filters(**{"order": Order.NAME} | filters), limit=1000)  # type: ignore[arg-type]


def names(workspace: Workspace, **filters: object) -> list[str]:
    """The names of what a listing shows."""
    return [inspection.name for inspection in found(workspace, **filters)]


def image_ids(workspace: Workspace) -> dict[str, int]:
    """Pictures by name."""
    return {inspection.name: inspection.image_id for inspection in found(workspace)}


def outcomes(workspace: Workspace, job_id: str) -> dict[str, str]:
    """The verdict or the reason of refusal, by name, in the order of the batch."""
    return {
        item.name: item.error if item.inspection is None else item.inspection.verdict.value
        for item in jobs.items(workspace, job_id)
    }


def queue_of(reviewer: str, *, is_shared: bool = True, **filters: object) -> Queue:
    """A reviewer at work."""
    return Queue(reviewer=reviewer, filters=Filters(**filters), is_shared=is_shared)  # type: ignore[arg-type]


def turn(workspace: Workspace, queue: Queue, seen: Iterable[int] = ()) -> tuple[str, bool] | None:
    """Name of the next part, and whether it is a hidden repeat."""
    found = review.next_turn(workspace, queue, seen=set(seen))
    return None if found is None else (found.inspection.name, found.is_repeat)
