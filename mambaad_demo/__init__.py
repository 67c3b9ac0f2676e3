"""Find defects in photographs of parts with Mamba decoders: the public names, imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

from mambaad_demo.version import __version__

if TYPE_CHECKING:
    from mambaad_demo.hub.checkpoints import load_checkpoint
    from mambaad_demo.pipeline.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "__version__", "load_checkpoint"]

_HOMES = {
    "Prediction": "mambaad_demo.pipeline.prediction",
    "Predictor": "mambaad_demo.pipeline.predictor",
    "load_checkpoint": "mambaad_demo.hub.checkpoints",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is asked for: `import mambaad_demo` and its small parts stay cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mambaad_demo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
