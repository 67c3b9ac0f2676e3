"""Images as the frozen encoder sees them: kept in half precision, written to a file, mapped by any decoder.

Encoder features do not change while a decoder is trained, so a checkpoint can rehearse parts whose photos are
gone, and limits can be set anew without reading a photo twice. Scores from kept features differ from those of
the photo by the rounding to half precision, about a thousandth.
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.errors import CheckpointCorruptError
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.inference import ModelInput, ModelOutput

_AT_ONCE = 8
_SAME = 0.02  # of the features' spread; stored and fresh features differ by rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    """Bare encoder features of one image and the way back to its pixels."""

    features: tuple[Tensor, ...]
    """(T, C, h, w) half per scale, one row for each of the image's T tiles."""
    geometry: Geometry


@torch.inference_mode()
def encode(detector: Detector, inputs: Iterable[ModelInput]) -> Iterator[EncodedImage]:
    """Run the bare encoder, without standardisation, image by image."""
    device = next(iter(detector.state_dict().values())).device
    for item in inputs:
        tiles = torch.from_numpy(np.stack(item.tiles)).permute(0, 3, 1, 2)
        parts = [detector.encoder(some.to(device)) for some in tiles.split(_AT_ONCE)]
        scales = [torch.cat(scale).half().cpu() for scale in zip(*parts, strict=True)]
        yield EncodedImage(features=tuple(scales), geometry=item.geometry)


def same_picture(one: EncodedImage, other: EncodedImage) -> bool:
    """Whether two images have the same features but for rounding."""
    if one.geometry != other.geometry:
        return False
    mine, theirs = one.features[-1].float(), other.features[-1].float()
    return bool((mine - theirs).abs().max() <= _SAME * mine.std())


@torch.inference_mode()
def mapped(detector: Detector, images: Sequence[EncodedImage]) -> ModelOutput:
    """What the detector makes of images, as `DetectorRunner` gives it."""
    device = next(iter(detector.state_dict().values())).device
    maps, embeddings = [], []
    started = time.perf_counter()
    for image in images:
        tiles: list[np.ndarray] = []
        parts: list[np.ndarray] = []
        for some in zip(*(scale.split(_AT_ONCE) for scale in image.features), strict=True):
            targets = detector.standardized([feature.float().to(device) for feature in some])
            tiles.extend(detector.maps_from_features(targets).cpu().numpy())
            parts.append(detector.embed(targets).cpu().numpy())
        maps.append(image.geometry.tiling.blend(tiles))
        embeddings.append(np.concatenate(parts).mean(axis=0))
    milliseconds = (time.perf_counter() - started) * 1000
    return ModelOutput(
        maps=maps,
        embeddings=np.stack(embeddings),
        milliseconds=milliseconds,
        device=device.type,
        kernel=detector.resolved_kernel(device),
    )


def write_encoded(path: Path, images: Sequence[EncodedImage], *, resize: Resize, tiles: int) -> None:
    """Write images of one checkpoint to a file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{number:04d}.{scale}": feature.contiguous()
        for number, image in enumerate(images)
        for scale, feature in enumerate(image.features)
    }
    sizes = torch.tensor([[image.geometry.width, image.geometry.height] for image in images])
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # several processes may write it
    try:
        save_file(tensors | {"sizes": sizes}, temporary, metadata={"resize": resize, "tiles": str(tiles)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_encoded(path: Path, *, side: int, resize: Resize, tiles: int) -> list[EncodedImage]:
    """Read what `write_encoded` wrote; the other arguments as the checkpoint's.

    Raises:
        CheckpointCorruptError: the file holds something else.
    """
    try:
        tensors = load_file(path)
        sizes = tensors.pop("sizes").tolist()
        scales = len(tensors) // len(sizes)
        return [
            EncodedImage(
                features=tuple(tensors[f"{number:04d}.{scale}"] for scale in range(scales)),
                geometry=Geometry.fit(width, height, side, resize, tiles),
            )
            for number, (width, height) in enumerate(sizes)
        ]
    except (OSError, SafetensorError, KeyError, ValueError, ZeroDivisionError) as error:
        raise CheckpointCorruptError(
            f"The stored features {path.parent.name}/{path.name} are damaged. Delete them; the category is "
            "then no longer rehearsed."
        ) from error
