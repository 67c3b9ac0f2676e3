"""A line that makes gray parts, and a real predictor for them that knows their scores without a network.

A part's score is how far its brightest spot is from mid gray.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from mambaad_demo.hub.schemas import FileHashes
from mambaad_demo.pipeline.calibration import calibration_sha256
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import labels, limits
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import BatchSpec
from tests.pipeline.conftest import stub_predictor
from tests.workflow.stored import found, image_ids, inspected

SIDE = 64
NAME = "stub"


def part(score: float, number: int = 0) -> bytes:
    """A PNG of a mid-gray part with one spot; other numbers give other pictures."""
    pixels = np.full((SIDE, SIDE, 3), 128, np.uint8)
    pixels[20:30, 20:30] = round((0.5 + score) * 255)
    pixels[0, 0, 0] = 120 + number % 16
    pixels[0, 1, 0] = 120 + number // 16
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def score_of(score: float) -> float:
    """What the predictor says of `part(score)`."""
    return abs(round((0.5 + score) * 255) / 255 - 0.5)


def good_parts(count: int = 20, *, around: float = 0.15) -> dict[str, bytes]:
    """Good parts by name, whose scores differ a little."""
    return {f"good {n:02d}.png": part(around + 0.01 * (n % 5), n) for n in range(count)}


def line_predictor(
    *, calibrated: bool = True, tiles: int = 1, trained_on: str | None = None, learned: Sequence[str] = ()
) -> Predictor:
    """A predictor that knows gray and brown parts, as if its checkpoint had been saved.

    Args:
        trained_on: what it was fine-tuned for, if it was.
        learned: what it and its bases were fine-tuned for, where it says so.
    """
    checkpoint = stub_predictor(calibrated=calibrated, tiles=tiles).checkpoint
    hashes = FileHashes(
        model=checkpoint.sha256, calibration=calibration_sha256(checkpoint.calibration), golden="cd" * 32
    )
    training = {} if trained_on is None else {"category": trained_on}
    training |= {"learned": list(learned)} if learned else {}
    changes = {"sha256": hashes, "training": training}
    return Predictor(replace(checkpoint, config=checkpoint.config.model_copy(update=changes)))


class Rack:
    """Stands in for `Catalog`: one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.only = predictor

    def names(self) -> tuple[str, ...]:
        return (NAME,)

    def predictor(self, name: str) -> Predictor:
        assert name == NAME
        return self.only


def inspect(
    workspace: Workspace,
    predictor: Predictor,
    contents: dict[str, bytes],
    *,
    category: str | None = "gray",
    product: str | None = None,
    tiles: int | None = None,
) -> None:
    """Judge parts by the limits in force and store them."""
    spec = BatchSpec(checkpoint=NAME, category=category, product=product, tiles=tiles)
    judge = limits.in_force(workspace, predictor)
    inspected(workspace, contents, predictor=judge, spec=spec)  # type: ignore[arg-type]


def say(workspace: Workspace, names: Iterable[str], finding: Finding, *, is_taught: bool = False) -> None:
    """Decide on parts by name."""
    ids = image_ids(workspace)
    for name in names:
        label = Label(finding=finding)
        labels.decide(workspace, ids[name], label, reviewer="Mira", is_taught=is_taught)


def verdicts(workspace: Workspace) -> dict[str, str]:
    """The verdict of each part as it stands."""
    return {inspection.name: inspection.verdict.value for inspection in found(workspace)}
