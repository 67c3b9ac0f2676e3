"""The files `inspect` reads and writes: which images a list of paths names, and one set of results for
each."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mambaad_demo.data.folders import list_images
from mambaad_demo.errors import FolderLayoutError
from mambaad_demo.pipeline.overlay import map_npy, mask_png, overlay_png
from mambaad_demo.pipeline.prediction import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """An image to inspect, and the name its results are filed under."""

    path: Path
    result: Path
    """Relative path without suffix; unique in its list."""


def input_files(paths: Iterable[Path]) -> list[InputFile]:
    """Named files as they come, and the images in named folders, sub-folders included, in natural order.

    Raises:
        FolderLayoutError: a folder holds no images.
    """
    found: list[InputFile] = []
    taken: set[Path] = set()
    for path in paths:
        images = list_images(path, recursive=True) if path.is_dir() else [path]
        if not images:
            raise FolderLayoutError(f"The folder {path.name!r} holds no images. Choose another one.")
        for image in images:
            relative = image.relative_to(path) if path.is_dir() else Path(image.name)
            result = _untaken(relative.with_suffix(""), taken)
            taken.add(result)
            found.append(InputFile(path=image, result=result))
    return found


def write_results(prediction: Prediction, target: Path) -> None:
    """Write overlay, map, mask and JSON beside each other, all named after `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(prediction.to_json(), indent=2, ensure_ascii=False) + "\n"
    for ending, content in (
        ("overlay.png", overlay_png(prediction)),
        ("map.npy", map_npy(prediction)),
        ("mask.png", mask_png(prediction)),
        ("json", text.encode()),
    ):
        target.with_name(f"{target.name}.{ending}").write_bytes(content)


def _untaken(wanted: Path, taken: set[Path]) -> Path:
    """The wanted name, numbered from 2 on where two images would share it."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")
    return name
