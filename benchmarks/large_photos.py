"""Large photos of circuit boards, some with a round spot of 12 pixels, in MVTec layout: what tiles are for.

python -m benchmarks.large_photos --out big
python -m train.train_decoder --data big --tiles 8 --steps 300 --seed 1 --out runs/tiles
python -m mambaad_demo inspect big/circuit_board/test --checkpoint runs/tiles
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from mambaad_demo.data.sample_parts import render_part

WIDTH, HEIGHT = 2048, 1536
SPOT = 12
"""Pixels across."""
_SOLDER = (205, 205, 210)
_FIRST_TRAINING_SEED, _FIRST_TEST_SEED = 1000, 9_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Write 40 good photos for training, 8 for testing, and the same 8 with a spot of solder and its mask."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_photos", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--train", type=int, default=40)
    parser.add_argument("--test", type=int, default=8)
    options = parser.parse_args(arguments)
    root = options.out / "circuit_board"
    generator = np.random.default_rng(0)
    for number in range(options.test):
        good = photo(_FIRST_TEST_SEED + number)
        x, y = int(generator.integers(100, WIDTH - 100)), int(generator.integers(100, HEIGHT - 100))
        spotted, mask = with_spot(good, x, y)
        _save(good, root / f"test/good/{number:03}.png")
        _save(spotted, root / f"test/solder/{number:03}.png")
        _save(mask, root / f"ground_truth/solder/{number:03}_mask.png")
    for number in range(options.train):
        _save(photo(_FIRST_TRAINING_SEED + number), root / f"train/good/{number:03}.png")
    return 0


def photo(seed: int) -> np.ndarray:
    """(1536, 2048, 3) uint8: the middle of a board drawn at 2048 pixels."""
    margin = (WIDTH - HEIGHT) // 2
    return render_part("circuit_board", seed=seed, side=WIDTH).image[margin:-margin]


def with_spot(image: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """The photo with a bright spot of `SPOT` pixels around (x, y), and the mask of it, 0 or 255."""
    canvas = Image.new("L", (image.shape[1], image.shape[0]))
    half = SPOT // 2
    ImageDraw.Draw(canvas).ellipse((x - half, y - half, x + half - 1, y + half - 1), fill=255)
    mask = np.asarray(canvas)
    opacity = gaussian_filter(mask / np.float32(255), 0.7)[..., None]
    blend = image * (1 - opacity) + opacity * np.array(_SOLDER, np.float32)
    return (blend + 0.5).astype(np.uint8), mask


def _save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)


if __name__ == "__main__":
    sys.exit(main())
