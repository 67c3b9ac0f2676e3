"""From what a visitor asks to what the page shows: one picture, one checkpoint, one judgement.

Reading and judging are the predictor's; components and events are `inspect_tab.py`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import CategoryCalibration
from mambaad_demo.hub.self_test import SelfTest
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.ui.allowance import take_pictures
from mambaad_demo.ui.samples import SamplePart, SampleShelf


@dataclass(frozen=True, slots=True)
class Photo:
    """A visitor's own picture."""

    path: Path
    """Inside Gradio's cache, where it is deleted in time."""

    @property
    def title(self) -> str:
        """The name its owner gave it."""
        return self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be inspected, and how."""

    source: Photo | SamplePart
    checkpoint: str
    category: str | None = None
    """None to take the nearest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A judged picture with what is needed to explain the judgement."""

    source: Photo | SamplePart
    prediction: Prediction
    calibration: CategoryCalibration | None
    """Of the prediction's category; None where the checkpoint has no limits for it."""
    self_test: SelfTest
    categories: tuple[str, ...]
    """Categories that the checkpoint knows."""


class Inspector:
    """Answers questions with the predictors of a catalog; keeps nothing between them."""

    def __init__(
        self,
        catalog: Catalog,
        shelf: SampleShelf,
        *,
        adjusted: Callable[[Predictor], Predictor] = lambda predictor: predictor,
        default_for: Callable[[str | None], str] | None = None,
    ) -> None:
        """
        Args:
            catalog: checkpoints by name.
            shelf: pictures for those who bring none.
            adjusted: puts the limits in force that people set.
            default_for: the checkpoint for a category when none is named; by default the first one.
        """
        self.catalog = catalog
        self.shelf = shelf
        self.default_for = default_for or (lambda category: next(iter(catalog.names()), "mambaad"))
        self._adjusted = adjusted

    def predictor(self, name: str) -> Predictor:
        """A checkpoint with the limits that are in force.

        Raises:
            UnknownReleaseError: there is no such checkpoint.
            CheckpointError: it cannot be loaded.
        """
        return self._adjusted(self.catalog.predictor(name))

    def inspect(self, question: Question) -> Inspection:
        """Judge the picture in question.

        Raises:
            InputError: the picture is gone, cannot be read or is too large, the category is unknown, or the
                visitor has had as many pictures as one may.
            CheckpointError: the checkpoint cannot be loaded.
        """
        take_pictures(1)
        predictor = self.predictor(question.checkpoint)
        picture = self.picture(question.source)
        prediction = model_thread.run(predictor.predict, picture, category=question.category)
        return Inspection(
            source=question.source,
            prediction=prediction,
            calibration=predictor.calibration_of(prediction.category),
            self_test=predictor.checkpoint.self_test,
            categories=predictor.categories,
        )

    def picture(self, source: Photo | SamplePart) -> Path | bytes:
        """What a predictor can read.

        Raises:
            InputError: an uploaded picture is gone.
        """
        if isinstance(source, SamplePart):
            return self.shelf.photo(source)
        if not source.path.is_file():
            raise InputError(
                f"{source.title} is no longer here: uploads are deleted in time. Upload it again."
            )
        return source.path
