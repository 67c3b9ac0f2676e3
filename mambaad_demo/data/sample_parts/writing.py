"""Sample parts on disk in MVTec layout, for training and for the page's examples."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mambaad_demo.data.sample_parts.fields import generator
from mambaad_demo.data.sample_parts.rendering import CATEGORIES, DEFECTS, Part, render_part

JPEG_QUALITY = 92


def write_sample_parts(
    root: Path,
    *,
    train: int,
    test_good: int,
    test_defect: int,
    seed: int,
    categories: Sequence[str] = CATEGORIES,
    side: int = 512,
) -> None:
    """Write folders that look like MVTec AD, one per category; files already there are overwritten.

    No two images of a category show the same part, and another `seed` gives other parts.

    Args:
        root: where the category folders go.
        train: good images for training per category.
        test_good: good images for testing per category.
        test_defect: images per defect of each category, each with a 1-bit mask.
        seed: start of all randomness.
        categories: which kinds of part.
        side: pixels of the square images.

    Raises:
        ValueError: an unknown category or a negative number.
    """
    if min(train, test_good, test_defect) < 0:
        raise ValueError(f"Numbers of images must not be negative: {train}, {test_good}, {test_defect}.")
    unknown = [category for category in categories if category not in DEFECTS]
    if unknown:
        raise ValueError(f"Unknown category {unknown[0]!r}; known are {', '.join(CATEGORIES)}.")
    for category in categories:
        folders = [("train", "good", train), ("test", "good", test_good)]
        folders += [("test", defect, test_defect) for defect in DEFECTS[category]]
        for split, defect, count in folders:
            for number in range(count):
                part_seed = int(generator("folder", seed, split, defect, number).integers(2**62))
                part = render_part(
                    category, seed=part_seed, defect=None if defect == "good" else defect, side=side
                )
                _write_part(root / category, split, defect, number, part)


def _write_part(folder: Path, split: str, defect: str, number: int, part: Part) -> None:
    """Write one image and, for a defect, its mask."""
    image_path = folder / split / defect / f"{number:03d}.jpg"
    image_path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(part.image).save(image_path, quality=JPEG_QUALITY, subsampling=0)
    if part.defect is not None:
        mask_path = folder / "ground_truth" / defect / f"{number:03d}_mask.png"
        mask_path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(part.mask).save(mask_path, optimize=True)
