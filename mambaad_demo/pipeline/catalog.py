"""Predictors by name, each loaded once and shared by everyone who asks.

Only the folders below two roots can be named here, those that came with the program and those that were
fine-tuned here, so the name may come from a visitor. Loading is `hub.checkpoints`' business.
"""

from contextlib import suppress
from functools import partial
from pathlib import Path

from mambaad_demo.errors import StorageError, UnknownReleaseError
from mambaad_demo.hub.checkpoints import embedded_names
from mambaad_demo.hub.layout import CONFIG, WEIGHTS
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models.encoder import Precision
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.rehearsal import RehearsalStore
from mambaad_demo.pipeline.zero_gpu import ZeroGpu

TOMBSTONE = "discarded.json"
"""What the configuration of a deleted version is called: its folder stays, so that its name is not given to
another one."""


class Catalog:
    """The checkpoints below two folders, loaded when first asked for; safe to share between threads."""

    def __init__(
        self,
        checkpoints_root: Path,
        *,
        versions_root: Path | None = None,
        replay_root: Path | None = None,
        device: str = "auto",
        kernel: str = "auto",
        precision: Precision = "float32",
        zero_gpu: ZeroGpu | None = None,
    ) -> None:
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
        )
        self._predictors: dict[str, Predictor] = {}

    def names(self) -> tuple[str, ...]:
        """Names that `predictor` accepts, the default `mambaad` first where it is present, own versions
        last."""
        return embedded_names(self.root) + self.own_names()

    def own_names(self) -> tuple[str, ...]:
        """Names of the versions that were fine-tuned here."""
        taken = embedded_names(self.root)
        own = () if self._versions_root is None else embedded_names(self._versions_root)
        return tuple(name for name in own if name not in taken)

    def predictor(self, name: str) -> Predictor:
        """The predictor of a checkpoint; the second call with a name returns the same object.

        Raises:
            UnknownReleaseError: no checkpoint below the roots has this name.
            CheckpointError: it cannot be trusted or loaded; the next call tries again.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise UnknownReleaseError(f"There is no checkpoint {name!r}. Available: {known}.")
        return self._predictors.get(name) or model_thread.run(self._load, name)

    def loaded(self, name: str) -> Predictor | None:
        """The predictor of a checkpoint, where it has been asked for before."""
        return self._predictors.get(name)

    def folder(self, name: str) -> Path:
        """Where a checkpoint lies.

        Raises:
            UnknownReleaseError: there is none of this name.
        """
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
        model_thread.run(self._predictors.pop, name, None)

    def _clear(self, name: str, folder: Path) -> None:
        """Let go of a deleted version and delete all of its files but the tombstone, and what it could
        rehearse."""
        self._predictors.pop(name, None)
        with suppress(OSError):
            weights = file_sha256(folder / WEIGHTS)
            if all(file_sha256(folder.parent / other / WEIGHTS) != weights for other in self.own_names()):
                self._replay.forget(weights)
        for path in folder.iterdir():
            if path.name != TOMBSTONE:
                with suppress(OSError):  # such as on Windows, where somebody reads it
                    path.unlink()

    def _load(self, name: str) -> Predictor:
        if name not in self._predictors:
            predictor = self._open(name)
            if self._zero_gpu is not None:
                predictor.runner = self._zero_gpu.runner(name, predictor.runner)
            self._predictors[name] = predictor
        return self._predictors[name]
