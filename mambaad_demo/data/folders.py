"""Folders of images: the MVTec AD layout as lists of samples, and plain folders as lists of paths.

Files are listed by suffix and opened by nobody here; what they really hold is found out by `uploads`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mambaad_demo.errors import FolderLayoutError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

GOOD = "good"

_LAYOUT = (
    "Expected <category>/train/good, <category>/test/good, <category>/test/<defect> and, for pixel metrics, "
    "<category>/ground_truth/<defect>."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image of a category, and what is known of it."""

    path: Path
    category: str
    split: Literal["train", "test"]
    defect: str
    """Name of the defect folder; "good" for a normal part."""
    mask_path: Path | None = None
    """Where the defect is; None for normal parts and for categories without masks."""

    @property
    def is_anomalous(self) -> bool:
        return self.defect != GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One product: normal parts to learn from, and parts to test on."""

    name: str
    root: Path
    train_good: list[Sample]
    test: list[Sample]
    has_masks: bool
    """True where a ground_truth folder exists; each defective image then has a mask."""


def find_categories(roots: Sequence[Path], names: Sequence[str] | None = None) -> list[Category]:
    """Read categories in MVTec AD layout.

    Args:
        roots: folders that each hold categories, one level down, or are a category themselves.
        names: read these categories only; None reads all.

    Returns:
        Categories in natural order of their names, as are the images in them (2 before 10).

    Raises:
        FolderLayoutError: no category, an empty one, two of one name, an unknown name, or a missing mask.
    """
    folders: dict[str, Path] = {}
    others: set[str] = set()
    for root in roots:
        for folder in _category_folders(root):
            name = folder.resolve().name
            if names is not None and name not in names:
                others.add(name)
                continue
            if name in folders and folders[name].resolve() != folder.resolve():
                raise FolderLayoutError(
                    f"Two categories are named '{name}'. Rename one, or give one of the roots."
                )
            folders[name] = folder
    wanted = list(folders) if names is None else list(names)
    if missing := [name for name in wanted if name not in folders]:
        found = sorted(folders.keys() | others, key=_natural)
        raise FolderLayoutError(f"No category named {', '.join(missing)}. Found: {', '.join(found)}.")
    return [_read_category(name, folders[name]) for name in sorted(set(wanted), key=_natural)]


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Image files in a plain folder, in natural order; hidden ones are left out.

    Raises:
        FolderLayoutError: there is no such folder.
    """
    if not folder.is_dir():
        raise FolderLayoutError(f"There is no folder '{folder.name}'. Check the path.")
    found = folder.rglob("*") if recursive else folder.iterdir()
    return _images(found, below=folder)


def _category_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise FolderLayoutError(f"There is no folder '{root.name}'. Check the path.")
    if _is_category(root):
        return [root]
    folders = [folder for folder in root.iterdir() if folder.is_dir() and _is_category(folder)]
    if not folders:
        raise FolderLayoutError(f"'{root.resolve().name}' is no category and holds none. {_LAYOUT}")
    return folders


def _is_category(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir() or (folder / "test").is_dir()


def _read_category(name: str, root: Path) -> Category:
    train = [
        Sample(path=path, category=name, split="train", defect=GOOD)
        for path in _images_if_any(root / "train" / GOOD)
    ]
    has_masks = (root / "ground_truth").is_dir()
    test = [
        sample
        for folder in sorted(_folders_if_any(root / "test"), key=lambda folder: _natural(folder.name))
        for sample in _read_test_folder(
            name, folder, root / "ground_truth" / folder.name if has_masks else None
        )
    ]
    if not train and not test:
        raise FolderLayoutError(f"Category '{name}' holds no images. {_LAYOUT}")
    return Category(name=name, root=root, train_good=train, test=test, has_masks=has_masks)


def _read_test_folder(category: str, folder: Path, masks: Path | None) -> list[Sample]:
    """Samples of test/good or test/<defect>; `masks`: where its masks lie; None in a category without."""
    paths = _images_if_any(folder)
    if folder.name == GOOD or masks is None:
        return [Sample(path=path, category=category, split="test", defect=folder.name) for path in paths]
    by_stem = {mask.stem: mask for mask in _images_if_any(masks)}
    samples = []
    for path in paths:
        mask = by_stem.get(f"{path.stem}_mask") or by_stem.get(path.stem)
        if mask is None:
            raise FolderLayoutError(
                f"test/{folder.name}/{path.name} of category '{category}' has no mask. "
                f"Add ground_truth/{folder.name}/{path.stem}_mask.png, or remove the folder ground_truth "
                "to go without pixel metrics."
            )
        samples.append(Sample(path=path, category=category, split="test", defect=folder.name, mask_path=mask))
    return samples


def _folders_if_any(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [child for child in parent.iterdir() if child.is_dir() and not child.name.startswith(".")]


def _images_if_any(folder: Path) -> list[Path]:
    return list_images(folder) if folder.is_dir() else []


def _images(paths: Iterable[Path], *, below: Path) -> list[Path]:
    kept = [
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(below).parts)
        and path.is_file()
    ]
    return sorted(kept, key=lambda path: [_natural(part) for part in path.relative_to(below).parts])


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that counts numbers as numbers: 2 before 10; then the letters, so that no two names tie."""
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in (*re.split(r"(\d+)", name, flags=re.ASCII), name)
        if part
    ]
