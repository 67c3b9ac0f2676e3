"""Versions without a network, told apart by their limits alone, and a store with golden pictures for them.

A picture scores the red of its first pixel, as in `stored.py`.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import DemoError, InputError, UnknownReleaseError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits, Prediction
from mambaad_demo.storage import labels
from mambaad_demo.storage.inspections import sha256_of
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import BatchSpec
from tests.ui.fakes import prediction
from tests.workflow.stored import image_ids, inspected, part

CATEGORY = "cap"
CHECK, REJECT = 0.4, 0.5


class Version:
    """Stands in for `Predictor`."""

    tiles = 1
    kernel = "torch"
    device = "cpu"

    def __init__(
        self,
        name: str,
        *,
        check: float | None = CHECK,
        reject: float | None = REJECT,
        categories: tuple[str, ...] = (CATEGORY,),
        weights: str = "",
    ) -> None:
        self.categories = categories
        self.in_force = Limits(check=check, reject=reject)
        self.turns: list[int] = []
        self.checkpoint = SimpleNamespace(
            name=name,
            sha256=sha256_of((weights or name).encode()),
            config=SimpleNamespace(
                sha256=SimpleNamespace(calibration="ef" * 32), resize="letterbox", tiles=1
            ),
            detector=SimpleNamespace(side=16, config=SimpleNamespace(decoder="mambaad", encoder="none")),
        )

    def limits(self, category: str) -> Limits:
        return self.in_force if category in self.categories else Limits()

    def predict_batch(
        self, images: Iterable[bytes], *, category: str | None = None
    ) -> list[Prediction | DemoError]:
        contents = list(images)
        self.turns.append(len(contents))
        return [self._judged(content) for content in contents]

    def _judged(self, content: bytes) -> Prediction | DemoError:
        try:
            loaded = load_image(content, max_megapixels=12)
        except InputError as error:
            return error
        score = float(loaded.pixels[0, 0, 0])
        verdict = self.in_force.verdict(score)
        return prediction(loaded.pixels, image_score=score, limits=self.in_force, verdict=verdict, regions=())


class Versions:
    """Stands in for `Catalog`."""

    def __init__(self, *versions: Version, own: Iterable[str] = ()) -> None:
        self.versions = {version.checkpoint.name: version for version in versions}
        self.own = tuple(own)

    def names(self) -> tuple[str, ...]:
        return tuple(self.versions)

    def own_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.own if name in self.versions)

    def predictor(self, name: str) -> Version:
        if name not in self.versions:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return self.versions[name]


def add_golden(
    workspace: Workspace,
    scores: Mapping[str, tuple[float, Finding]],
    *,
    product: str = CATEGORY,
    start: int = 0,
) -> None:
    """Put pictures into the golden set of a product, by name with their score and what they show."""
    contents = {
        name: part(score, number) for number, (name, (score, _)) in enumerate(scores.items(), start=start)
    }
    inspected(workspace, contents, spec=BatchSpec(checkpoint="scorer", product=product))
    ids = image_ids(workspace)
    for name, (_, finding) in scores.items():
        know(workspace, ids[name], finding)


def know(workspace: Workspace, image_id: int, finding: Finding, *, is_golden: bool = True) -> None:
    """Say what a picture shows, and whether it belongs to the golden set."""
    labels.decide(workspace, image_id, Label(finding=finding), reviewer="Mira", is_golden=is_golden)


KNOWN = {
    "fine.png": (0.20, Finding.GOOD),
    "dull.png": (0.45, Finding.GOOD),
    "scratch.png": (0.60, Finding.DEFECT),
    "crack.png": (0.90, Finding.DEFECT),
}
"""At the usual limits one good part is checked and both defects are rejected."""
