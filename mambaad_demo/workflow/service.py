"""The running server as who operates it sees it: health, self-tests, queue, disk, retention, uptime.

There are counts only of what visitors do, and no place on this machine.
"""

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mambaad_demo.errors import DemoError, HubUnreachableError, UnknownReleaseError
from mambaad_demo.hub.manifest import Release
from mambaad_demo.hub.self_test import SelfTest
from mambaad_demo.pipeline import checkpoint_health, model_thread
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.checkpoint_health import CheckpointHealth
from mambaad_demo.pipeline.health import Health, health_of
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.workflow.batch_runner import BatchRunner
from mambaad_demo.workflow.disk_use import DiskGauge, DiskUse
from mambaad_demo.workflow.shared_test import SelfTestRun, SharedTest
from mambaad_demo.workflow.training.runner import TrainingRunner

_READY, _CLOSING, _FAILED = "ready", "closing", "failed"
_DIFFERS = (
    "It computes something else than when it was saved, and is loaded anew before its next use. Run the "
    "self-test again; if it fails or is refused then too, restart the server with MAMBAAD_KERNEL=torch or "
    "MAMBAAD_DEVICE=cpu."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is deleted when."""

    uploads_minutes: int
    stored_work_minutes: int | None
    """Batches, labels and studies of a visitor; None where all share them and they are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What is at work or waits for its turn."""

    batches: int
    trainings: int
    model_lane: int
    """Calls on the thread that computes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A moment of the server."""

    state: str
    """`ready`, `closing`, or `failed` where a checkpoint does not pass its self-test."""
    uptime_seconds: int
    queue: Queue
    disk: DiskUse
    retention: Retention

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self)


class Service:
    """Facts of this server; safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        runner: BatchRunner,
        trainings: TrainingRunner,
        *,
        places: Mapping[str, Sequence[Path]],
        retention: Retention,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            catalog: checkpoints by name.
            runner: works on batches.
            trainings: fine-tunes.
            places: files and folders of what is written at run time, by kind.
            retention: what is deleted when.
            clock: seconds since some moment.
        """
        self._catalog, self._runner, self._trainings = catalog, runner, trainings
        self._gauge = DiskGauge(places)
        self._retention, self._clock = retention, clock
        self._started = clock()
        self._results: dict[str, SelfTest | str] = {}
        """Of the last self-test of each checkpoint, with words where it could not even be run."""
        self._failed: dict[str, weakref.ref[Predictor]] = {}
        """What was in memory all the same when a self-test failed."""
        self._tests = SharedTest(clock)
        self._kernels_are_tried = False
        self._closing = threading.Event()

    def close(self) -> None:
        """From now on the server takes no new work; it is not ready any more."""
        self._closing.set()

    @property
    def is_closing(self) -> bool:
        """Whether no new work is taken."""
        return self._closing.is_set()

    @property
    def is_ready(self) -> bool:
        """Whether new work is taken and no checkpoint has failed; costs nothing to ask.

        One that was loaded anew after it failed has passed: loading replays the self-test.
        """
        self._notice_loaded()
        return not self.is_closing and not any(map(_is_failure, list(self._results.values())))

    def health(self) -> Health:
        """This installation, with checkpoints as they were loaded and tested here; loads none.

        Raises:
            InputError, KernelUnavailableError: the device or kernel asked for is not here.
        """
        if self._kernels_are_tried:
            return self._health()
        health = model_thread.run(self._health)  # each kernel is tried once, which computes
        self._kernels_are_tried = True
        return health

    def test(self) -> Iterator[str]:
        """Run the self-test of every checkpoint that is here on this device; yields each name when it is done
        or passed over. Releases are fetched for somebody who wants to use them, and not for this."""
        for name in self._catalog.names():
            if self._is_here(name):
                self._test(name)
            yield name

    def join_test(self) -> SelfTestRun:
        """The self-test that is at work or has just passed, else a new one, for whoever asks for one."""
        return self._tests.join(self.test, total=len(self._catalog.names()), has_passed=self.is_ready)

    def facts(self) -> ServiceFacts:
        """This moment; the disk as it was at most half a minute ago."""
        state = _CLOSING if self.is_closing else _READY if self.is_ready else _FAILED
        return ServiceFacts(
            state=state,
            uptime_seconds=int(self._clock() - self._started),
            queue=Queue(
                batches=self._runner.queued(),
                trainings=self._trainings.queued(),
                model_lane=model_thread.pending(),
            ),
            disk=self._gauge.read(),
            retention=self._retention,
        )

    def card(self, name: str) -> str:
        """The model card of a checkpoint as Markdown.

        Raises:
            UnknownReleaseError: there is no such checkpoint.
        """
        return checkpoint_health.card_of(self._catalog, name)

    def _test(self, name: str) -> None:
        try:
            self._keep(name, checkpoint_health.test_again(self._catalog, name))
        except (UnknownReleaseError, HubUnreachableError):  # deleted or let go of meanwhile
            self._results.pop(name, None)
        except DemoError as error:
            self._keep(name, str(error))

    def _keep(self, name: str, result: SelfTest | str) -> None:
        """Take a note of a self-test, and of what a failed one has left in memory."""
        self._failed.pop(name, None)
        if _is_failure(result) and (left := self._catalog.loaded(name)) is not None:
            self._failed[name] = weakref.ref(left)
        self._results[name] = result

    def _notice_loaded(self) -> None:
        """Let failures go of checkpoints that were loaded anew since."""
        for name, result in list(self._results.items()):
            found = self._catalog.loaded(name) if _is_failure(result) else None
            left = self._failed.get(name)
            if found is not None and (left is None or found is not left()):
                self._keep(name, found.checkpoint.self_test)

    def _is_here(self, name: str) -> bool:
        """Whether a checkpoint lies in its folder, or is a release that is loaded, or was when it failed."""
        is_release = name in self._catalog.release_names()
        return not is_release or name in self._results or self._catalog.loaded(name) is not None

    def _health(self) -> Health:
        self._notice_loaded()
        catalog = self._catalog
        names = catalog.names()
        for gone in self._results.keys() - set(names):
            self._results.pop(gone, None)
        return health_of(
            names,
            self._look,
            catalog.root,
            device=catalog.device,
            kernel=catalog.kernel,
            precision=catalog.precision,
        )

    def _look(self, name: str, release: Release | None) -> CheckpointHealth:
        """A checkpoint with the result of its last self-test."""
        try:
            seen = checkpoint_health.of_catalog(self._catalog, name, release)
        except UnknownReleaseError:  # deleted this moment
            return CheckpointHealth(name=name, passed=None)
        result = self._results.get(name)
        if result is None:
            return seen
        if isinstance(result, str):
            return replace(seen, passed=False, error=result)
        return replace(
            seen,
            passed=result.passed,
            largest_difference=result.largest_difference,
            tolerance=result.tolerance,
            error=None if result.passed else _DIFFERS,
        )


def _is_failure(result: SelfTest | str) -> bool:
    return isinstance(result, str) or not result.passed
