"""Decoder names and the classes behind them; a dict is enough."""

from typing import Any

from mambaad_demo.models.decoder import Decoder
from mambaad_demo.models.fusion import Fusion
from mambaad_demo.models.mambaad import MambaADDecoder
from mambaad_demo.models.mambaad_v2 import MambaADv2Decoder
from mambaad_demo.models.pyramid_mamba import PyramidMambaDecoder

DECODERS: dict[str, type[Decoder]] = {
    "mambaad": MambaADDecoder,
    "pyramid_mamba": PyramidMambaDecoder,
    "mambaad_v2": MambaADv2Decoder,
}


def build_decoder(name: str, **options: Any) -> Decoder:
    """A decoder with fresh weights; options are those of its class.

    Raises:
        ValueError: an unknown name or a value that makes no decoder.
        TypeError: an option the decoder does not have.
    """
    if name not in DECODERS:
        raise ValueError(f"Unknown decoder {name!r}: choose one of {', '.join(DECODERS)}.")
    return DECODERS[name](**options)


def build_fusion(**options: Any) -> Fusion:
    """The fusion module with fresh weights; options are those of `Fusion`."""
    return Fusion(**options)
