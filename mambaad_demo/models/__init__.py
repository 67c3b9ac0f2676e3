"""The networks: encoder, fusion, decoders, and the detector they make together."""

from mambaad_demo.models.detector import Detector, DetectorConfig, build_detector
from mambaad_demo.models.registry import DECODERS, build_decoder, build_fusion

__all__ = ["DECODERS", "Detector", "DetectorConfig", "build_decoder", "build_detector", "build_fusion"]
