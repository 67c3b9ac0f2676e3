"""A trained detector → a checkpoint folder, written whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.hub.layout import (
    CALIBRATION,
    CARD,
    CONFIG,
    FILES,
    GOLDEN,
    WEIGHTS,
    encoder_record,
    stored_state,
)
from mambaad_demo.hub.model_card import model_card
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig, CheckpointName, FileHashes
from mambaad_demo.hub.self_test import golden_file
from mambaad_demo.hub.weights import file_sha256
from mambaad_demo.models.detector import Detector


def save_checkpoint(
    folder: Path,
    detector: Detector,
    config: CheckpointConfig,
    calibration: CalibrationFile,
    golden: np.ndarray,
    *,
    half: bool = False,
) -> None:
    """Write a checkpoint folder, model card included; an existing one is replaced when all is written.

    Args:
        folder: target; its parent is created.
        detector: with final weights. With `half`, round it by `round_to_half` before calibrating.
        config: its `detector`, `encoder` and `sha256` entries are filled in here.
        calibration: limits, or an empty one.
        golden: (2, S, S, 3) uint8 inputs of the self-test; their maps are computed here.
        half: store floating-point weights in half precision.

    Raises:
        InputError: the folder holds something else than a checkpoint.
        ValueError: golden images of another shape, or weights that half precision would change.
    """
    require_writable(folder, config.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _write_all(temporary, detector, config, calibration, golden, half=half)
        temporary.chmod(0o755)
        _move_into_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the files of a checkpoint folder to a new one, whole or not at all.

    Raises:
        InputError: the target exists.
        StorageError: it cannot be written.
    """
    if target.exists():
        raise InputError(f"{target.name!r} exists already. Name a new folder; nothing was changed.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
            copy = Path(temporary, target.name)
            copy.mkdir()
            for name in FILES:
                if (source / name).is_file():
                    shutil.copyfile(source / name, copy / name)
            copy.rename(target)
    except OSError as error:
        raise StorageError(
            f"{target.name!r} could not be written. Make room, or name another place."
        ) from error


def require_writable(folder: Path, name: str) -> None:
    """Refuse a target that a checkpoint must not replace, so that long work does not end in the refusal.

    Raises:
        InputError: it is a file or holds other things than a checkpoint, or `name` is not allowed.
    """
    try:
        TypeAdapter(CheckpointName).validate_python(name)
    except ValidationError as error:
        raise InputError(
            f"A checkpoint cannot be named {name!r}. Use up to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit."
        ) from error
    if not folder.exists():
        return
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if held and (CONFIG not in held or held - set(FILES)):
        raise InputError(
            f"{folder.name!r} exists and is no checkpoint folder. Choose another place; nothing was changed."
        )


def round_to_half(detector: Detector) -> Detector:
    """Round the weights to be stored to half precision, in place, so that calibration sees what is saved."""
    with torch.no_grad():
        for tensor in stored_state(detector).values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return detector


def _write_all(
    folder: Path,
    detector: Detector,
    config: CheckpointConfig,
    calibration: CalibrationFile,
    golden: np.ndarray,
    *,
    half: bool,
) -> None:
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in stored_state(detector).items()}
    save_file(_halved(state) if half else state, folder / WEIGHTS)
    (folder / GOLDEN).write_bytes(golden_file(detector, golden))
    _write_json(folder / CALIBRATION, calibration)
    hashes = FileHashes(
        model=file_sha256(folder / WEIGHTS),
        calibration=file_sha256(folder / CALIBRATION),
        golden=file_sha256(folder / GOLDEN),
    )
    built_here = {
        "detector": json.loads(json.dumps(detector.config.to_dict())),  # tuples become lists
        "encoder": encoder_record(detector),
        "sha256": hashes,
    }
    written = CheckpointConfig.model_validate(config.model_dump() | built_here)
    _write_json(folder / CONFIG, written)
    (folder / CARD).write_text(model_card(written, calibration, hashes), encoding="utf-8")


def _write_json(path: Path, content: BaseModel) -> None:
    path.write_text(content.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    halved = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    changed = [name for name, value in state.items() if not torch.equal(halved[name].to(value.dtype), value)]
    if changed:
        raise ValueError(f"half precision would change {changed[0]}: call round_to_half before calibrating")
    return halved


def _move_into_place(new: Path, target: Path) -> None:
    """Rename a finished folder; an old one is deleted only when the new one stands."""
    if not target.exists():
        new.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    target.rename(old / target.name)
    new.rename(target)
    shutil.rmtree(old)
