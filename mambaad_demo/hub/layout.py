"""What a checkpoint folder consists of: file names, and which tensors lie in it. Reading and writing share
this."""

import re
from pathlib import Path

from torch import Tensor

from mambaad_demo.hub.schemas import EncoderRecord
from mambaad_demo.hub.weights import tensors_sha256
from mambaad_demo.models.detector import Detector
from mambaad_demo.models.registry import DECODERS

EMBEDDED_ROOT = Path(__file__).resolve().parents[2] / "checkpoints"
"""The repository's own checkpoints."""
MANIFEST = "manifest.toml"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"
GOLDEN = "golden.safetensors"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, CALIBRATION, GOLDEN, CARD)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ENCODER_PREFIX = "encoder."


def embedded_names(root: Path) -> tuple[str, ...]:
    """Names of the checkpoint folders below a root: the decoders' own in the order of their papers, hence the
    default `mambaad` first, then all others by name."""
    if not root.is_dir():
        return ()
    names = (path.parent.name for path in root.glob(f"*/{CONFIG}"))
    ranks = {decoder: rank for rank, decoder in enumerate(DECODERS)}
    return tuple(
        sorted((n for n in names if _NAME.fullmatch(n)), key=lambda n: (ranks.get(n, len(ranks)), n))
    )


def encoder_is_stored(detector: Detector) -> bool:
    """Whether the encoder's tensors lie in the checkpoint too, instead of coming from a package or the
    Hub."""
    return detector.config.encoder_weights in ("checkpoint", "random")


def stored_state(detector: Detector) -> dict[str, Tensor]:
    """The tensors that belong into `model.safetensors`, as views of the detector's own."""
    state: dict[str, Tensor] = detector.state_dict()
    if encoder_is_stored(detector):
        return dict(state)
    return {name: tensor for name, tensor in state.items() if not name.startswith(_ENCODER_PREFIX)}


def encoder_record(detector: Detector) -> EncoderRecord:
    """What `config.json` says of the encoder a detector holds."""
    hashed = None if encoder_is_stored(detector) else tensors_sha256(detector.encoder.state_dict().items())
    return EncoderRecord(
        sha256=hashed,
        mean=tuple(detector.encoder.mean.flatten().tolist()),
        std=tuple(detector.encoder.std.flatten().tolist()),
    )
