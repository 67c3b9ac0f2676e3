"""Predictors by name, each loaded once and shared by everyone who asks.

Only the folders below one root can be named here, so the name may come from a visitor. Loading is
`hub.checkpoints`' business.
"""

from functools import partial
from pathlib import Path

from mambaad_demo.errors import UnknownReleaseError
from mambaad_demo.hub.checkpoints import embedded_names
from mambaad_demo.models.encoder import Precision
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.predictor import Predictor


class Catalog:
    """The checkpoints below a folder, loaded when first asked for; safe to share between threads."""

    def __init__(
        self,
        checkpoints_root: Path,
        *,
        device: str = "auto",
        kernel: str = "auto",
        precision: Precision = "float32",
    ) -> None:
        self._root = checkpoints_root
        self._open = partial(
            Predictor.from_checkpoint,
            device=device,
            kernel=kernel,
            precision=precision,
            checkpoints_root=checkpoints_root,
        )
        self._predictors: dict[str, Predictor] = {}

    def names(self) -> tuple[str, ...]:
        """Names that `predictor` accepts, the default `mambaad` first where it is present."""
        return embedded_names(self._root)

    def predictor(self, name: str) -> Predictor:
        """The predictor of a checkpoint; the second call with a name returns the same object.

        Raises:
            UnknownReleaseError: no checkpoint below the root has this name.
            CheckpointError: it cannot be trusted or loaded; the next call tries again.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise UnknownReleaseError(f"There is no checkpoint {name!r}. Available: {known}.")
        if name not in self._predictors:
            model_thread.run(self._load, name)
        return self._predictors[name]

    def _load(self, name: str) -> None:
        if name not in self._predictors:
            self._predictors[name] = self._open(name)
