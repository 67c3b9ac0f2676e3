"""One picture through several checkpoints of the catalog, and what each of them costs; components and events
are `compare_tab.py`'s."""

import statistics
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.comparison import compare
from mambaad_demo.pipeline.cost import Cost, measure_cost, time_passes
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.set_comparison import Progress, SetComparison, compare_set
from mambaad_demo.ui.allowance import counted, take_pictures
from mambaad_demo.ui.inspection import Inspector, Photo
from mambaad_demo.ui.samples import SamplePart

MOST_AT_ONCE = 3
PASSES = 5
"""Timed passes of each checkpoint at each comparison."""


class Comparer:
    """Compares pictures with an inspector's checkpoints; remembers nothing but what each checkpoint costs."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._costs: dict[str, Cost] = {}
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=10 * PASSES))

    def require_choice(self, checkpoints: Sequence[str]) -> None:
        """Refuse a choice that cannot stand side by side.

        Raises:
            InputError: none, too many, or one twice.
        """
        if not 1 <= len(set(checkpoints)) == len(checkpoints) <= MOST_AT_ONCE:
            raise InputError(
                f"Choose one to {MOST_AT_ONCE} different checkpoints, not {len(checkpoints)}: "
                f"{', '.join(checkpoints) or 'none'}."
            )

    def predictions(
        self, source: Photo | SamplePart, checkpoints: Sequence[str], category: str | None
    ) -> Iterator[Prediction]:
        """The judgements one after another, each as soon as it is there.

        Raises:
            InputError: the choice, the picture or the category is refused, or the visitor has had as many
                pictures as one may.
            CheckpointError: a checkpoint cannot be loaded.
        """
        self.require_choice(checkpoints)
        take_pictures(len(checkpoints))
        picture = self._inspector.picture(source)
        predictors = [self._inspector.predictor(name) for name in checkpoints]
        judged = compare(predictors, picture, category=category)
        while (prediction := model_thread.run(next, judged, None)) is not None:
            yield prediction

    def on_set(
        self, pictures: Sequence[Picture], checkpoints: Sequence[str], category: str | None
    ) -> Iterator[Progress | SetComparison]:
        """Progress, at last the comparison; see `compare_set`.

        Raises:
            InputError: the choice, all pictures or the category are refused, or the visitor has had as many
                pictures as one may.
            CheckpointError: a checkpoint cannot be loaded.
        """
        self.require_choice(checkpoints)
        predictors = [self._inspector.predictor(name) for name in checkpoints]
        return counted(compare_set(predictors, pictures, category=category), times=len(predictors))

    def categories(self, checkpoints: Sequence[str]) -> tuple[str, ...]:
        """Categories that all of these checkpoints know, as the first one orders them.

        Raises:
            InputError: the choice is refused.
            CheckpointError: one cannot be loaded.
        """
        self.require_choice(checkpoints)
        known = [self._inspector.predictor(name).categories for name in checkpoints]
        return tuple(name for name in known[0] if all(name in others for others in known))

    def costs(self, checkpoints: Sequence[str]) -> list[Cost]:
        """What each checkpoint takes for one image.

        Its time is the median of its last passes: each call adds some, taken in turns, so that a moment in
        which the machine was busy is outweighed.
        """
        detectors = [self._inspector.predictor(name).checkpoint.detector for name in checkpoints]
        for name, detector in zip(checkpoints, detectors, strict=True):
            if name not in self._costs:
                self._costs[name] = model_thread.run(measure_cost, detector, repeats=1)
        passes = model_thread.run(time_passes, detectors, repeats=PASSES)
        for name, times in zip(checkpoints, passes, strict=True):
            self._times[name].extend(times)
        return [
            replace(self._costs[name], milliseconds=statistics.median(self._times[name]))
            for name in checkpoints
        ]
