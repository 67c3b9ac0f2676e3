"""Predictors by name, each loaded once and shared by everyone who asks.

Only folders below two roots can be named here, those that came with the program and those that were
fine-tuned here, and releases of the manifest or the operator, so the name may come from a visitor. Loading is
`hub.checkpoints`' business, letting go `predictor_cache`'s.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from mambaad_demo.errors import StorageError, UnknownReleaseError
from mambaad_demo.hub.checkpoints import embedded_names, fetch_checkpoint
from mambaad_demo.hub.layout import CONFIG, MANIFEST, WEIGHTS
from mambaad_demo.hub.manifest import read_manifest
from mambaad_demo.hub.remote import HubReference
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models.encoder import Precision
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.predictor_cache import PredictorCache
from mambaad_demo.pipeline.rehearsal import RehearsalStore
from mambaad_demo.pipeline.zero_gpu import ZeroGpu

TOMBSTONE = "discarded.json"
"""What the configuration of a deleted version is called: its folder stays, so that its name is not given to
another one."""


_LOOK_SECONDS = 0.5

DEFAULT_BUDGET = 2 * 1024**3
"""Bytes of predictors in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How far the download of a release is."""

    name: str
    done: int
    """Bytes on this machine."""
    total: int
    """Bytes in all, as far as known yet; 0 before the first file has begun."""


class Catalog:
    """The checkpoints below two folders and the releases of the manifest, fetched and loaded when first asked
    for; safe to share between threads."""

    def __init__(
        self,
        checkpoints_root: Path,
        *,
        versions_root: Path | None = None,
        replay_root: Path | None = None,
        device: str = "auto",
        kernel: str = "auto",
        precision: Precision = "float32",
        memory_budget: int = DEFAULT_BUDGET,
        zero_gpu: ZeroGpu | None = None,
        allowed_repos: Iterable[str] = (),
    ) -> None:
        """
        Args:
            checkpoints_root: holds embedded checkpoints and the manifest.
            versions_root: holds those that were fine-tuned here.
            replay_root: holds what those can rehearse.
            device, kernel, precision: as for `load_checkpoint`.
            memory_budget: bytes above which predictors that nobody asked for lately are let go, the default
                checkpoint last; those in use live on until their users are done.
            zero_gpu: lends a GPU for each call, on a Space that does.
            allowed_repos: as for `load_checkpoint`; those named with their commit are releases too.

        Raises:
            CheckpointCorruptError: the manifest cannot be read.
        """
        releases = read_manifest(checkpoints_root / MANIFEST).releases
        self._allowed_repos = tuple(dict.fromkeys(allowed_repos))
        self._releases = (
            *(one.name for one in releases if one.kind == "folder" and one.revision),
            *(one for one in self._allowed_repos if HubReference.parse(one)),
        )
        self._zero_gpu = zero_gpu
        self.root = checkpoints_root
        """Holds the checkpoints that came with the program, and their manifest."""
        self.device, self.kernel, self.precision = device, kernel, precision
        self._versions_root = versions_root
        self._replay = RehearsalStore(replay_root)
        self._open = partial(
            Predictor.from_checkpoint,
            device=device,
            kernel=kernel,
            precision=precision,
            checkpoints_root=checkpoints_root,
            versions_root=versions_root,
            allowed_repos=self._allowed_repos,
        )
        self._predictors = PredictorCache(memory_budget)
        self._fetching = Lock()
        self._loading: Loading | None = None

    def names(self) -> tuple[str, ...]:
        """Names that `predictor` accepts: embedded ones, the default `mambaad` first, then releases, then own
        versions."""
        return embedded_names(self.root) + self.release_names() + self.own_names()

    def release_names(self) -> tuple[str, ...]:
        """Names of the releases that are fetched from the Hub when they are first asked for."""
        here = embedded_names(self.root) + self.own_names()
        return tuple(name for name in self._releases if name not in here)

    def own_names(self) -> tuple[str, ...]:
        """Names of the versions that were fine-tuned here."""
        taken = embedded_names(self.root)
        own = () if self._versions_root is None else embedded_names(self._versions_root)
        return tuple(name for name in own if name not in taken)

    def in_memory(self) -> tuple[str, ...]:
        """Names of the predictors in memory, the one asked for last at the end."""
        return self._predictors.names()

    def loading(self) -> Loading | None:
        """The download that is going on, None where there is none."""
        return self._loading

    def fetching(self, name: str) -> Iterator[Loading]:
        """Bring a release to this machine, saying about twice a second how far it is; says nothing of what is
        here already, and of names that nothing has.

        Raises:
            CheckpointError: it cannot be fetched.
        """
        if name not in self.release_names() or self.loaded(name) is not None:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="fetch") as lane:
            work = lane.submit(self._fetch, name)
            while wait([work], timeout=_LOOK_SECONDS).not_done:
                if self._loading is not None:
                    yield self._loading
            work.result()

    def predictor(self, name: str) -> Predictor:
        """The predictor of a checkpoint; a second call returns the same object while it is in memory.

        Raises:
            UnknownReleaseError: no checkpoint below the roots and no release has this name.
            CheckpointError: it cannot be fetched, trusted or loaded; the next call tries again.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise UnknownReleaseError(f"There is no checkpoint {name!r}. Available: {known}.")
        found = self._predictors.get(name)
        if found is None and name in self.release_names():
            self._fetch(name)  # the model thread has other things to do meanwhile
        return found or model_thread.run(self._load, name)

    def loaded(self, name: str) -> Predictor | None:
        """The predictor of a checkpoint, where it is in memory; looking does not count as asking for it."""
        return self._predictors.peek(name)

    def folder(self, name: str) -> Path:
        """Where a checkpoint lies.

        Raises:
            UnknownReleaseError: there is none of this name, or it is a release that is not in memory.
        """
        found = self._predictors.peek(name)
        if found is not None:
            return found.checkpoint.folder
        if name in embedded_names(self.root):
            return self.root / name
        if self._versions_root is not None and name in self.own_names():
            return self._versions_root / name
        raise UnknownReleaseError(f"There is no checkpoint {name!r}.")

    def delete(self, name: str) -> None:
        """Delete a version that was fine-tuned here, for good. Its name stays taken.

        It is gone when this returns, without waiting; its large files go once the model thread is free.

        Raises:
            UnknownReleaseError: there is no such version; others are never deleted.
            StorageError: its folder cannot be changed; it is still there.
        """
        if self._versions_root is None or name not in self.own_names():
            raise UnknownReleaseError(f"There is no version {name!r} that was fine-tuned here.")
        folder = self._versions_root / name
        try:
            (folder / CONFIG).rename(folder / TOMBSTONE)  # no catalog shows it from here on
        except OSError as error:
            raise StorageError(f"The folder of {name} cannot be changed. Try again later.") from error
        model_thread.submit(self._clear, name, folder)

    def forget(self, name: str) -> None:
        """Let go of a checkpoint whose folder is replaced or deleted."""
        model_thread.run(self._predictors.drop, name)

    def _clear(self, name: str, folder: Path) -> None:
        """Let go of a deleted version and delete all of its files but the tombstone, and what it could
        rehearse."""
        self._predictors.drop(name)
        with suppress(OSError):
            weights = file_sha256(folder / WEIGHTS)
            if all(file_sha256(folder.parent / other / WEIGHTS) != weights for other in self.own_names()):
                self._replay.forget(weights)
        for path in folder.iterdir():
            if path.name != TOMBSTONE:
                with suppress(OSError):  # such as on Windows, where somebody reads it
                    path.unlink()

    def _fetch(self, name: str) -> None:
        """Bring the files of a release to this machine, one release at a time."""

        def report(done: int, total: int) -> None:
            self._loading = Loading(name=name, done=done, total=total)

        with self._fetching:
            report(0, 0)
            try:
                fetch_checkpoint(
                    name, checkpoints_root=self.root, allowed_repos=self._allowed_repos, report=report
                )
            finally:
                self._loading = None

    def _load(self, name: str) -> Predictor:
        found = self._predictors.get(name)
        if found is None:
            found = self._open(name)
            if self._zero_gpu is not None:
                found.runner = self._zero_gpu.runner(name, found.runner)
            self._predictors.put(name, found, last_out=next(iter(self.names()), None))
        return found
